"""A patient is erased: nothing of them is left in the data directory but what is said to stay, and nothing comes back."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from islet.access.decide import Action, decide
from islet.access.passwords import new_token, token_hash
from islet.contacts.book import ContactBook
from islet.engine.parameters import Override
from islet.engine.rulebook import RuleBook
from islet.engine.rules import load_rules
from islet.erasure.patients import Erased, Holders, erase_patient, finish_erasures
from islet.errors import AlreadyExists, NotFound
from islet.gateways.authenticate import new_device
from islet.gateways.claims import make_claim
from islet.gateways.enrollments import Enrollment, put_enrollment
from islet.log.base import Append, Commit
from islet.log.connection import open_database
from islet.log.keys import data_key
from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange, Severity, alert_id
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change
from islet.model.job_runs import Kept, Run, decode_kept, encode_kept
from islet.model.people import Patient, Role, User
from islet.model.permissions import Permission, Verb
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.model.topics import STORED, Topic
from islet.notify.policy import DEFAULT
from islet.notify.recipients import Contact
from islet.opened import opened_holders
from islet.patterns.findings import Wishes
from islet.settings import Settings, load
from islet.store.app_secrets import new_app_secret
from islet.store.base import EntryKind
from islet.store.consents import set_consent
from islet.store.devices_base import Address, Command, DeviceJob, JobKind
from islet.store.follow import Follower
from islet.store.grants import grant, make_key, put_group
from islet.store.person_days import keep_wishes
from islet.store.principals import Principals, read_groups
from islet.store.rebuild import rebuild

NOW: Final = 20_000 * DAY_US
BY: Final[dict[str, Any]] = {"by": "admin", "at_us": NOW}
SHIPPED: Final = load_rules()
HERS, HIS = "p-hers", "p-his"
NAMES: Final = (HERS, "Ada Example", "cgm-hers", "ada-l")
"""What names her: her id, what staff call her, her device, her account."""
STAYS: Final = {
    "audit": "what was done is kept",
    "registered": "that the id was erased",
    "passed_over": "so that the log's entries are passed over",
    "outbox_passed_over": "the same",
    "device_job": "which devices a job was for, and the name that a service gave it",
    "reading_patient": "the number that stands for the id",
    "reading_device": "the number that stands for a device's id",
}
"""Tables that may name her afterwards, and why."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"ISLET_DATA_DIR": str(tmp_path), "ISLET_HUB_NAME": "localhost"})


