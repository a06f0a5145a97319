"""Permissions, groups, consents and keys on the command line."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from islet.access.passwords import hash_password
from islet.cli import main
from islet.clock import wall_us
from islet.model.people import Device, Patient, Role, User
from islet.model.time import DAY_US, to_us
from islet.opened import opened_registry
from islet.settings import Settings

HASH = hash_password("correct horse battery staple")


def run(directory: Path, words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--data-dir", str(directory), *words.split()])
    return result.exit_code, result.output


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        for patient in ("p-1", "p-2"):
            registry.put_patient(Patient(id=patient))
        for name, role in (("nurse", Role.CLINICIAN), ("anna", Role.CARE_PARTNER), ("mirror", Role.APPLICATION)):
            registry.put_user(User(name=name, role=role, password_hash=HASH, patients=("p-1",)))
        registry.create_device(Device(id="cgm-1", patient="p-1"))
    return tmp_path


def test_a_permission_is_granted_explained_listed_and_revoked(directory: Path) -> None:
    assert run(directory, "permissions explain user/nurse view_patient p-2") == (
        0,
        "no: this patient is not assigned to the one who asks\n",
    )
    code, line = run(directory, "permissions grant --to user/nurse --for p-2 --action view --days 7 --reason cover")
    id = line.split("\t")[1]
    assert code == 0
    assert run(directory, "permissions list")[1] == line
    assert run(directory, "permissions explain user/nurse view_patient p-2") == (0, f"yes: cover; permission {id}\n")
    assert run(directory, f"permissions revoke {id}")[0] == 0
    assert run(directory, "permissions explain user/nurse view_patient p-2")[1].startswith("no: ")
    assert run(directory, f"permissions revoke {id}")[0] == 1
    trail = run(directory, "audit list --kind permission")[1]
    assert [entry.split("\t")[3] for entry in trail.splitlines()] == ["added", "removed"]


def test_a_group_gets_what_is_issued_to_it(directory: Path) -> None:
    assert run(directory, "groups set ward-3 user/nurse device/cgm-1")[0] == 0
    assert run(directory, "permissions grant --to group/ward-3 --for p-2 --action view --subjects patient")[0] == 0
    assert run(directory, "permissions explain user/nurse view_patient p-2")[1].startswith("yes")
    assert run(directory, "groups set ward-3 device/cgm-1")[0] == 0
    assert run(directory, "permissions explain user/nurse view_patient p-2")[1].startswith("no")


def test_a_refusal_is_asked_before_the_role(directory: Path) -> None:
    assert run(directory, "permissions grant --to device/cgm-1 --action send --refuse")[0] == 0
    said = run(directory, "permissions explain device/cgm-1 send_events p-1")[1]
    assert said.startswith("no: an administrator has refused this; permission")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--to user/nobody --action view", "there is no user/nobody"),
        ("--to nurse --action view", "expected user/"),
        ("--to user/mirror --action view", "there is no user/mirror"),
        ("--to user/nurse --for p-9", "there is no patient"),
        ("--to user/nurse --action view --subjects weather", "is no subject"),
        ("--to user/nurse --priority 5 --action view", "priority: expected"),
        ("--to user/nurse", "expected an action or a patient"),
        ("--to user/nurse --for p-2 --subjects patient,registry", "registry is the whole installation's"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_expected(directory: Path, words: str, said: str) -> None:
    code, output = run(directory, f"permissions grant {words}")
    assert code == 1
    assert said in output


def test_a_consent_on_paper_is_entered_withdrawn_and_listed(directory: Path) -> None:
    ask, paper = "permissions explain user/anna view_patient p-1", "--signed-by mother --on 2026-03-03"
    assert run(directory, ask)[1].startswith("no: the patient has not consented yet")
    assert run(directory, "permissions consents")[1] == "anna\tp-1\tasked\t-\t-\t-\n"
    assert run(directory, f"permissions consent anna p-1 {paper}") == (0, "anna may follow p-1\n")
    assert run(directory, ask)[1].startswith("yes")
    assert run(directory, "permissions consents")[1].endswith("on paper: mother, 2026-03-03\n")
    assert run(directory, "permissions grant --to user/anna --for p-1")[0] == 0
    assert run(directory, f"permissions consent anna p-1 --withdraw {paper}")[0] == 0
    assert run(directory, ask)[1].startswith("no: the patient does not consent")
    for wrong in (
        "nurse p-1 --signed-by x --on 2026-03-03",
        "anna p-1 --on 2026-03-03",
        "anna p-1 --signed-by x --on 3.3.",
    ):
        assert run(directory, f"permissions consent {wrong}")[0] in (1, 2)
    trail = run(directory, "audit list --kind consent")[1]
    assert [line.split("\t")[3] for line in trail.splitlines()] == ["added", "changed"]


def test_who_has_an_account_gives_consent_there_and_withdraws_also_on_paper(directory: Path) -> None:
    with opened_registry(Settings(data_dir=directory)) as registry:
        registry.put_user(User(name="ada", role=Role.PATIENT, password_hash=HASH, patients=("p-1",)))
    paper = "--signed-by Ada --on 2026-03-03"
    code, said = run(directory, f"permissions consent anna p-1 {paper}")
    assert (code, "the patient has an account" in said) == (1, True)
    assert run(directory, f"permissions consent anna p-1 --withdraw {paper}")[0] == 0


def test_who_is_assigned_to_a_patient_is_told_that_consent_is_waited_for(directory: Path) -> None:
    said = run(directory, "users add anna --patients p-1,p-2")[1]
    assert "anna sees nothing of p-1, p-2 before consent is given" in said
    assert run(directory, "permissions consent anna p-2 --signed-by mother --on 2026-03-03")[0] == 0
    assert run(directory, "users add anna --patients p-1")[0] == 0
    assert run(directory, "users add anna --patients p-2")[0] == 0
    assert "asked" in run(directory, "permissions consents")[1], "assigned again is asked again"


def test_a_key_is_shown_once_and_kept_as_a_hash(directory: Path) -> None:
    code, token = run(directory, "keys add mirror --only consume_log --purpose copy")
    assert code == 0
    assert re.fullmatch(r"islet_[0-9a-f]{12}_[\w-]{43}\n", token)
    id = token.split("_")[1]
    listing = run(directory, "keys list")[1]
    assert listing.startswith(f"{id}\tmirror\t")
    trail = run(directory, "audit list --values")[1]
    secret = token.strip().split("_", 2)[2]
    assert secret not in listing + trail
    assert run(directory, f"keys revoke {id}")[0] == 0
    assert run(directory, "keys list") == (0, "")
    assert run(directory, "keys add nurse")[0] == 1
    assert run(directory, "keys add mirror --only fly")[0] == 1


def test_a_persons_token_is_narrower_than_they_are_listed_with_its_end_and_revoked(directory: Path) -> None:
    code, token = run(directory, "users token nurse --only view_patient --days 7 --purpose phone")
    assert (code, bool(re.fullmatch(r"islet_[0-9a-f]{12}_[\w-]{43}\n", token))) == (0, True)
    id = token.split("_")[1]
    listed, name, ends, scope, purpose = run(directory, "keys list")[1].rstrip("\n").split("\t")
    assert (listed, name, scope, purpose) == (id, "nurse", "view_patient", "phone")
    assert 6.9 < (to_us(datetime.fromisoformat(ends)) - wall_us()) / DAY_US < 7.0
    assert run(directory, f"keys revoke {id}")[0] == 0
    assert run(directory, "keys list") == (0, "")
    assert run(directory, "users token nurse --only fly")[0] == 1
    assert run(directory, "users token nobody")[0] == 1
    assert run(directory, "users token nurse")[0] == 0
    assert run(directory, "users revoke nurse")[0] == 0
    assert run(directory, "keys list") == (0, "")


def test_a_group_of_patients_is_made_given_renamed_and_ended(directory: Path) -> None:
    assert run(directory, "patients group add ward-3 p-1 p-2") == (0, "group ward-3 has 2 patients\n")
    assert run(directory, "patients group assign ward-3 nurse")[0] == 0
    assert run(directory, "patients group list")[1] == "ward-3\tp-1,p-2\tnurse\n"
    assert run(directory, "permissions explain user/nurse acknowledge p-2")[1].startswith("yes: ")
    assert run(directory, "patients group rename ward-3 ward-4")[0] == 0
    assert run(directory, "permissions explain user/nurse acknowledge p-2")[1].startswith("yes: ")
    assert run(directory, "patients group remove ward-4 p-2") == (0, "group ward-4 has 1 patients\n")
    assert run(directory, "permissions explain user/nurse acknowledge p-2")[1].startswith("no: ")
    assert run(directory, "users add nurse --patients group/ward-3")[0] == 1
    assert run(directory, "users add anna --patients group/ward-4")[0] == 1
    assert run(directory, "users add nurse --patients group/ward-4")[0] == 0
    assert run(directory, "permissions grant --to user/anna --for group/ward-4 --action view")[0] == 0
    assert run(directory, "patients group delete ward-4")[0] == 0
    assert run(directory, "patients group delete ward-4")[0] == 1
    assert run(directory, "patients group list")[1] == run(directory, "permissions list")[1] == ""
    assert "group" not in run(directory, "users list")[1]
