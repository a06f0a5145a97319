"""Consents in the registry: who is asked, what ends them, and what becomes of a registry of an earlier version."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from islet.access.decide import NO_CONSENT, Action, decide, seen
from islet.errors import NotFound
from islet.log.keys import data_key
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.base import EntryKind, Registry
from islet.store.consents import State, followings, forget_unassigned, keep_earlier, set_consent
from islet.store.grants import grant
from islet.store.principals import Principals, read_consents, read_permissions
from islet.store.registry import SqliteRegistry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as one:
        for id in ("p-1", "p-2"):
            one.put_patient(Patient(id=id))
        yield one


def put(registry: Registry, *patients: str, name: str = "anna", role: Role = Role.CARE_PARTNER) -> User:
    user = User(name=name, role=role, password_hash="", patients=patients)
    registry.put_user(user)
    return user


def shown_to(registry: Registry, name: str = "anna") -> set[str]:
    user = registry.user(name)
    assert user is not None
    return set(seen(Principals(registry).of_user(user, 1), Action.VIEW_PATIENT) or ())


def test_a_process_that_runs_hears_of_a_consent_at_once(registry: Registry) -> None:
    user, principals = put(registry, "p-1"), Principals(registry)
    assert not decide(principals.of_user(user, 1), Action.VIEW_PATIENT, "p-1").allowed
    before = principals.epoch(1)
    set_consent(registry, "anna", "p-1", given=True, by="p-1", at_us=1)
    assert principals.epoch(1) != before
    assert decide(principals.of_user(user, 1), Action.VIEW_PATIENT, "p-1").allowed
    set_consent(registry, "anna", "p-1", given=False, by="p-1", at_us=2)
    assert decide(principals.of_user(user, 1), Action.VIEW_PATIENT, "p-1").reason == NO_CONSENT


def test_those_whom_nobody_has_answered_come_first(registry: Registry) -> None:
    for name in ("anna", "ben", "carl"):
        put(registry, "p-1", name=name)
    put(registry, "p-1", name="nurse", role=Role.CLINICIAN)
    set_consent(registry, "anna", "p-1", given=True, by="p-1", at_us=1)
    set_consent(registry, "ben", "p-1", given=False, by="p-1", at_us=1)
    found = [(one.user.name, one.state) for one in followings(registry, ["p-1"])]
    assert found == [("carl", State.ASKED), ("anna", State.GIVEN), ("ben", State.REFUSED)]
    assert followings(registry, ["p-2"]) == []


def test_who_is_assigned_again_is_asked_again_but_a_no_stays(registry: Registry) -> None:
    put(registry, "p-1", "p-2")
    set_consent(registry, "anna", "p-1", given=True, by="p-1", at_us=1)
    set_consent(registry, "anna", "p-2", given=False, by="p-2", at_us=1)
    forget_unassigned(registry, put(registry), by="admin", at_us=2)
    put(registry, "p-1", "p-2")
    assert [(one.patient, one.state) for one in followings(registry)] == [("p-1", State.ASKED), ("p-2", State.REFUSED)]
    set_consent(registry, "anna", "p-1", given=True, by="p-1", at_us=3)
    forget_unassigned(registry, put(registry, "p-1", role=Role.CLINICIAN), by="admin", at_us=4)
    put(registry, "p-1")
    assert shown_to(registry) == set(), "and who has had another role meanwhile"


def test_only_care_partners_are_consented_to(registry: Registry) -> None:
    put(registry, name="nurse", role=Role.CLINICIAN)
    for name, patient in (("nurse", "p-1"), ("nobody", "p-1")):
        with pytest.raises(NotFound):
            set_consent(registry, name, patient, given=True, by=patient, at_us=1)
    assert read_consents(registry) == []


def test_a_registry_of_an_earlier_version_keeps_who_followed_and_who_was_refused_once(registry: Registry) -> None:
    for name in ("anna", "ben"):
        put(registry, "p-1", "p-2", name=name)
    put(registry, "p-1", name="nurse", role=Role.CLINICIAN)
    granted = grant(registry, Permission(id="", issued_to="user/anna", principal_for="p-2"), by="admin", at_us=1)
    withdrawn = Permission(
        id="consent anna p-2",
        issued_to="user/anna",
        principal_for="p-2",
        priority=1_000,
        authorized=False,
        reason="the patient has withdrawn consent",
        granted_by="p-2",
    )  # as versions up to this one wrote it
    registry.put_entry(EntryKind.PERMISSION, withdrawn.id, msgspec.json.encode(withdrawn), by="p-2", at_us=1)
    keep_earlier(registry, 5)
    assert (shown_to(registry), shown_to(registry, "ben")) == ({"p-1"}, {"p-1", "p-2"})
    kept = {(one.user, one.patient): (one.given, one.by, one.earlier) for one in read_consents(registry)}
    assert kept == {
        ("anna", "p-1"): (True, "islet", True),
        ("anna", "p-2"): (False, "p-2", True),
        ("ben", "p-1"): (True, "islet", True),
        ("ben", "p-2"): (True, "islet", True),
    }
    assert read_permissions(registry) == [granted]
    assert {line.by for line in registry.audit() if line.kind == "consent"} == {"islet"}
    put(registry, "p-1", name="carl")
    keep_earlier(registry, 6)
    assert shown_to(registry, "carl") == set(), "who is assigned since then is asked for"


def test_a_new_registry_asks_from_the_beginning(registry: Registry) -> None:
    keep_earlier(registry, 1)
    put(registry, "p-1")
    keep_earlier(registry, 2)
    assert (shown_to(registry), registry.audit()) == (set(), [])


def test_who_is_assigned_while_another_process_brings_the_registry_up_is_asked_for(tmp_path: Path) -> None:
    class Slow(SqliteRegistry):
        """Reads its users after another process was done, and an administrator has assigned somebody."""

        def users(self) -> list[User]:
            with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as other:
                keep_earlier(other, 1)
                put(other, "p-1")
            return super().users()

    with closing(Slow(tmp_path / "store.db", bytes(32))) as registry:
        registry.put_patient(Patient(id="p-1"))
        keep_earlier(registry, 2)
        assert (registry.user("anna"), read_consents(registry)) == (put(registry, "p-1"), [])


def test_a_data_directory_of_an_earlier_version_is_brought_up_when_it_is_opened(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with closing(SqliteRegistry(tmp_path / "store.db", data_key(settings, os.environ))) as registry:
        registry.put_patient(Patient(id="p-1"))
        put(registry, "p-1")
    with opened_registry(settings) as registry:
        assert shown_to(registry) == {"p-1"}
