"""`islet check` names what is wrong and how to mend it."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from islet.errors import IsletError, KeyUnavailable
from islet.operations.check import Finding
from islet.operations.check import findings as all_findings
from islet.operations.locks import only_one
from islet.settings import Settings


def quiet(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path, mqtt_tls_port=0, https_port=0)


def well() -> None:
    """The log and the store open."""


def findings(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    opens: Callable[[], None],
    kafka: Callable[[], None] = well,
    failing: Callable[[], Sequence[str]] = list,
) -> list[Finding]:
    return all_findings(settings, environment, opens=opens, kafka=kafka, failing=failing)


def named(found: list[Finding], what: str) -> Finding:
    return next(finding for finding in found if finding.what == what)


def test_a_new_installation_is_well(tmp_path: Path) -> None:
    found = findings(quiet(tmp_path), {}, opens=well)
    assert [finding for finding in found if not finding.ok and finding.what not in ("page assets", "disk")] == []


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = findings(replace(quiet(tmp_path), mqtt_tls_port=port), {}, opens=well)
    finding = named(found, "mqtt_tls_port")
    assert not finding.ok
    assert "set mqtt_tls_port" in finding.says


def test_a_port_in_use_is_well_while_the_platform_runs_on_this_data_directory(tmp_path: Path) -> None:
    with only_one(tmp_path, ["store"]), socket.create_server(("127.0.0.1", 0)) as taken:
        settings = replace(quiet(tmp_path), amqp_tls_port=taken.getsockname()[1])
        assert named(findings(settings, {}, opens=well), "amqp_tls_port").ok
    with only_one(tmp_path, ["jobs"]), socket.create_server(("127.0.0.1", 0)) as taken:
        settings = replace(quiet(tmp_path), amqp_tls_port=taken.getsockname()[1])
        assert not named(findings(settings, {}, opens=well), "amqp_tls_port").ok


def test_a_platform_that_runs_is_asked_how_it_is(tmp_path: Path) -> None:
    def silent() -> list[str]:
        raise IsletError("no answer")

    settings = replace(Settings(), data_dir=tmp_path)
    with only_one(tmp_path, ["store"]):
        ill = named(findings(settings, {}, opens=well, failing=lambda: ["log writer"]), "platform")
        assert (ill.ok, "log writer does not work" in ill.says) == (False, True)
        assert named(findings(settings, {}, opens=well, failing=list), "platform").ok
        assert not named(findings(settings, {}, opens=well, failing=silent), "platform").ok
    stopped = findings(settings, {}, opens=well, failing=silent)
    assert [finding for finding in stopped if finding.what == "platform"] == []


def test_nothing_is_opened_where_nothing_was_made_yet(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError

    new = quiet(tmp_path / "new")
    for log in ("sqlite", "kafka"):
        assert named(findings(replace(new, log=log), {}, opens=never), "data key").ok


def test_a_kafka_that_lets_nobody_in_is_a_finding_of_its_own(tmp_path: Path) -> None:
    def refused() -> None:
        raise OSError(5, "Kafka at k:9092 does not let us in")

    settings = replace(quiet(tmp_path), log="kafka", kafka_bootstrap="k:9092")
    finding = named(findings(settings, {}, opens=well, kafka=refused), "kafka")
    assert (finding.ok, finding.says) == (False, "Kafka at k:9092 does not let us in")
    assert named(findings(settings, {}, opens=well), "kafka").ok
    assert "kafka" not in [one.what for one in findings(quiet(tmp_path), {}, opens=well)]


@pytest.mark.parametrize(("there", "missing"), [("log.db", "store.db"), ("store.db", "log.db")])
def test_a_backup_that_was_copied_by_half_is_found_before_anything_is_made(
    tmp_path: Path, there: str, missing: str
) -> None:
    (tmp_path / there).touch()
    finding = named(findings(quiet(tmp_path), {}, opens=pytest.fail), "data key")
    assert not finding.ok and finding.says.startswith(f"{missing} is not there")


def test_a_variable_that_is_no_setting_is_found(tmp_path: Path) -> None:
    finding = named(findings(quiet(tmp_path), {"ISLET_HTTP_PORT": "443"}, opens=well), "environment")
    assert (finding.ok, "ISLET_HTTPS_PORT" in finding.says) == (False, True)


def test_a_key_that_cannot_be_looked_at_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "server.key").touch()

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("islet.operations.check._mode", refused)
    finding = named(findings(quiet(tmp_path), {}, opens=well), "server.key")
    assert (finding.ok, "Permission denied" in finding.says) == (False, True)


def test_a_key_that_others_can_read_is_found(tmp_path: Path) -> None:
    key = tmp_path / "data.key"
    key.write_text("not a real key", encoding="utf-8")
    key.chmod(0o644)
    finding = named(findings(quiet(tmp_path), {}, opens=well), "data.key")
    assert not finding.ok
    assert "chmod 600" in finding.says


def test_a_wrong_data_key_is_told_in_its_own_words(tmp_path: Path) -> None:
    for name in ("log.db", "store.db"):
        (tmp_path / name).touch()

    def refused() -> None:
        raise KeyUnavailable("the data key does not open log.db")

    finding = named(findings(quiet(tmp_path), {}, opens=refused), "data key")
    assert (finding.ok, finding.says) == (False, "the data key does not open log.db")


def test_a_data_directory_below_a_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")
    finding = named(findings(replace(quiet(tmp_path), data_dir=file / "data"), {}, opens=well), "data directory")
    assert (finding.ok, str(file) in finding.says) == (False, True)


def test_a_disk_that_refuses_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()

    def refused() -> None:
        raise OSError(5, "Input/output error", "log.db")

    assert not named(findings(quiet(tmp_path), {}, opens=refused), "data key").ok


@pytest.mark.parametrize(
    ("token", "chat", "ok", "says"),
    [
        ("12:secret", "34", True, "go to Telegram"),
        ("12:secret", "", True, "go to Telegram"),  # people's own chats
        ("", "34", False, "telegram_token is not"),
        ("", "", True, "portal and the console only"),
    ],
)
def test_alarms_reach_a_phone_only_with_a_bot(tmp_path: Path, token: str, chat: str, ok: bool, says: str) -> None:
    settings = replace(quiet(tmp_path), telegram_token=token, telegram_chat=chat)
    finding = named(findings(settings, {}, opens=well), "alarms")
    assert finding.ok is ok
    assert says in finding.says
    assert "secret" not in finding.says
