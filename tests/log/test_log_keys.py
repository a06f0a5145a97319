"""Where the data key comes from."""

import base64
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from islet.errors import KeyUnavailable
from islet.log.keys import data_key
from islet.settings import Settings

KEY = bytes(range(32))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def test_the_first_start_makes_a_key_file_for_its_owner_only(settings: Settings) -> None:
    key = data_key(settings, {})
    file = settings.data_dir / "data.key"
    assert len(key) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert data_key(settings, {}) == key
    assert list(settings.data_dir.iterdir()) == [file]


def test_a_key_file_that_others_can_read_is_refused(settings: Settings) -> None:
    key = data_key(settings, {})
    (settings.data_dir / "data.key").chmod(0o640)
    with pytest.raises(KeyUnavailable, match="mode 640") as refused:
        data_key(settings, {})
    assert key.hex() not in str(refused.value)


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper() + "\n", base64.b64encode(KEY).decode()])
def test_the_environment_wins_in_hex_or_base64(settings: Settings, text: str) -> None:
    assert data_key(replace(settings, key_command="false"), {"ISLET_KEY": text}) == KEY
    assert not settings.data_dir.exists()


def test_a_command_wins_over_the_file(settings: Settings) -> None:
    command = shlex.join([sys.executable, "-c", f"print('{KEY.hex()}')"])
    assert data_key(replace(settings, key_command=command), {}) == KEY
    assert not settings.data_dir.exists()


def test_a_command_that_fails_is_no_reason_to_make_another_key(settings: Settings) -> None:
    for command in ("false", "no-such-command-anywhere", "'"):
        with pytest.raises(KeyUnavailable, match="key_command"):
            data_key(replace(settings, key_command=command), {})
    assert not settings.data_dir.exists()


def test_a_key_of_another_length_is_refused_without_being_shown(settings: Settings) -> None:
    for text in (KEY.hex()[:-2], "not a key", base64.b64encode(KEY + b"x").decode()):
        with pytest.raises(KeyUnavailable, match="32 bytes") as refused:
            data_key(settings, {"ISLET_KEY": text})
        assert text not in str(refused.value)


def test_the_key_file_may_be_elsewhere(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "keys" / "islet.key"
    key = data_key(replace(settings, key_file=str(elsewhere)), {})
    assert elsewhere.read_text().strip() == key.hex()


def test_an_empty_key_file_is_refused_and_not_overwritten(settings: Settings) -> None:
    settings.data_dir.mkdir()
    file = settings.data_dir / "data.key"
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    with pytest.raises(KeyUnavailable, match="32 bytes"):
        data_key(settings, {})
    assert file.read_bytes() == b""


@pytest.mark.parametrize("left", ["log.db", "store.db"])
def test_no_new_key_is_made_beside_what_a_lost_one_encrypted(settings: Settings, left: str) -> None:
    key = data_key(settings, {})
    file = settings.data_dir / "data.key"
    file.rename(settings.data_dir / "backup")
    (settings.data_dir / left).write_bytes(b"encrypted")
    with pytest.raises(KeyUnavailable, match=rf"data\.key is not there, but {left}.*restore it"):
        data_key(settings, {})
    assert not file.exists()
    (settings.data_dir / "backup").rename(file)
    assert data_key(settings, {}) == key


def test_a_place_where_no_key_can_be_made_is_told(settings: Settings) -> None:
    settings.data_dir.write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(KeyUnavailable, match=r"data\.key: "):
        data_key(settings, {})
    with pytest.raises(KeyUnavailable, match=r"data\.key: cannot be made"):
        data_key(replace(settings, key_file=str(settings.data_dir.parent / "new" / ("x" * 300) / "data.key")), {})
