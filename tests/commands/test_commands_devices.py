"""`islet devices`: one device of the registry on the command line."""

import getpass
from pathlib import Path

import pytest
from click.testing import CliRunner

from islet.access.audit import AuditLine
from islet.access.sas import parse_connection_string
from islet.cli import main
from islet.model.people import Device
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.app_secrets import app_by_secret


class Shell:
    """Runs `islet devices` on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def run(self, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["--data-dir", str(self._data_dir), *words])
        assert result.exit_code == code, result.output
        return result.output

    def device(self, id: str = "cgm-1") -> Device:
        with opened_registry(Settings(data_dir=self._data_dir)) as registry:
            device = registry.device(id)
        assert device is not None
        return device

    def trail(self) -> list[AuditLine]:
        with opened_registry(Settings(data_dir=self._data_dir)) as registry:
            return registry.audit()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.run("patients", "add", "p-1")
    shell.run("devices", "add", "cgm-1", "--patient", "p-1")
    return shell


def test_a_device_is_disabled_for_a_reason_and_enabled_again_as_it_was(shell: Shell) -> None:
    before, lines = shell.device(), len(shell.trail())
    shell.run("devices", "disable", "cgm-1", "--reason", "lost")
    assert (shell.device().enabled, shell.device().status_reason) == (False, "lost")
    assert "state\tdisabled lost" in shell.run("devices", "show", "cgm-1")
    assert "cgm-1\tp-1\tdisabled\tsas" in shell.run("devices", "list")
    shell.run("devices", "enable", "cgm-1")
    shell.run("devices", "unassign", "cgm-1")
    shell.run("devices", "assign", "cgm-1", "p-1")
    after = shell.device()
    assert (after.enabled, after.status_reason, after.patient) == (True, "", "p-1")
    assert (after.primary_key, after.secondary_key) == (before.primary_key, before.secondary_key)
    said = [(line.by, line.action, line.id) for line in shell.trail()[lines:]]
    actions = ("disabled: lost", "enabled", "assigned to nobody", "assigned to p-1")
    assert said == [(f"account {getpass.getuser()}", action, "cgm-1") for action in actions]


@pytest.mark.parametrize(("which", "other"), [("primary", "secondary"), ("secondary", "primary")])
def test_a_key_is_renewed_and_shown_once(shell: Shell, which: str, other: str) -> None:
    before = shell.device()
    told = parse_connection_string(shell.run("devices", "renew-key", "cgm-1", which).strip())
    after = shell.device()
    assert (told.host, told.device, told.key) == ("localhost", "cgm-1", getattr(after, f"{which}_key"))
    assert told.key != getattr(before, f"{which}_key")
    assert getattr(after, f"{other}_key") == getattr(before, f"{other}_key")
    assert shell.trail()[-1].action == f"{which} key renewed"
    for shown in (shell.run("devices", "show", "cgm-1"), shell.run("devices", "list"), str(shell.trail())):
        assert not {after.primary_key, after.secondary_key} & {*shown.split()} and told.key not in shown


def test_what_is_not_there_or_has_no_key_is_said(shell: Shell) -> None:
    shell.run("devices", "add", "signed", "--signed")
    for words in (("show", "none"), ("disable", "none"), ("enable", "none"), ("renew-key", "none", "primary")):
        assert "there is no device 'none'" in shell.run("devices", *words, code=1)
    assert "comes with a certificate" in shell.run("devices", "renew-key", "signed", "primary", code=1)
    assert "authentication\tcertificateAuthority" in shell.run("devices", "show", "signed")
    shell.run("devices", "renew-key", "cgm-1", "both", code=2)


def test_without_a_platform_it_is_said_that_the_connection_is_not_known(shell: Shell) -> None:
    assert "connection\tnot known: there is no platform here" in shell.run("devices", "show", "cgm-1")


def test_the_list_can_be_searched(shell: Shell) -> None:
    shell.run("devices", "add", "pump-1")
    assert shell.run("devices", "list", "--search", "PUMP").splitlines() == ["pump-1\t-\tenabled\tsas"]
    assert shell.run("devices", "list", "--search", "p-1").count("\n") == 2  # also the patient's


@pytest.mark.parametrize(("words", "unit"), [((), "mg/dL"), (("--unit", "mmol/L"), "mmol/L")])
def test_an_app_is_given_the_unit_in_which_it_shows_glucose(
    shell: Shell, tmp_path: Path, words: tuple[str, ...], unit: str
) -> None:
    address = shell.run("devices", "nightscout", "cgm-1", *words)
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        app = app_by_secret(registry, address.partition("://")[2].partition("@")[0])
    assert app is not None
    assert (app.device.id, app.unit) == ("cgm-1", unit)
    assert "Invalid value" in shell.run("devices", "nightscout", "cgm-1", "--unit", "mmol", code=2)
