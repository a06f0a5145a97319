"""The command line, as somebody who sets up an installation uses it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from islet.access.sas import parse_connection_string
from islet.cli import main
from islet.commands.lazy import LazyGroup
from islet.errors import IsletError
from islet.model.people import Patient, User
from islet.opened import opened_registry
from islet.operations.locks import only_one
from islet.provision import PlatformClock, failing_parts
from islet.settings import Settings

PASSWORD = "a long password"


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

    def refused(self, *words: str) -> str:
        """What is said, in one sentence."""
        result = self.run(*words)
        assert result.exit_code != 0
        assert isinstance(result.exception, SystemExit), result.exception
        (said,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
        return said

    def user(self, name: str) -> User:
        with opened_registry(Settings(data_dir=self._data_dir)) as registry:
            user = registry.user(name)
        assert user is not None
        return user

    def patient(self, id: str) -> Patient:
        with opened_registry(Settings(data_dir=self._data_dir)) as registry:
            patient = registry.patient(id)
        assert patient is not None
        return patient

    def sessions(self, name: str) -> bool:
        """Whether the session "t" of a user, made now, is there after `islet users revoke`."""
        with opened_registry(Settings(data_dir=self._data_dir)) as registry:
            registry.create_session("t", name, 2)
            self.ok("users", "revoke", name)
            return registry.session_user("t", 1) is not None


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
    for patient in ("p-1", "p-2"):
        shell.ok("patients", "add", patient)
    shell.ok("users", "add", "wang", "--role", "clinician", "--patients", "p-1, p-2", "--password", PASSWORD)
    assert "wang\tclinician\tp-1,p-2" in shell.ok("users", "list")
    assert len(shell.ok("users", "token", "wang").strip()) > 30
    assert "there is no user 'li'" in shell.run("users", "token", "li").output


def test_the_hub_policies_have_keys_of_their_own(shell: Shell) -> None:
    owner = parse_connection_string(shell.ok("hub", "connection-string", "iothubowner").strip())
    of_events = shell.ok("hub", "connection-string", "iothubowner", "--event-hub").strip()
    named = f"SharedAccessKeyName=iothubowner;SharedAccessKey={owner.key};EntityPath=device-messages"
    assert of_events == f"Endpoint=sb://{owner.host}/;{named}"
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


def test_changing_a_user_changes_only_what_is_given(shell: Shell) -> None:
    shell.ok("patients", "add", "p-1")
    shell.ok("users", "add", "wang", "--role", "clinician", "--patients", "p-1", "--password", PASSWORD)
    shell.ok("users", "disable", "wang")
    before = shell.user("wang")
    assert "stays disabled" in shell.ok("users", "add", "wang", "--role", "care_partner")
    assert shell.user("wang") == structs.replace(before, role=shell.user("wang").role)
    assert shell.user("wang").role == "care_partner"
    shell.ok("users", "enable", "wang")
    assert shell.user("wang").enabled


def test_a_new_user_is_asked_for_a_password(tmp_path: Path) -> None:
    words = ["--data-dir", str(tmp_path), "users", "add", "wang", "--role", "clinician"]
    assert CliRunner().invoke(main, words, input=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    assert Shell(tmp_path).user("wang").password_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--role", "clinician", "--password", "1234567"], "password: expected at least 8"),
        (["--role", "clinician", "--password", ""], "password: expected at least 8"),
        (["--role", "clinician", "--password", PASSWORD, "--patients", "*"], "* is not for a clinician"),
        (["--role", "clinician", "--password", PASSWORD, "--patients", "nobody"], "there is no patient 'nobody'"),
        (["--password", PASSWORD], "needs a --role"),
    ],
)
def test_a_user_who_cannot_be_is_refused_and_not_kept(shell: Shell, words: list[str], says: str) -> None:
    assert says in shell.refused("users", "add", "wang", *words)
    assert "wang" not in shell.ok("users", "list")


def test_an_application_may_see_everybody_and_no_longer_when_it_becomes_a_clinician(shell: Shell) -> None:
    shell.ok("users", "add", "mirror", "--role", "application", "--patients", "*", "--password", PASSWORD)
    assert "* is not for a clinician" in shell.refused("users", "add", "mirror", "--role", "clinician")
    assert shell.user("mirror").role == "application"


def test_all_sessions_of_a_user_are_revoked(shell: Shell) -> None:
    shell.ok("users", "add", "wang", "--role", "clinician", "--password", PASSWORD)
    assert not shell.sessions("wang")
    assert "there is no user 'li'" in shell.refused("users", "revoke", "li")


@pytest.mark.parametrize("days", ["inf", "nan", "-1", "0", "1e300"])
def test_a_token_lasts_a_number_of_days(shell: Shell, days: str) -> None:
    shell.ok("users", "add", "wang", "--role", "clinician", "--password", PASSWORD)
    assert "'--days'" in shell.refused("users", "token", "wang", "--days", days)


def test_changing_a_patient_changes_only_what_is_given(shell: Shell) -> None:
    shell.ok("patients", "add", "p-1", "--label", "Bed 4", "--time-zone", "Europe/Vienna", "--tags", "ward-3, icu")
    before = shell.patient("p-1")
    assert before.tags == ("ward-3", "icu")
    shell.ok("patients", "add", "p-1", "--label", "Bed 5")
    assert shell.patient("p-1") == structs.replace(before, label="Bed 5")
    shell.ok("patients", "add", "p-1", "--tags", "")
    assert shell.patient("p-1") == structs.replace(before, label="Bed 5", tags=())


@pytest.mark.parametrize("id", ["", "a/b", "a b", "ä", "../up", "x" * 65])
def test_a_patient_has_an_id_that_can_stand_in_an_address(shell: Shell, id: str) -> None:
    assert "patient id: expected" in shell.refused("patients", "add", "--", id)


@pytest.mark.parametrize("label", ["Bed 4\nBcc: x@y", "\u202eevil", "x" * 201])
def test_a_label_reads_as_it_is_written(shell: Shell, label: str) -> None:
    assert "label: expected" in shell.refused("patients", "add", "p-1", "--label", label)
    shell.ok("patients", "add", "p-1", "--label", "名" * 200)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe", "/etc/passwd", "../x"])
def test_a_patient_lives_in_a_time_zone_that_exists(shell: Shell, zone: str) -> None:
    assert "time zone: expected" in shell.refused("patients", "add", "p-1", "--time-zone", zone)


@pytest.mark.parametrize("id", ["", "a/b", "a b", "a#", "a+b", "ä", "x" * 129])
def test_a_device_has_an_id_that_can_stand_in_a_topic(shell: Shell, id: str) -> None:
    assert "device id: expected" in shell.refused("devices", "add", "--", id)


def test_a_device_id_may_have_every_other_sign_that_an_iot_hub_allows(shell: Shell) -> None:
    shell.ok("devices", "add", "aZ9-.%_*?!(),=@$'")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--roles", "gate"], "setting roles: 'gate' is not one of"),
        (["--roles", ""], "setting roles: expected at least one"),
        (["--speed", "0"], "setting speed: expected more than 0"),
        (["--speed", "-1"], "setting speed: expected more than 0"),
        (["--speed", "inf"], "setting speed: expected at most"),
        (["--speed", "nan"], "setting speed: expected"),
    ],
)
def test_what_serve_is_told_is_checked_as_the_settings_are(shell: Shell, words: list[str], says: str) -> None:
    assert says in shell.refused("serve", *words)


@pytest.mark.parametrize("words", ["serve", "certs", "users list", "store counts", "store rebuild", "simulate"])
def test_a_place_that_cannot_be_written_is_told_in_one_sentence(words: str) -> None:
    assert "Not a directory" in Shell(Path("/dev/null/x")).refused(*words.split())


@pytest.mark.parametrize("words", ["store counts", "store rebuild", "users list", "hub connection-string device"])
def test_a_wrong_key_is_told_in_one_sentence(shell: Shell, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.ok("store", "rebuild")
    monkeypatch.setenv("ISLET_KEY", os.urandom(32).hex())
    assert "does not open this database" in shell.refused(*words.split())


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999999", "x"])
@pytest.mark.parametrize("words", [("simulate",), ("demo",), ("forecast", "train", "here.csv", "--out", "here.npz")])
def test_a_seed_that_cannot_be_is_refused(tmp_path: Path, words: tuple[str, ...], seed: str) -> None:
    (tmp_path / "here.csv").touch()
    result = Shell(tmp_path).run(*(str(tmp_path / one) if "." in one else one for one in words), "--seed", seed)
    assert result.exit_code == 2 and "--seed" in result.output


def test_people_whose_files_names_make_no_id_do_not_become_one_patient(tmp_path: Path) -> None:
    (tmp_path / "王小明.xls").touch()
    result = Shell(tmp_path).run("replay", str(tmp_path / "王小明.xls"))
    assert result.exit_code == 1 and "give one with --patient" in result.output


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
def test_simulated_people_live_by_the_platforms_clock(speed: float) -> None:
    instants = iter([10_000, 10_000, 15_000])
    now = PlatformClock(10**15, speed).running(lambda: next(instants))
    assert (now(), now()) == (10**15, 10**15 + 5_000 * speed)


def test_simulating_without_a_platform_says_how_to_start_one(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISLET_HTTPS_PORT", "1")
    assert "start one with `islet serve`" in shell.refused("simulate", "--patients", "1")


def test_a_store_is_not_rebuilt_beside_a_running_platform(shell: Shell, tmp_path: Path) -> None:
    with only_one(tmp_path, ["store"]):
        refused = shell.run("store", "rebuild")
    assert refused.exit_code == 1
    assert "already runs in another process" in refused.output


@pytest.mark.parametrize("words", [(), ("patients",), ("devices",)])
def test_the_list_of_commands_says_what_each_says_of_itself(shell: Shell, words: tuple[str, ...]) -> None:
    group: click.Command | None = main
    context = click.Context(main)
    for word in words:
        assert isinstance(group, click.Group)
        group = group.get_command(context, word)
    assert isinstance(group, LazyGroup)
    formatter = click.HelpFormatter(width=80)  # as the test runner has it
    click.Group.format_commands(group, context, formatter)  # which imports all of them
    assert formatter.getvalue() in shell.ok(*words, "--help")


def test_help_is_there_without_the_machinery() -> None:
    code = "import sys; from islet.cli import main; main(['--help'], standalone_mode=False); sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_variable_that_is_no_setting_is_told_beside_what_a_command_prints(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLET_DATA_DR", "elsewhere")
    result = shell.run("certs")
    assert (result.exit_code, "did you mean ISLET_DATA_DIR?" in result.stderr) == (0, True)
    assert "ISLET" not in result.stdout
    assert "MEND  environment: ISLET_DATA_DR" in shell.run("check").stdout


def test_an_application_is_asked_for_no_password_and_told_how_it_gets_its_key(shell: Shell) -> None:
    assert "`islet keys add mirror`" in shell.ok("users", "add", "mirror", "--role", "application")
    assert shell.user("mirror").password_hash == ""
    assert shell.ok("keys", "add", "mirror").startswith("islet_")


def test_a_platform_that_is_ill_says_so_and_one_that_is_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, https_port=1)
    with pytest.raises(IsletError, match="no answer at https://localhost:1"):
        failing_parts(settings)
    monkeypatch.setattr(httpx, "get", lambda url, verify: httpx.Response(503, json={"failing": [url]}))
    assert failing_parts(settings) == ["https://localhost:1/healthz"]
