"""What the menu says where a plug cannot be had."""

import sys

import pytest

from islet.errors import SettingError
from islet.menu import plug


def test_a_plug_whose_package_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "islet.log.kafka", raising=False)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SettingError, match=r"log 'kafka' needs the extra: pip install 'islet\[kafka\]'"):
        plug("log", "kafka")


def test_a_plug_that_is_not_on_the_menu_is_told_with_those_that_are() -> None:
    with pytest.raises(SettingError, match="there is: kafka, memory, sqlite"):
        plug("log", "carved")
