"""The command line, as somebody who sets up an installation uses it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from islet.access.sas import parse_connection_string
from islet.cli import main


class Shell:
    """Runs `islet` on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["--data-dir", str(self._data_dir), *words])

    def ok(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_device_is_registered_for_a_patient_and_its_connection_string_shown_once(shell: Shell) -> None:
    shell.ok("patients", "add", "p-001", "--label", "Bed 4", "--tags", "ward-3")
    credentials = parse_connection_string(shell.ok("devices", "add", "cgm-001", "--patient", "p-001").strip())
    assert (credentials.host, credentials.device) == ("localhost", "cgm-001")
    listed = shell.ok("devices", "list")
    assert "cgm-001\tp-001\tenabled" in listed
    assert credentials.key not in listed


def test_a_second_device_of_one_name_is_refused_in_a_sentence(shell: Shell) -> None:
    shell.ok("devices", "add", "cgm-001")
    again = shell.run("devices", "add", "cgm-001")
    assert again.exit_code == 1
    assert again.output.startswith("Error: ")
    assert "Traceback" not in again.output


def test_a_device_cannot_be_given_to_somebody_who_is_not_there(shell: Shell) -> None:
    assert "islet patients add" in shell.run("devices", "add", "cgm-001", "--patient", "nobody").output


def test_users_are_added_with_a_role_and_get_tokens(shell: Shell) -> None:
    shell.ok("users", "add", "wang", "--role", "clinician", "--patients", "p-1,p-2", "--password", "a long password")
    assert "wang\tclinician\tp-1,p-2" in shell.ok("users", "list")
    assert len(shell.ok("users", "token", "wang").strip()) > 30
    assert "there is no user 'li'" in shell.run("users", "token", "li").output


def test_the_hub_policies_have_keys_of_their_own(shell: Shell) -> None:
    owner = parse_connection_string(shell.ok("hub", "connection-string", "iothubowner").strip())
    reader = parse_connection_string(shell.ok("hub", "connection-string", "registryRead").strip())
    assert owner.policy == "iothubowner"
    assert owner.key != reader.key
    assert shell.ok("hub", "connection-string", "iothubowner").strip().endswith(owner.key)


def test_settings_are_listed_with_unit_and_meaning_and_secrets_hidden(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLET_TELEGRAM_TOKEN", "12:secret")
    shown = shell.ok("settings")
    assert re.search(r"^retention_days = 30.0 days$", shown, re.MULTILINE)
    assert "12:secret" not in shown


def test_an_unknown_setting_is_told_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "islet.toml"
    file.write_text("retention = 3", encoding="utf-8")
    result = CliRunner().invoke(main, ["--settings", str(file), "settings"])
    assert "unknown setting 'retention'" in result.output


def test_the_ca_that_devices_have_to_trust_is_printed(shell: Shell) -> None:
    assert Path(shell.ok("certs").strip()).read_text(encoding="ascii").startswith("-----BEGIN CERTIFICATE-----")


def test_rebuilding_an_empty_store_is_harmless(shell: Shell) -> None:
    assert "0 readings" in shell.ok("store", "rebuild")
