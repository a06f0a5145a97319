"""What `islet bridge` refuses, in a sentence."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from islet.access.sas import new_key
from islet.cli import main

DEVICE = f"HostName=localhost;DeviceId=cgm-1;SharedAccessKey={new_key()}"
POLICY = f"HostName=localhost;SharedAccessKeyName=service;SharedAccessKey={new_key()}"


def said(tmp_path: Path, connection_string: str, *arguments: str) -> str:
    file = tmp_path / "device.txt"
    file.write_text(connection_string)
    given = ["--data-dir", str(tmp_path), "bridge", "ble", "C0:FF:EE:00:00:01", "--device", str(file), *arguments]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 1, result.output
    assert not any(part and part in result.output for part in connection_string.split("SharedAccessKey=")[1:])
    return result.output


def test_what_is_no_devices_connection_string_is_refused(tmp_path: Path) -> None:
    assert "DeviceId" in said(tmp_path, POLICY)
    assert "expected HostName" in said(tmp_path, "DeviceId=cgm-1")


def test_what_is_no_zone_is_refused(tmp_path: Path) -> None:
    assert "--zone" in said(tmp_path, DEVICE, "--zone", "Vienna/Austria")


def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.operations.logs.configure", lambda *_: None)
    for module in ("bleak", "bumble"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("bleak_radio", "bumble_radio"):
        monkeypatch.delitem(sys.modules, f"islet.bridge.{module}", raising=False)
    assert "islet[ble]" in said(tmp_path, DEVICE)
    assert "islet[ble]" in said(tmp_path, DEVICE, "--hci", "usb:0")
