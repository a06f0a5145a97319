"""Settings: one table, a file, the environment, and errors that help."""

from dataclasses import replace
from pathlib import Path

import pytest

from islet.errors import SettingError
from islet.settings import Settings, checked, load, passed_over


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
        ("https_prt = 443", "did you mean https_port"),
        ('partitions = "many"', r"partitions: expected a whole number \(partitions\)"),
        ("kafka_replicas = 0", "kafka_replicas: expected more than 0"),
        ("https_port = 70000", "https_port: expected a port"),
        ("partitions = 2.5", "partitions: expected a whole number"),
        ("partitions = true", "partitions: expected a whole number"),
        ('roles = ["gate"]', "roles: 'gate' is not one of"),
        ("roles = [1]", "roles: expected a list of words"),
        ("roles = []", "roles: expected at least one of gateway"),
        ('log_level = "loud"', "log_level: expected one of debug"),
        ("jobs_hour = 24", "jobs_hour: expected at most 23 h"),
        ('jobs_time_zone = "Mars"', "jobs_time_zone: expected a time zone"),
        ('jobs_time_zone = "../etc"', "jobs_time_zone: expected a time zone"),
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


def test_spaces_around_the_roles_are_no_part_of_their_names() -> None:
    assert load(None, {"ISLET_ROLES": "gateway, engine"}).roles == ("gateway", "engine")


@pytest.mark.parametrize("name", ["speed", "retention_days", "lateness_min", "commit_within_ms", "session_h"])
@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "-1", "1e300"])
def test_a_number_outside_of_what_is_sensible_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"setting {name}: expected"):
        load(None, {f"ISLET_{name.upper()}": text})


@pytest.mark.parametrize(
    "name", ["compact_every_s", "speed", "retention_days", "engine_tick_s", "notify_give_up_h", "kafka_replicas"]
)
def test_nothing_that_divides_or_paces_may_be_zero(name: str) -> None:
    with pytest.raises(SettingError, match=f"setting {name}: expected more than 0"):
        load(None, {f"ISLET_{name.upper()}": "0"})


@pytest.mark.parametrize("name", ["commit_within_ms", "lateness_min", "future_min", "silence_grace_s"])
def test_a_tolerance_may_be_zero(name: str) -> None:
    assert getattr(load(None, {f"ISLET_{name.upper()}": "0"}), name) == 0


def test_what_is_changed_after_loading_can_be_checked_again() -> None:
    settings = replace(Settings(), speed=0.0)
    with pytest.raises(SettingError, match="speed: expected more than 0"):
        checked(settings)
    assert checked(Settings()) == Settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ISLET_HTTP_PORT", "did you mean ISLET_HTTPS_PORT?"),
        ("ISLET_TELEGRAM_TOKN", "did you mean ISLET_TELEGRAM_TOKEN?"),
        ("ISLET_KEYS", "did you mean ISLET_KEY?"),
        ("ISLET_AGENT_KEYS", "did you mean ISLET_AGENT_KEY?"),
        ("ISLET_ZZZZZZZZ", "has no effect; `islet settings`"),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_the_nearest_that_is_one(name: str, nearest: str) -> None:
    (said,) = passed_over({name: "a secret", "ISLET_HTTPS_PORT": "8443"})
    assert said.startswith(f"{name} is no setting")
    assert nearest in said
    assert "secret" not in said


def test_a_port_that_kubernetes_tells_of_a_service_of_that_name_is_no_slip() -> None:
    told = {
        "ISLET_PORT": "tcp://10.0.0.7:8443",
        "ISLET_PORT_8443_TCP_ADDR": "10.0.0.7",
        "ISLET_SERVICE_HOST": "10.0.0.7",
        "ISLET_GATEWAY_SERVICE_PORT_MQTT": "8883",
    }
    assert passed_over(told) == []
    assert len(passed_over({"ISLET_PORT": "8443"})) == 1
