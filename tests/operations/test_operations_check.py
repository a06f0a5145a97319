"""`islet check` names what is wrong and how to mend it."""

import socket
from dataclasses import replace
from pathlib import Path

from islet.errors import KeyUnavailable
from islet.operations.check import Finding, findings
from islet.settings import Settings


def quiet(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path, mqtt_tls_port=0, https_port=0)


def well() -> None:
    """The log and the store open."""


def named(found: list[Finding], what: str) -> Finding:
    return next(finding for finding in found if finding.what == what)


def test_a_new_installation_is_well(tmp_path: Path) -> None:
    found = findings(quiet(tmp_path), opens=well)
    assert [finding for finding in found if not finding.ok and finding.what not in ("page assets", "disk")] == []


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = findings(replace(quiet(tmp_path), mqtt_tls_port=port), opens=well)
    finding = named(found, "mqtt_tls_port")
    assert not finding.ok
    assert "set mqtt_tls_port" in finding.says


def test_a_key_that_others_can_read_is_found(tmp_path: Path) -> None:
    key = tmp_path / "data.key"
    key.write_text("not a real key", encoding="utf-8")
    key.chmod(0o644)
    finding = named(findings(quiet(tmp_path), opens=well), "data.key")
    assert not finding.ok
    assert "chmod 600" in finding.says


def test_a_wrong_data_key_is_told_in_its_own_words(tmp_path: Path) -> None:
    def refused() -> None:
        raise KeyUnavailable("the data key does not open log.db")

    finding = named(findings(quiet(tmp_path), opens=refused), "data key")
    assert (finding.ok, finding.says) == (False, "the data key does not open log.db")
