"""People as administrators change them: what is kept, what ends, and that one administrator stays."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.access.passwords import hash_password, verify_password
from islet.access.second_factor import new_second_factor
from islet.errors import AccessDenied, BadInput, NotFound
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission, Verb
from islet.model.time import DAY_US
from islet.store import people
from islet.store.base import Registry
from islet.store.consents import set_consent
from islet.store.grants import grant, make_key, put_group, revoke
from islet.store.patient_groups import assign_group, delete_group
from islet.store.principals import read_keys_of
from islet.store.registry import SqliteRegistry
from islet.store.second_factors import put_second_factor, read_second_factor

HASH = hash_password("correct horse battery staple")
BY: Final[dict[str, Any]] = {"by": "admin", "at_us": 1}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as one:
        one.put_patient(Patient(id="p-1", tags=("ward",)))
        one.put_user(User(name="admin", role=Role.ADMINISTRATOR, password_hash=HASH))
        one.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash=HASH))
        yield one


def add(registry: Registry, name: str, role: Role = Role.ADMINISTRATOR) -> None:
    registry.put_user(User(name=name, role=role, password_hash=HASH))


def without_them(registry: Registry, name: str) -> list[Callable[[], object]]:
    """Each way to take an administrator away."""
    return [
        partial(people.set_enabled, registry, name, False, by="x", at_us=1),
        partial(people.put_person, registry, name, role=Role.CLINICIAN, by="x", at_us=1),
        partial(people.invite, registry, name, DAY_US, by="x", at_us=1),
    ]


def test_the_last_administrator_stays(registry: Registry) -> None:
    registry.create_session("t", "admin", DAY_US)
    before = registry.user("admin")
    for act in without_them(registry, "admin"):
        with pytest.raises(AccessDenied, match="make another administrator first"):
            act()
    assert (registry.user("admin"), registry.audit_length()) == (before, 0)
    assert registry.session_user("t", 1) is not None
    people.put_person(registry, "admin", patients=("p-1",), **BY)
    people.put_person(registry, "admin", password="another good one", **BY)
    people.end_sessions(registry, "admin", **BY)


def test_who_cannot_administer_is_no_other_administrator(registry: Registry) -> None:
    for name in ("disabled", "invited", "refused"):
        add(registry, name)
    add(registry, "deputy", Role.CLINICIAN)
    people.set_enabled(registry, "disabled", False, **BY)
    people.invite(registry, "invited", DAY_US, **BY)
    no = Permission(id="", issued_to="user/refused", action=Verb.ADMIN, authorized=False)
    yes = Permission(id="", issued_to="user/deputy", action=Verb.ADMIN, filter=("installation",), expires_us=DAY_US)
    for permission in (no, yes):
        grant(registry, permission, **BY)
    for act in without_them(registry, "admin"):
        with pytest.raises(AccessDenied):
            act()
    for name in ("disabled", "invited", "refused"):
        people.put_person(registry, name, role=Role.CLINICIAN, **BY)  # they take nothing away
    add(registry, "second")
    without_them(registry, "admin")[0]()
    with pytest.raises(AccessDenied):
        without_them(registry, "second")[0]()


@pytest.mark.parametrize("issued_to", ["", "role/administrator", "user/admin", "group/all"])
@pytest.mark.parametrize("action", [Verb.ADMIN, None])
def test_a_refusal_after_which_nobody_could_administer_is_refused(
    registry: Registry, issued_to: str, action: Verb | None
) -> None:
    put_group(registry, "all", ("user/admin",), **BY)
    lines = registry.audit_length()
    no = Permission(id="", issued_to=issued_to, action=action, authorized=False)
    with pytest.raises(AccessDenied, match="make another administrator first"):
        grant(registry, no, **BY)
    assert registry.audit_length() == lines
    for harmless in (
        structs.replace(no, issued_to="role/clinician"),
        structs.replace(no, action=Verb.SEND),
        structs.replace(no, principal_for="p-1"),
        structs.replace(no, priority=no.priority + 1, issued_to="user/nurse"),
    ):
        grant(registry, harmless, **BY)
    add(registry, "second")
    if issued_to in ("user/admin", "group/all"):
        grant(registry, no, **BY)


def test_nor_is_a_group_changed_nor_a_permission_taken_away_after_which_nobody_could(registry: Registry) -> None:
    yes = Permission(id="", issued_to="user/admin", action=Verb.ADMIN)
    no = structs.replace(yes, issued_to="group/guests", authorized=False, priority=yes.priority + 1)
    put_group(registry, "guests", ("user/nurse",), **BY)
    grant(registry, no, **BY)
    first = grant(registry, yes, **BY)
    put_group(registry, "guests", ("user/nurse", "user/admin"), **BY)
    lines = registry.audit_length()
    with pytest.raises(AccessDenied, match="make another administrator first"):
        revoke(registry, first.id, **BY)
    put_group(registry, "guests", ("user/nurse",), **BY)
    revoke(registry, first.id, **BY)
    with pytest.raises(AccessDenied, match="make another administrator first"):
        put_group(registry, "guests", ("user/nurse", "user/admin"), **BY)
    assert registry.audit_length() == lines + 2


@settings(max_examples=12)  # each makes a registry
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=12))
def test_whatever_is_done_somebody_can_administer(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    with closing(SqliteRegistry(tmp_path_factory.mktemp("people") / "store.db", bytes(32))) as registry:
        for name in "abc":
            add(registry, name)
        for name, which in acts:
            back = partial(people.put_person, registry, name, role=Role.ADMINISTRATOR, by="x", at_us=1)
            on = partial(people.set_enabled, registry, name, True, by="x", at_us=1)
            ways: list[Callable[[], object]] = [*without_them(registry, name), back, on]
            try:
                ways[which]()
            except AccessDenied:
                assert which < 3
            left = [user for user in registry.users() if user.role is Role.ADMINISTRATOR]
            assert any(user.enabled and user.password_hash for user in left)


def test_of_two_administrators_who_disable_each_other_at_once_one_stays(tmp_path: Path, registry: Registry) -> None:
    add(registry, "second")
    at_once, refused = threading.Barrier(2), list[str]()

    def disable(name: str) -> None:
        with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as other:
            at_once.wait()
            try:
                people.set_enabled(other, name, False, by="x", at_us=1)
            except AccessDenied:
                refused.append(name)

    for _ in range(5):
        threads = [threading.Thread(target=disable, args=(name,)) for name in ("admin", "second")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = {user.name for user in registry.users() if user.role is Role.ADMINISTRATOR and user.enabled}
        assert left == set(refused)
        assert len(left) == 1
        for name in ("admin", "second"):
            people.set_enabled(registry, name, True, **BY)
        refused.clear()


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a,b", "a\nb", "x" * 65, ".", ".."])
def test_a_name_can_stand_in_an_address_and_a_list(registry: Registry, name: str) -> None:
    with pytest.raises(BadInput, match="name: expected"):
        people.put_person(registry, name, role=Role.CLINICIAN, **BY)
    for good in ("x" * 64, "anna.b@example.org", "王"):
        assert people.put_person(registry, good, role=Role.CLINICIAN, **BY).password_hash == ""


def test_somebody_is_new_or_is_not(registry: Registry) -> None:
    with pytest.raises(BadInput, match="there already"):
        people.put_person(registry, "nurse", role=Role.AUDITOR, new=True, **BY)
    with pytest.raises(NotFound):
        people.put_person(registry, "nobody", role=Role.AUDITOR, new=False, **BY)
    with pytest.raises(BadInput, match="role: expected"):
        people.put_person(registry, "nobody", **BY)
    assert [user.name for user in registry.users()] == ["admin", "nurse"]
    assert registry.audit() == []


def test_a_link_sets_a_password_once_and_no_other_session_is_one(registry: Registry) -> None:
    registry.create_session("t", "nurse", DAY_US)
    assert people.invited(registry, "t", 1) is None
    first = people.invite(registry, "nurse", DAY_US, **BY)
    second = people.invite(registry, "nurse", DAY_US, **BY)
    user = registry.user("nurse")
    assert user is not None
    assert (people.invited(registry, first, 1), people.invited(registry, second, 1)) == (None, user)
    assert registry.session_user("t", 1) is None, "what they were logged in with has ended"
    for short in ("", "1234567", "x" * 1001):
        with pytest.raises(BadInput):
            people.choose_password(registry, second, short, 1)
    people.choose_password(registry, second, "12345678", 1)
    user = registry.user("nurse")
    assert user is not None
    assert verify_password(user.password_hash, "12345678")
    with pytest.raises(NotFound):
        people.choose_password(registry, second, "another one", 1)
    lines = [(line.action, line.by) for line in registry.audit()]
    assert lines == [("invited", "admin"), ("invited", "admin"), ("password chosen", "nurse")]


def test_a_link_ends_with_its_time_with_their_sessions_and_while_they_are_disabled(registry: Registry) -> None:
    token = people.invite(registry, "nurse", DAY_US, **BY)
    assert people.invited(registry, token, DAY_US - 1) is not None
    assert people.invited(registry, token, DAY_US) is None
    people.end_sessions(registry, "nurse", **BY)
    assert people.invited(registry, token, 1) is None
    token = people.invite(registry, "nurse", DAY_US, **BY)
    people.set_enabled(registry, "nurse", False, **BY)
    with pytest.raises(NotFound):
        people.choose_password(registry, token, "12345678", 1)


def test_of_two_who_use_a_link_at_once_one_sets_the_password(tmp_path: Path, registry: Registry) -> None:
    class Slow(SqliteRegistry):
        """Between looking whom the link is for and keeping the password, another process keeps another one."""

        overtaken = False

        def user(self, name: str) -> User | None:
            found = super().user(name)
            if not self.overtaken:
                self.overtaken = True
                people.choose_password(registry, token, "the first one", 1)
            return found

    token = people.invite(registry, "nurse", DAY_US, **BY)
    with closing(Slow(tmp_path / "store.db", bytes(32))) as slow, pytest.raises(NotFound):
        people.choose_password(slow, token, "the other one", 1)
    user = registry.user("nurse")
    assert user is not None
    assert verify_password(user.password_hash, "the first one")


def test_a_persons_tokens_end_with_their_sessions_and_an_applications_keys_with_all(registry: Registry) -> None:
    add(registry, "app", Role.APPLICATION)
    ends: list[Callable[[str], object]] = [
        lambda name: people.set_enabled(registry, name, False, **BY),
        lambda name: people.put_person(registry, name, password="a new password", **BY),
        lambda name: people.invite(registry, name, DAY_US, **BY),
        lambda name: people.forget_second_factor(registry, name, **BY),
        lambda name: people.unlink(registry, name, **BY),
    ]
    make_key(registry, "app", DAY_US, None, "", **BY)
    make_key(registry, "admin", DAY_US, None, "", **BY)
    for end in ends:
        make_key(registry, "nurse", DAY_US, None, "", **BY)
        people.put_person(registry, "nurse", patients=("p-1",), **BY)
        assert len(read_keys_of(registry, "nurse")) == 1
        for name in ("nurse", "app"):
            end(name)
        assert (len(read_keys_of(registry, "nurse")), len(read_keys_of(registry, "app"))) == (0, 1)
    people.end_sessions(registry, "app", **BY)
    assert (len(read_keys_of(registry, "app")), len(read_keys_of(registry, "admin"))) == (0, 1)


def test_a_lost_phone_is_forgotten_and_sessions_end(registry: Registry) -> None:
    put_second_factor(registry, "nurse", new_second_factor())
    registry.create_session("t", "nurse", DAY_US)
    people.forget_second_factor(registry, "nurse", **BY)
    assert (read_second_factor(registry, "nurse"), registry.session_user("t", 1)) == (None, None)
    for act in (people.forget_second_factor, people.end_sessions, people.unlink):
        with pytest.raises(NotFound):
            act(registry, "nobody", by="x", at_us=1)


class Stale:
    """The registry of somebody who read the users a moment ago, before one was disabled."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._users = registry, {user.name: user for user in registry.users()}

    def user(self, name: str) -> User | None:
        return self._users.get(name)

    def users(self) -> list[User]:
        return [*self._users.values()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


@pytest.mark.parametrize(
    ("role", "change"),
    [
        (Role.CARE_PARTNER, lambda registry: set_consent(registry, "eve", "p-1", given=True, **BY)),
        (Role.CLINICIAN, lambda registry: assign_group(registry, "eve", "ward", given=False, **BY)),
        (Role.CLINICIAN, lambda registry: delete_group(registry, "ward", **BY)),
    ],
    ids=["a consent", "a group taken", "a group deleted"],
)
def test_no_other_change_lets_in_who_was_disabled_meanwhile(
    registry: Registry, role: Role, change: Callable[[Registry], object]
) -> None:
    eve = User(name="eve", role=role, password_hash=HASH, patients=("group/ward",))
    registry.put_user(eve)
    stale = cast(Registry, Stale(registry))
    people.set_enabled(registry, "eve", False, **BY)
    change(stale)
    found = registry.user("eve")
    assert found is not None and not found.enabled and found.patients != eve.patients
