"""A device with a wrong clock is flagged, once, until it is well."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from islet.engine.clocks import ClockWatch
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.store.base import Store
from islet.store.follow import Follower
from islet.store.sqlite import SqliteStore


class Clinic:
    def __init__(self, store: Store) -> None:
        self.log, self.store, self.minute = MemoryLog(), store, 0
        self.group = GroupCommit(self.log, lambda: self.minute * MINUTE_US, within_s=0.0)
        self.start()

    def start(self) -> None:
        self.watch = ClockWatch(self.log, self.store, self.group, lambda: self.minute * MINUTE_US)

    def letter(self, minute: int, reason: str, *, patient: str = "anna", device: str = "cgm-1") -> None:
        self.minute = minute
        row = DocumentRow(patient, device, minute * MINUTE_US, reason, json.dumps({"reason": reason}))
        self.group.commit([Append(topic=Topic.DEAD_LETTERS, batch=documents_batch([row]))])

    def reading(self, minute: int, device: str = "cgm-1") -> None:
        self.minute = minute
        row = ReadingRow("anna", device, minute * MINUTE_US, 1000, 100.0, 0, 0, 0)
        self.group.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([row]))])

    def alerts(self) -> list[tuple[int, int | None]]:
        """Onset and end of each alert, in minutes."""
        follower = Follower(self.log, self.store)
        for _ in range(3):
            while follower.run_once(0):
                pass
            while self.watch.run_once(0):
                pass
        found = [(a.onset_us // MINUTE_US, a.cleared_us and a.cleared_us // MINUTE_US) for a in self.store.alerts()]
        return sorted(found)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with closing(SqliteStore(tmp_path / "store.db", bytes(32))) as store:
        one = Clinic(store)
        yield one
        one.group.close()


def test_a_reading_from_the_future_flags_its_patient_once(clinic: Clinic) -> None:
    for minute in (10, 15, 20):
        clinic.letter(minute, "future")
        assert clinic.alerts() == [(10, None)]


def test_other_dead_letters_and_unknown_devices_flag_nobody(clinic: Clinic) -> None:
    clinic.letter(10, "json")
    clinic.letter(11, "future", patient="")
    assert clinic.alerts() == []


def test_the_device_is_well_when_its_readings_are_taken_again(clinic: Clinic) -> None:
    clinic.letter(10, "future")
    clinic.reading(12, device="cgm-2")
    assert clinic.alerts() == [(10, None)]
    clinic.reading(15)
    assert clinic.alerts() == [(10, 15)]
    clinic.letter(20, "past")
    assert clinic.alerts() == [(10, 15), (20, None)]


def test_a_device_that_says_nothing_more_is_forgotten_after_an_hour(clinic: Clinic) -> None:
    clinic.letter(10, "future")
    clinic.alerts()
    clinic.minute = 69
    assert clinic.alerts() == [(10, None)]
    clinic.minute = 70
    assert clinic.alerts() == [(10, 70)]


def test_a_restart_goes_on_with_what_was_flagged(clinic: Clinic) -> None:
    clinic.letter(10, "future")
    clinic.alerts()
    clinic.start()
    clinic.letter(12, "future")
    assert clinic.alerts() == [(10, None)]
    clinic.reading(14)
    assert clinic.alerts() == [(10, 14)]