class House:
    """A data directory with two patients of whom everything is kept that can be."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self.settings = settings
        self.log = MemoryLog(partitions=2)
        self.holders = stack.enter_context(opened_holders(settings))
        self.registry, self.store = self.holders.registry, self.holders.store
        self.registry.put_user(User(name="admin", role=Role.ADMINISTRATOR, password_hash="h"))
        self.registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash="h", patients=(HERS, HIS)))
        people = ((HERS, *NAMES[1:]), (HIS, "Bo", "cgm-his", "bo"))
        for patient, label, _, _ in people:
            self.registry.put_patient(Patient(id=patient, label=label, tags=("ward",)))
        for patient, _, device, account in people:
            self._person(patient, device, account)
        self.follow()

    def _person(self, patient: str, device: str, account: str) -> None:
        registry = self.registry
        registry.create_device(new_device(device, NOW, patient))
        new_app_secret(registry, device, by="admin", now_us=NOW)
        registry.put_user(User(name=account, role=Role.PATIENT, password_hash="h", patients=(patient,)))
        registry.create_session(token_hash(new_token()), account, NOW + HOUR_US)
        make_key(registry, account, NOW + DAY_US, None, "a script", **BY)
        partner = "carl" if patient == HERS else "dora"
        registry.put_user(User(name=partner, role=Role.CARE_PARTNER, password_hash="h", patients=(patient,)))
        set_consent(registry, partner, patient, given=True, **BY)
        grant(registry, Permission(id="", issued_to="user/nurse", principal_for=patient, action=Verb.VIEW), **BY)
        grant(registry, Permission(id="", issued_to=f"user/{account}", principal_for=HIS, action=Verb.VIEW), **BY)
        grant(registry, Permission(id="", issued_to=f"device/{device}", principal_for=HIS, action=Verb.VIEW), **BY)
        put_group(registry, "all", (*self._group(), f"user/{account}"), **BY)
        book = ContactBook(registry, lambda: NOW)
        book.put(Contact(id=account, channel="email", address=f"{account}@example.org", user=account), **BY)
        rules = RuleBook(registry, SHIPPED)
        book.set_policy(patient, DEFAULT, rules=[rule.name for rule in SHIPPED], **BY)
        rules.set(
            Override(rule="high", layer="patient", of=patient, enabled=False, author="admin", set_us=NOW),
            Role.ADMINISTRATOR,
        )
        keep_wishes(registry, patient, Wishes(), **BY)
        self._found_at_night(patient)
        self._may_register(patient, device)
        self._at_the_device(patient, device)
        self._in_the_log(patient, device)
        self._told(patient)

    def _group(self) -> tuple[str, ...]:
        return ("user/ada-l",) if self.registry.user("bo") else ()

    def _found_at_night(self, patient: str) -> None:
        """What the jobs have of everybody whom they have looked at by then."""
        before = self.registry.entry(EntryKind.JOB, "cohorts")
        members = {} if before is None else msgspec.json.decode(decode_kept(before).result)["members"]
        found = {"cohorts": [{"id": 1, "medoid": patient}], "members": members | {patient: [1, 2.5]}}
        run = Run(due_us=NOW, began_us=NOW, ended_us=NOW, outcome="done")
        kept = Kept(run=run, done_us=NOW, result=msgspec.Raw(msgspec.json.encode(found)))
        self.registry.put_entry(EntryKind.JOB, "cohorts", encode_kept(kept), **BY)

    def _may_register(self, patient: str, device: str) -> None:
        one = Enrollment(device=f"another-{device}", patient=patient, keys=("a key",), tags={"who": patient})
        for kind in (EntryKind.ENROLLMENT, EntryKind.ENROLLMENT_GROUP):
            put_enrollment(self.registry, kind, f"enrolled-{patient}", one, **BY)
        make_claim(self.registry, f"third-{device}", patient, by="admin", now_us=NOW)
        put_group(self.registry, "things", (*self._things(), f"device/{device}"), **BY)

    def _things(self) -> tuple[str, ...]:
        known = read_groups(self.registry).get("things")
        return () if known is None else known.members

    def _at_the_device(self, patient: str, device: str) -> None:
        found = self.registry.device(device)
        assert found is not None
        to = Address(device, found.generation_id)
        self.holders.devices.put_command(to, Command(body=b"measure now"), NOW)
        self.holders.devices.report(to, {"battery": 80}, NOW)
        files = self.holders.files
        file, piece = files.begin(to, patient, "log.txt", NOW), files.new_piece()
        piece.append(b"all of it")
        piece.keep()
        files.put(file.id, piece, NOW)
        files.end(file.id, to, NOW, success=True)
        devices = self.holders.devices
        job = DeviceJob(
            id=f"of-{device}", kind=JobKind.METHOD, body={}, devices=(), created_us=NOW, start_us=NOW, lasts_us=DAY_US
        )
        devices.create_job(job)
        devices.begin_job(job.id, [to], NOW)

    def _in_the_log(self, patient: str, device: str) -> None:
        rows = [ReadingRow(patient, device, NOW + k * MINUTE_US, 1000, 100.0, 0, 0, 0) for k in range(12)]
        twice = [ReadingRow(patient, device, NOW, 2000, 200.0, 0, 0, 0)]
        appends = [Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([*rows, *twice]))]
        for topic in STORED:
            if topic not in (Topic.GLUCOSE_READINGS, Topic.ALERTS):
                whose = "" if topic is Topic.DEAD_LETTERS else patient
                row = DocumentRow(whose, device, NOW, "thing", "{}")
                appends.append(Append(topic=topic, batch=documents_batch([row])))
        change = AlertChange(
            change="opened", rule="urgent_low", patient=patient, onset_us=NOW, at_us=NOW, severity=Severity.URGENT
        )
        row = DocumentRow(patient, device, NOW, "opened", encode_change(change).decode())
        appends.append(Append(topic=Topic.ALERTS, batch=documents_batch([row])))
        self.log.commit([Commit(received_at_us=NOW, appends=appends)])

    def _told(self, patient: str) -> None:
        self.holders.outbox.take_in(self.log, NOW)
        self.holders.outbox.snooze(alert_id("urgent_low", patient, NOW), 10, "nurse", NOW)

    def follow(self) -> None:
        follower = Follower(self.log, self.store)
        while follower.run_once(0.0):
            pass

    def kept(self, patient: str) -> tuple[object, ...]:
        """All that the store tells of a patient."""
        documents = [len(self.store.documents(topic, patient, 0, NOW + DAY_US)) for topic in STORED]
        return len(self.store.series(patient, 0, NOW + DAY_US).time_us), documents, len(self.store.alerts([patient]))

    def naming(self, texts: tuple[str, ...]) -> dict[str, list[str]]:
        """Per table of the data directory's database, the rows in which one of the texts stands."""
        connection = open_database(self.settings.data_dir / "store.db", data_key(self.settings, os.environ))
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in tables:
            rows = [_shown(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
            found[table] = [row for row in rows if any(text in row for text in texts)]
        connection.close()
        return {table: rows for table, rows in found.items() if rows}


def _shown(row: tuple[Any, ...]) -> str:
    return " ".join(str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row)


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(settings, stack)


def test_nothing_names_them_but_what_is_said_to_stay(house: House) -> None:
    before = house.naming(NAMES)
    assert {"registered", "document", "alert", "outbox", "outbox_alert", "outbox_snooze"} <= before.keys()
    assert {"session", "secret", "command", "twin", "device_file", "device_job_step", "audit"} <= before.keys()
    erase_patient(house.holders, HERS, **BY)
    after = house.naming(NAMES)
    assert after.keys() <= STAYS.keys()
    assert len(after["registered"]) == 1
    assert house.kept(HERS) == (0, [0] * len(STORED), 0)
    assert house.store.conflicts() == 1


def test_others_keep_all_that_is_theirs(house: House) -> None:
    names = (HIS, "cgm-his", "Bo")
    before, kept = house.naming(names), house.kept(HIS)
    erase_patient(house.holders, HERS, **BY)
    after = house.naming(names)
    changed = {table for table in before if before[table] != after.get(table)}
    assert changed <= {"registered", "audit"}  # the nurse has one patient less, ada is no more
    assert house.kept(HIS) == kept
    nurse = house.registry.user("nurse")
    assert nurse is not None and nurse.patients == (HIS,)


def test_the_log_brings_nothing_back(house: House) -> None:
    kept = house.kept(HIS)
    erase_patient(house.holders, HERS, **BY)
    rebuild(house.store, house.log)
    assert house.kept(HERS) == (0, [0] * len(STORED), 0)
    assert house.kept(HIS) == kept
    house._in_the_log(HERS, "cgm-hers")
    house.follow()
    house.holders.outbox.take_in(house.log, NOW + MINUTE_US)
    assert house.naming((HERS, "cgm-hers")).keys() <= {*STAYS, "document"}  # a dead letter that names nobody
    assert house.kept(HERS) == (0, [0] * len(STORED), 0)


def test_the_id_is_never_given_again(house: House) -> None:
    erase_patient(house.holders, HERS, **BY)
    with pytest.raises(AlreadyExists, match="was erased"):
        house.registry.put_patient(Patient(id=HERS))
    with pytest.raises(NotFound, match="was erased"):
        house.registry.create_device(new_device("another", NOW, HERS))
    device = house.registry.device("cgm-his")
    assert device is not None
    with pytest.raises(NotFound, match="was erased"):
        moved = structs.replace(device, patient=HERS)
        house.registry.change_device(moved, "assigned", etag=device.etag, **BY)


def test_nobody_may_anything_for_them(house: House) -> None:
    erase_patient(house.holders, HERS, **BY)
    principals = Principals(house.registry)
    admin = house.registry.user("admin")
    assert admin is not None
    one = principals.of_user(admin, NOW)
    assert not decide(one, Action.VIEW_PATIENT, HERS).allowed
    assert decide(one, Action.VIEW_PATIENT, HIS).allowed
    assert decide(one, Action.ADMINISTER).allowed


def test_once_more_changes_nothing_and_nobody_is_nobody(house: House) -> None:
    erase_patient(house.holders, HERS, **BY)
    after = house.naming(NAMES)
    erase_patient(house.holders, HERS, **BY)
    assert {table: len(rows) for table, rows in house.naming(NAMES).items() if table != "audit"} == {
        table: len(rows) for table, rows in after.items() if table != "audit"
    }
    with pytest.raises(NotFound):
        erase_patient(house.holders, "p-nobody", **BY)


class Cut(Exception):
    pass


def cut_after(steps: int) -> Callable[[], None]:
    """Raises Cut at the call after that many."""
    left = [steps]

    def step() -> None:
        if left[0] == 0:
            raise Cut
        left[0] -= 1

    return step


class Interrupted:
    """A part that is cut off at one of its calls."""

    def __init__(self, part: object, step: Callable[[], None]) -> None:
        self._part, self._step = part, step

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if not callable(value):
            return value

        def call(*given: Any, **named: Any) -> Any:
            self._step()
            return value(*given, **named)

        return call


def test_what_was_interrupted_anywhere_is_finished(settings: Settings, tmp_path: Path) -> None:
    steps = cut = 0
    while True:
        own = load(None, {"ISLET_DATA_DIR": str(tmp_path / str(steps)), "ISLET_HUB_NAME": "localhost"})
        own.data_dir.mkdir()
        with ExitStack() as stack:
            house = House(own, stack)
            step = cut_after(steps)
            parts = ("registry", "store", "outbox", "devices", "files")
            cut_off: dict[str, Any] = {name: Interrupted(getattr(house.holders, name), step) for name in parts}
            holders = replace(house.holders, **cut_off)
            try:
                erase_patient(holders, HERS, **BY)
            except Cut:
                cut += 1
            else:
                break
            begun = house.registry.entry(EntryKind.ERASED, HERS) is not None
            assert finish_erasures(lambda: house.holders, house.registry, NOW) == begun  # noqa: B023
            if begun:
                assert house.naming(NAMES).keys() <= STAYS.keys()
                said = house.registry.entry(EntryKind.ERASED, HERS)
                assert said is not None and msgspec.json.decode(said, type=Erased).done
            else:
                assert house.kept(HERS) == house.kept(HIS)
        steps += 1
    assert cut > 5


def test_one_that_cannot_be_finished_stops_no_other(house: House) -> None:
    for patient in (HERS, HIS):
        house.registry.mark_erased(patient, msgspec.json.encode(Erased(at_us=NOW, by="admin")), **BY)
    tried: list[int] = []

    def holders() -> Holders:
        tried.append(len(tried))
        if len(tried) == 1:
            raise OSError("the disk is full")
        return house.holders

    assert finish_erasures(holders, house.registry, NOW) == 1
    assert house.kept(HERS) != house.kept(HIS) == (0, [0] * len(STORED), 0)
    assert finish_erasures(holders, house.registry, NOW) == 1
    assert house.kept(HERS) == house.kept(HIS)
