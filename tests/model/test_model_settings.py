"""Settings: one table, a file, the environment, and errors that help."""

from pathlib import Path

import pytest

from islet.errors import SettingError
from islet.settings import Settings, load


def test_without_a_file_or_environment_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_plain_listeners_are_off_by_default_and_only_loopback_is_bound() -> None:
    settings = Settings()
    assert (settings.mqtt_plain_port, settings.http_plain_port, settings.host) == (0, 0, "127.0.0.1")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "islet.toml"
    file.write_text('retention_days = 7\nroles = ["gateway"]\n', encoding="utf-8")
    settings = load(file, {"ISLET_RETENTION_DAYS": "14"})
    assert (settings.retention_days, settings.roles) == (14.0, ("gateway",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retention = 7", "unknown setting 'retention'"),
        ('partitions = "many"', r"partitions: expected a whole number \(partitions\)"),
        ("partitions = 0", "partitions: expected more than 0"),
        ("https_port = 70000", "https_port: expected a port"),
        ('roles = ["gate"]', "roles: 'gate' is not one of"),
        ("retention_days =", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "islet.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=message):
        load(file, {})


def test_a_secret_is_never_in_the_message() -> None:
    with pytest.raises(SettingError) as caught:
        load(None, {"ISLET_SPEED": "hunter2"})
    assert "hunter2" not in str(caught.value)
