"""A user is removed: whoever has the name later starts with nothing of theirs."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from islet.access.passwords import new_token, token_hash
from islet.access.second_factor import new_second_factor
from islet.contacts.book import ContactBook
from islet.erasure.users import remove_user
from islet.errors import AccessDenied, NotFound
from islet.gateways.authenticate import new_device
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission, Verb
from islet.model.time import DAY_US, HOUR_US
from islet.notify.policy import Policy, Step, check_policy
from islet.notify.recipients import Contact
from islet.store import people
from islet.store.base import EntryKind
from islet.store.consents import set_consent
from islet.store.grants import grant, make_key, put_group
from islet.store.principals import Principals, read_groups, read_keys_of, read_permissions
from islet.store.registry import SqliteRegistry
from islet.store.second_factors import put_second_factor, read_second_factor
from islet.store.subjects import link_subject, linked_subjects

NOW: Final = 20_000 * DAY_US
BY: Final[dict[str, Any]] = {"by": "admin", "at_us": NOW}
ROLES: Final = [Role.CARE_PARTNER, Role.CLINICIAN, Role.APPLICATION, Role.ADMINISTRATOR]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as one:
        one.put_patient(Patient(id="p-1"))
        one.put_user(User(name="admin", role=Role.ADMINISTRATOR, password_hash="h"))
        yield one


def fill(registry: SqliteRegistry, name: str, role: Role) -> str:
    """Somebody with all that somebody can have; the hash of their session's token."""
    issued_to = f"{'application' if role is Role.APPLICATION else 'user'}/{name}"
    registry.put_user(User(name=name, role=role, password_hash="h", patients=("p-1",)))
    session = token_hash(new_token())
    registry.create_session(session, name, NOW + HOUR_US)
    make_key(registry, name, NOW + DAY_US, None, "a script", **BY)
    grant(registry, Permission(id="", issued_to=issued_to, principal_for="p-1", action=Verb.ADMIN), **BY)
    put_group(registry, "night", ("user/admin", issued_to), **BY)
    put_second_factor(registry, name, new_second_factor())
    link_subject(registry, "https://issuer.example", name, name, **BY)
    ContactBook(registry, lambda: NOW).put(
        Contact(id=name, channel="email", address=f"{name}@example.org", user=name), **BY
    )
    if role is Role.CARE_PARTNER:
        set_consent(registry, name, "p-1", given=True, **BY)
    return session


@pytest.mark.parametrize("role", ROLES)
def test_one_of_the_same_name_gets_nothing_of_theirs(registry: SqliteRegistry, role: Role) -> None:
    session = fill(registry, "kim", role)
    stays = fill(registry, "lee", role)
    remove_user(registry, "kim", **BY)
    assert (registry.user("kim"), registry.session(session, NOW)) == (None, None)
    registry.put_user(User(name="kim", role=role, password_hash="h", patients=("p-1",)))
    again = registry.user("kim")
    assert again is not None
    principal = Principals(registry).of_user(again, NOW)
    assert (principal.granted, principal.groups, principal.consents) == ((), (), {})
    assert read_keys_of(registry, "kim") == {}
    assert read_second_factor(registry, "kim") is None
    assert linked_subjects(registry, "kim") == 0
    assert ContactBook(registry, lambda: NOW).of("kim") == []
    assert registry.secret("contact/email/kim") is None
    _has_all(registry, "lee", stays)


def _has_all(registry: SqliteRegistry, name: str, session: str) -> None:
    assert registry.session(session, NOW) is not None
    assert len(read_keys_of(registry, name)) == linked_subjects(registry, name) == 1
    assert [one.issued_to.partition("/")[2] for one in read_permissions(registry)] == [name]
    assert [member.partition("/")[2] for member in read_groups(registry)["night"].members] == ["admin", name]
    assert read_second_factor(registry, name) is not None
    assert len(ContactBook(registry, lambda: NOW).of(name)) == 1


def test_a_group_with_a_member_who_is_no_more_keeps_nobody(registry: SqliteRegistry) -> None:
    fill(registry, "kim", Role.CLINICIAN)
    registry.create_device(new_device("cgm-1", NOW, "p-1"))
    put_group(registry, "home", ("device/cgm-1", "user/kim", "user/admin"), **BY)
    registry.delete_device("cgm-1")
    remove_user(registry, "kim", **BY)
    assert registry.user("kim") is None
    assert read_groups(registry)["home"].members == ("device/cgm-1", "user/admin")


def test_what_was_theirs_in_another_role_goes_too(registry: SqliteRegistry) -> None:
    fill(registry, "kim", Role.APPLICATION)
    people.put_person(registry, "kim", role=Role.CLINICIAN, **BY)
    remove_user(registry, "kim", **BY)
    assert read_permissions(registry) == []
    assert read_groups(registry)["night"].members == ("user/admin",)


def test_the_last_administrator_stays_whole(registry: SqliteRegistry) -> None:
    make_key(registry, "admin", NOW + DAY_US, None, "a script", **BY)
    with pytest.raises(AccessDenied, match="another administrator first"):
        remove_user(registry, "admin", **BY)
    assert registry.user("admin") is not None and len(read_keys_of(registry, "admin")) == 1
    with pytest.raises(NotFound):
        remove_user(registry, "nobody", **BY)


def test_what_they_did_stays_in_the_trail(registry: SqliteRegistry) -> None:
    fill(registry, "kim", Role.ADMINISTRATOR)
    registry.put_entry(EntryKind.RULE, "own", b"{}", by="kim", at_us=NOW)
    remove_user(registry, "kim", **BY)
    lines = registry.audit()
    assert "kim" in {line.by for line in lines}
    assert [(line.action, line.kind, line.id) for line in lines][-1] == ("removed", "user", "kim")


@pytest.mark.parametrize("others", [(), ("user:lee",)])
def test_a_policy_names_them_no_more_and_somebody_is_still_told(
    registry: SqliteRegistry, others: tuple[str, ...]
) -> None:
    for name in ("kim", "lee"):
        registry.put_user(User(name=name, role=Role.CLINICIAN, password_hash="h", patients=("p-1",)))
    book = ContactBook(registry, lambda: NOW)
    steps = tuple(Step(who=who, after_min=0, repeat_min=5) for who in ("user:kim", *others))
    book.set_policy("p-1", Policy(steps=steps), rules=[], **BY)
    remove_user(registry, "kim", **BY)
    policy, own = ContactBook(registry, lambda: NOW).policy("p-1")
    assert (tuple(step.who for step in policy.steps) == others) is own is bool(others)
    check_policy(policy)
