"""The address book: who may be told of whom, what is kept where, and changes that hold at once."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from islet.contacts.book import EVERYONE, ContactBook
from islet.errors import BadInput, NotFound
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission
from islet.notify.policy import DEFAULT, Policy, Step
from islet.notify.recipients import Contact, Lane
from islet.store.base import EntryKind
from islet.store.consents import set_consent
from islet.store.grants import grant
from islet.store.registry import SqliteRegistry

KEY = bytes(range(32))
WARD = Contact(id="77", channel="telegram", address="77")
NOW = 1_790_000_000_000_000
OWN = Policy(steps=(Step(who="patient", repeat_min=5),))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    one = SqliteRegistry(tmp_path / "store.db", KEY)
    one.put_patient(Patient(id="p-1", label="Ada Example", time_zone="Europe/Vienna"))
    one.put_patient(Patient(id="p-2"))
    for name, role, sees in (
        ("ada", Role.PATIENT, ("p-1",)),
        ("anna", Role.CARE_PARTNER, ("p-1",)),
        ("ben", Role.CARE_PARTNER, ("p-2",)),
        ("admin", Role.ADMINISTRATOR, ()),
    ):
        one.put_user(User(name=name, role=role, password_hash="", patients=sees, language="zh-CN"))
    for name, patient in (("anna", "p-1"), ("ben", "p-2")):
        set_consent(one, name, patient, given=True, by=patient, at_us=NOW)
    yield one
    one.close()


@pytest.fixture
def book(registry: SqliteRegistry) -> ContactBook:
    return ContactBook(registry, lambda: NOW, [WARD])


def put(book: ContactBook, user: str, address: str = "a@b", *, shows_name: bool = False) -> None:
    contact = Contact(id=user, channel="email", address=address, user=user, shows_name=shows_name)
    book.put(contact, by=user, at_us=NOW)


def told(book: ContactBook, patient: str) -> set[str]:
    return {contact.id for contact in book.about(patient).contacts}


def test_only_who_may_see_a_patient_is_told_of_them(book: ContactBook, registry: SqliteRegistry) -> None:
    for user in ("ada", "anna", "ben", "admin"):
        put(book, user)
    assert told(book, "p-1") == {"ada", "anna", "admin", "77"}
    assert told(book, "p-2") == {"ben", "admin", "77"}
    assert told(book, "unknown") == {"admin", "77"}
    registry.put_user(User(name="anna", role=Role.CARE_PARTNER, password_hash=""))
    assert told(book, "p-1") == {"ada", "admin", "77"}, "the right was taken away"
    registry.put_user(User(name="ada", role=Role.PATIENT, password_hash="", patients=("p-1",), enabled=False))
    assert told(book, "p-1") == {"admin", "77"}
    assert [one.enabled for one in book.of("ada")] == [False]


def test_about_a_patient_is_their_name_their_clock_and_their_policy(book: ContactBook) -> None:
    book.set_policy("p-1", OWN, rules=[], by="nurse", at_us=NOW)
    about = book.about("p-1")
    assert (about.name, about.time_zone, about.policy) == ("Ada Example", "Europe/Vienna", OWN)
    assert book.about("p-2").policy == DEFAULT


def test_a_policy_for_everybody_holds_for_who_has_none(book: ContactBook) -> None:
    book.set_policy(EVERYONE, OWN, rules=[], by="admin", at_us=NOW)
    assert book.policy("p-2") == (OWN, False)
    book.set_policy(EVERYONE, None, rules=[], by="admin", at_us=NOW)
    assert book.policy("p-2") == (DEFAULT, False)


def test_a_policy_that_wakes_nobody_is_refused_and_so_is_one_for_nobody(book: ContactBook) -> None:
    with pytest.raises(BadInput, match="urgent"):
        book.set_policy("p-1", Policy(steps=()), rules=[], by="x", at_us=NOW)
    with pytest.raises(NotFound):
        book.set_policy("p-9", OWN, rules=[], by="x", at_us=NOW)
    with pytest.raises(BadInput, match="step 1, who: there is no user"):
        book.set_policy("p-1", Policy(steps=(Step(who="user:ana", repeat_min=5.0),)), rules=[], by="x", at_us=NOW)


def test_an_address_is_a_secret_and_in_no_line_of_the_trail(book: ContactBook, registry: SqliteRegistry) -> None:
    put(book, "anna", "anna@secret.example")
    put(book, "anna", "anna@other.example", shows_name=True)
    (contact,) = book.of("anna")
    assert (contact.address, contact.shows_name, contact.language) == ("anna@other.example", True, "zh-CN")
    lines = [line for line in registry.audit() if line.kind == "contact"]
    assert [(line.action, line.kind, line.id) for line in lines] == [
        ("added", "contact", "email/anna"),
        ("changed", "contact", "email/anna"),
    ]
    assert not any("example" in line.before + line.after for line in lines)
    book.remove(contact.lane, by="anna", at_us=NOW)
    assert book.of("anna") == []
    assert registry.secret("contact/email/anna") is None


def test_what_another_process_changes_holds_at_once(book: ContactBook, registry: SqliteRegistry) -> None:
    before = book.version()
    registry.put_patient(Patient(id="p-2", low_mg_dl=80))
    assert book.version() is before, "nothing of ours changed"
    put(ContactBook(registry, lambda: NOW), "anna")
    assert book.version() is not before
    assert told(book, "p-1") == {"anna", "77"}


def test_an_address_that_has_ended_is_off_until_it_is_entered_anew(book: ContactBook) -> None:
    put(book, "anna")
    for lane in (Lane("email", "anna"), WARD.lane):
        contact = book.contact(lane)
        assert contact is not None
        book.disable(contact, "410, gone")
        ended = book.contact(lane)
        assert ended is not None
        assert (ended.enabled, ended.disabled_reason) == (False, "410, gone")
    put(book, "anna", "new@b")
    assert [one.enabled for one in book.of("anna")] == [True]


@pytest.mark.parametrize("id", ["", " anna", "a/b", "a\nb", "x" * 61, "77"])
def test_an_id_that_cannot_be_is_refused(book: ContactBook, id: str) -> None:
    with pytest.raises(BadInput):
        book.put(Contact(id=id, channel="telegram", address="5", user="anna"), by="anna", at_us=NOW)


def test_nobody_takes_anothers_id_and_nobody_is_made_up(book: ContactBook) -> None:
    put(book, "anna")
    with pytest.raises(BadInput, match="somebody else"):
        book.put(Contact(id="anna", channel="email", address="b@b", user="ben"), by="ben", at_us=NOW)
    with pytest.raises(NotFound):
        put(book, "nobody")
    with pytest.raises(NotFound):
        book.remove(Lane("email", "nobody"), by="x", at_us=NOW)


def test_a_policy_of_another_version_leaves_the_default(book: ContactBook, registry: SqliteRegistry) -> None:
    registry.put_entry(EntryKind.ALARM_POLICY, "p-1", msgspec.json.encode({"steps": 7}), by="x", at_us=NOW)
    assert book.policy("p-1") == (DEFAULT, False)


def test_who_may_see_all_but_one_is_told_of_a_patient_who_comes_later(
    book: ContactBook, registry: SqliteRegistry
) -> None:
    put(book, "admin")
    refusal = Permission(id="", issued_to="user/admin", principal_for="p-1", authorized=False)
    grant(registry, refusal, by="x", at_us=NOW)
    assert (told(book, "p-1"), told(book, "p-2")) == ({"77"}, {"admin", "77"})
    registry.put_patient(Patient(id="p-3"))
    assert told(book, "p-3") == {"admin", "77"}


def test_a_patient_who_moves_to_another_zone_makes_another_version(book: ContactBook, registry: SqliteRegistry) -> None:
    """So that what waits for the end of quiet hours is looked at again."""
    before = book.version()
    registry.put_patient(Patient(id="p-2", tags=("ward-3",)))
    assert book.version() is before
    registry.put_patient(Patient(id="p-2", time_zone="Asia/Shanghai"))
    assert book.version() is not before
