"""Groups of patients: who is in them, who has them, and what becomes of that when they change."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.access.decide import Action, decide, seen
from islet.engine import groups as ruled
from islet.engine.parameters import Override
from islet.engine.rulebook import RuleBook
from islet.errors import AlreadyExists, BadInput, NotFound
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission, Verb
from islet.store.base import Registry
from islet.store.consents import set_consent
from islet.store.grants import grant
from islet.store.patient_groups import assign_group, assigned, members, put_members
from islet.store.principals import Principals, read_permissions
from islet.store.registry import SqliteRegistry

PATIENTS = ("p-1", "p-2", "p-3")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as one:
        for id in PATIENTS:
            one.put_patient(Patient(id=id, tags=("simulated",)))
        for name, role in (("nurse", Role.CLINICIAN), ("anna", Role.CARE_PARTNER), ("boss", Role.ADMINISTRATOR)):
            one.put_user(User(name=name, role=role, password_hash="", patients=("p-1",)))
        yield one


def put(registry: Registry, name: str, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
    put_members(registry, name, add=add, remove=remove, by="boss", at_us=1)


def shown_to(registry: Registry, name: str, action: Action = Action.VIEW_PATIENT) -> set[str]:
    """Whose patients they may see now, as a process does that has been running all the time."""
    user = registry.user(name)
    assert user is not None
    shown = seen(Principals(registry).of_user(user, 1), action, lambda: PATIENTS)
    return set(PATIENTS if shown is None else shown)


def test_a_group_given_to_a_nurse_is_their_patients_of_now_and_of_later(registry: Registry) -> None:
    put(registry, "ward-3", ("p-2",))
    principals = Principals(registry)
    assign_group(registry, "nurse", "ward-3", given=True, by="boss", at_us=1)
    user = registry.user("nurse")
    assert user is not None
    for action in (Action.VIEW_PATIENT, Action.ACKNOWLEDGE, Action.SET_PATIENT_RULES):
        assert seen(principals.of_user(user, 1), action) == frozenset({"p-1", "p-2"})
    put(registry, "ward-3", ("p-3",), ("p-2",))
    assert seen(principals.of_user(user, 1), Action.VIEW_PATIENT) == frozenset({"p-1", "p-3"})
    assign_group(registry, "nurse", "ward-3", given=False, by="boss", at_us=1)
    assert shown_to(registry, "nurse") == {"p-1"}
    told = [(line.action, line.id) for line in registry.audit() if line.kind == "patient_group"]
    assert told == [
        ("added p-2", "ward-3"),
        ("given to nurse", "ward-3"),
        ("added p-3", "ward-3"),
        ("removed p-2", "ward-3"),
        ("taken from nurse", "ward-3"),
    ]


def test_a_permission_for_a_group_holds_for_its_patients_alone(registry: Registry) -> None:
    put(registry, "ward-3", ("p-2",))
    wanted = Permission(id="", issued_to="user/nurse", principal_for="group/ward-3", action=Verb.VIEW)
    grant(registry, wanted, by="boss", at_us=1)
    assert shown_to(registry, "nurse") == {"p-1", "p-2"}
    assert shown_to(registry, "nurse", Action.ACKNOWLEDGE) == {"p-1"}
    with pytest.raises(NotFound):
        grant(registry, Permission(id="", issued_to="user/nurse", principal_for="group/no"), by="boss", at_us=1)


def test_who_follows_one_patient_by_consent_is_given_no_group(registry: Registry) -> None:
    put(registry, "ward-3", ("p-1", "p-2"))
    with pytest.raises(BadInput):
        assign_group(registry, "anna", "ward-3", given=True, by="boss", at_us=1)
    grant(registry, Permission(id="", issued_to="user/anna", principal_for="group/ward-3"), by="boss", at_us=1)
    assert shown_to(registry, "anna") == set()
    for patient in ("p-1", "p-2"):
        set_consent(registry, "anna", patient, given=True, by=patient, at_us=1)
    assert shown_to(registry, "anna") == {"p-1", "p-2"}
    set_consent(registry, "anna", "p-1", given=False, by="p-1", at_us=1)
    assert shown_to(registry, "anna") == {"p-2"}


def test_a_group_that_is_renamed_keeps_its_patients_people_and_rules(registry: Registry) -> None:
    put(registry, "ward-3", ("p-2", "p-3"))
    assign_group(registry, "nurse", "ward-3", given=True, by="boss", at_us=1)
    wanted = Permission(id="", issued_to="user/anna", principal_for="group/ward-3", action=Verb.VIEW)
    kept = grant(registry, wanted, by="boss", at_us=1)
    book = RuleBook(registry)
    level = Override(
        rule="high", layer="group", of="ward-3", parameters={"high_alarm_mg_dl": 200.0}, author="boss", set_us=1
    )
    book.set(level, Role.ADMINISTRATOR)
    ruled.rename(registry, book, "ward-3", "ward-4", by="boss", at_us=2)
    assert members(registry.patients()) == {"simulated": PATIENTS, "ward-4": ("p-2", "p-3")}
    assert assigned(registry.users()) == {"ward-4": ["nurse"]}
    assert shown_to(registry, "nurse") == set(PATIENTS)
    assert [(one.id, one.principal_for) for one in read_permissions(registry)] == [(kept.id, "group/ward-4")]
    assert [(one.of, one.parameters) for one in book.current().overrides] == [("ward-4", {"high_alarm_mg_dl": 200.0})]
    with pytest.raises(BadInput):
        ruled.rename(registry, book, "ward-4", "ward 5", by="boss", at_us=2)
    assert [one.of for one in book.current().overrides] == ["ward-4"]
    with pytest.raises(AlreadyExists):
        ruled.rename(registry, book, "ward-4", "simulated", by="boss", at_us=2)
    ruled.delete(registry, book, "ward-4", by="boss", at_us=3)
    assert (shown_to(registry, "nurse"), read_permissions(registry)) == ({"p-1"}, [])
    assert book.current().overrides == ()
    assert members(registry.patients()) == {"simulated": PATIENTS}


def test_nothing_changes_when_one_of_the_patients_or_the_name_is_wrong(registry: Registry) -> None:
    names = [(name, ("p-1",)) for name in ("ward 3", "", "a,b", ".", "..")]
    for name, patients in [("ward-3", ("p-1", "nobody")), *names]:
        with pytest.raises((BadInput, NotFound)):
            put(registry, name, patients)
    assert members(registry.patients()) == {"simulated": PATIENTS}
    assert registry.audit() == []


@settings(max_examples=12)  # each makes a registry
@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.sampled_from(PATIENTS)), max_size=8))
def test_somebody_who_has_a_group_may_do_for_its_members_what_their_role_says_and_nothing_for_others(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("group")
    with closing(SqliteRegistry(folder / "store.db", bytes(32))) as registry:
        for id in PATIENTS:
            registry.put_patient(Patient(id=id, tags=("ward",)))
        user = User(name="nurse", role=Role.CLINICIAN, password_hash="", patients=("group/ward",))
        registry.put_user(user)
        principals, inside = Principals(registry), set(PATIENTS)
        for act, patient in acts:
            put_members(registry, "ward", **{act: [patient]}, by="b", at_us=1)
            inside = inside | {patient} if act == "add" else inside - {patient}
            principal = principals.of_user(user, 1)
            assert seen(principal, Action.VIEW_PATIENT) == frozenset(inside)
            for action in (Action.VIEW_PATIENT, Action.ACKNOWLEDGE):
                assert {one for one in PATIENTS if decide(principal, action, one).allowed} == inside
