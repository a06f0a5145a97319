"""Readings that came hours late become history: found, said once, and paged to nobody."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from islet.engine.backfill import BackfillFollower, Episode, differences
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.alerts import PATTERN_CHANGE, Alert, AlertChange, Severity
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.store.base import Store
from islet.store.follow import Follower
from islet.store.sqlite import SqliteStore

BEGIN_US = 10**15
LATENESS_US = 15 * MINUTE_US


class Night:
    """A log, a store that follows it, a follower of late readings, and a clock that is set by hand."""

    def __init__(self, store: Store) -> None:
        self.log, self.store, self.minute = MemoryLog(), store, 0.0
        self.engine_at: int | None = None
        self.group = GroupCommit(self.log, lambda: self.now_us, within_s=0.0)
        self.start()

    def start(self) -> None:
        """Start it, or start it again after a crash."""
        self.follower = BackfillFollower(
            self.log,
            self.store,
            self.group,
            self.lows,
            lambda: self.now_us,
            lateness_us=LATENESS_US,
            evaluated=lambda: self.log.end(Topic.GLUCOSE_READINGS) if self.engine_at is None else (self.engine_at,),
        )

    @property
    def now_us(self) -> int:
        return BEGIN_US + round(self.minute * MINUTE_US)

    def send(self, at: float, minutes: dict[float, int]) -> None:
        """Readings (minute: mg/dL) that come in at minute `at`."""
        self.minute = at
        rows = [ReadingRow("anna", "cgm", us(m), v * 10, float(v), 0, 0, 0) for m, v in minutes.items()]
        self.group.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])

    def say(self, *changes: AlertChange) -> None:
        rows = [DocumentRow(c.patient, "", c.at_us, c.change, encode_change(c).decode()) for c in changes]
        self.group.commit([Append(topic=Topic.ALERTS, batch=documents_batch(rows))])

    def settle(self, at: float) -> list[tuple[str, float, float | None, bool]]:
        """The alerts (rule, onset, end, retrospective) when all is done at minute `at`."""
        followed = Follower(self.log, self.store)
        for minute in (self.minute, at):
            while followed.run_once(0):
                pass
            self.minute = minute
            while self.follower.run_once(0):
                pass
        while followed.run_once(0):
            pass
        return sorted(
            (a.rule, m(a.onset_us), None if a.cleared_us is None else m(a.cleared_us), a.retrospective)
            for a in self.store.alerts()
        )

    def lows(self, patient: str, from_us: int, to_us: int) -> Sequence[Episode]:
        """Below 70, without hysteresis."""
        series = self.store.series(patient, from_us, to_us)
        found: list[Episode] = []
        onset: int | None = None
        for time_us, tenths in zip(series.time_us.tolist(), series.glucose_tenths.tolist(), strict=True):
            if onset is None and tenths < 700:
                onset = time_us
            elif onset is not None and tenths >= 700:
                found.append(low(onset, time_us))
                onset = None
        return [*found, low(onset, None)] if onset is not None else found


def us(minute: float) -> int:
    return BEGIN_US + round(minute * MINUTE_US)


def m(time_us: int) -> float:
    return (time_us - BEGIN_US) / MINUTE_US


def low(onset_us: int, end_us: int | None) -> Episode:
    return Episode(
        rule="low", severity=Severity.WARNING, onset_us=onset_us, end_us=end_us, device="cgm", glucose_tenths=600
    )


def said(onset: float, end: float | None, *, retrospective: bool = False) -> Alert:
    return Alert(
        id=f"low~anna~{us(onset)}",
        rule="low",
        patient="anna",
        severity=Severity.WARNING,
        onset_us=us(onset),
        opened_received_us=0,
        cleared_us=None if end is None else us(end),
        retrospective=retrospective,
    )


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with closing(SqliteStore(tmp_path / "store.db", bytes(32))) as store:
        one = Night(store)
        yield one
        one.group.close()


OFFLINE = {60.0: 100, 65.0: 60, 70.0: 58, 75.0: 100}


def test_a_low_in_readings_that_were_kept_for_hours_is_found_and_is_history(night: Night) -> None:
    night.send(0, {0.0: 100})
    night.send(240, {240.0: 110})
    night.send(241, OFFLINE)
    assert night.settle(242) == [("low", 65, 75, True)]
    assert night.follower.counts() == {"stretches": 1, "found": 1, "waiting": 0}


def test_nothing_is_said_before_the_store_has_the_readings_and_no_more_of_them_come(night: Night) -> None:
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    night.follower.run_once(0)
    night.minute = 250
    night.follower.run_once(0)
    assert night.follower.counts()["stretches"] == 0
    night.send(250, {80.0: 100})
    assert night.settle(251) == [("low", 65, 75, True)]


def test_what_the_engine_has_yet_to_say_of_readings_is_waited_for_and_is_no_history(night: Night) -> None:
    night.engine_at = 0
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    assert night.settle(251) == []
    night.engine_at = 6
    opened = AlertChange(change="opened", rule="low", patient="anna", onset_us=us(65), at_us=us(65))
    night.say(opened, structs.replace(opened, change="cleared", at_us=us(75)))
    night.follower.run_once(0)  # the store does not have it yet
    assert night.follower.counts()["waiting"] == 1
    assert night.settle(252) == [("low", 65, 75, False)]
    assert night.follower.counts() == {"stretches": 1, "found": 0, "waiting": 0}


def test_what_the_engine_says_after_all_is_no_history(night: Night) -> None:
    found = AlertChange(change="opened", rule="low", patient="anna", onset_us=us(65), at_us=us(65), retrospective=True)
    night.say(found, structs.replace(found, retrospective=False), found)
    assert night.settle(1) == [("low", 65, None, False)]


def test_what_was_said_at_the_time_stays_as_it_was(night: Night) -> None:
    opened = AlertChange(change="opened", rule="low", patient="anna", onset_us=us(62), at_us=us(62))
    night.say(opened, AlertChange(change="cleared", rule="low", patient="anna", onset_us=us(62), at_us=us(66)))
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    assert night.settle(242) == [("low", 62, 66, False)]


def test_what_a_job_has_found_in_the_past_is_left_alone(night: Night) -> None:
    found = AlertChange(
        change="opened", rule="pattern_change", patient="anna", onset_us=us(30), at_us=us(30), retrospective=True
    )
    night.say(found)
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    assert night.settle(242) == [("low", 65, 75, True), ("pattern_change", 30, None, True)]


def test_more_that_comes_even_later_changes_the_history(night: Night) -> None:
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    night.settle(242)
    night.send(300, {62.0: 65, 72.0: 100})
    assert night.settle(301) == [("low", 62, 72, True)]


def test_what_is_weeks_newer_than_the_late_readings_is_not_looked_at_again(night: Night) -> None:
    """A low of now that the rules of then did not say, and one that was found in history: both stay as they are."""
    later = 20.0 * 24 * 60
    opened = AlertChange(
        change="opened", rule="low", patient="anna", onset_us=us(later - 60), at_us=us(later - 60), retrospective=True
    )
    night.say(opened, structs.replace(opened, change="cleared", at_us=us(later - 30)))
    night.send(later, {later: 60, later + 5: 100, later + 30: 110})
    night.send(later + 31, OFFLINE)
    assert night.settle(later + 32) == [("low", 65, 75, True), ("low", later - 60, later - 30, True)]


def test_readings_in_order_that_are_merely_old_are_the_engines_own(night: Night) -> None:
    night.send(240, {200.0: 60})
    assert night.settle(242) == []
    assert night.follower.counts()["stretches"] == 0


def test_a_crash_anywhere_loses_and_doubles_nothing(night: Night) -> None:
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    night.follower.run_once(0)
    night.start()
    before = night.settle(242)
    night.start()
    assert night.settle(250) == before == [("low", 65, 75, True)]


def test_the_cursor_waits_for_what_has_not_been_dealt_with(night: Night) -> None:
    night.send(240, {0.0: 100, 240.0: 110})
    night.send(241, OFFLINE)
    night.follower.run_once(0)
    night.minute = 241.9
    night.follower.run_once(0)  # the store has nothing yet, so the late ones wait
    assert sum(night.log.cursor("backfill", Topic.GLUCOSE_READINGS)) <= 2
    night.settle(243)
    night.minute = 250
    night.follower.run_once(0)
    assert sum(night.log.cursor("backfill", Topic.GLUCOSE_READINGS)) == 6


def test_what_is_wanted_and_what_was_said_make_the_difference() -> None:
    known = [said(0, 10), said(100, 110, retrospective=True), said(200, 210, retrospective=True)]
    episodes = [low(us(5), us(20)), low(us(100), us(115)), low(us(300), us(310)), low(us(400), None)]
    changes = differences("anna", episodes, known, from_us=us(90))
    assert [(c.change, m(c.onset_us), m(c.at_us)) for c in changes] == [
        ("cleared", 100, 115),
        ("opened", 300, 300),
        ("cleared", 300, 310),
        ("retracted", 200, 200),
    ]
    assert all(c.retrospective for c in changes)


def test_what_a_nightly_job_has_said_is_none_of_its_business() -> None:
    job = structs.replace(said(100, 110, retrospective=True), rule=PATTERN_CHANGE)
    assert differences("anna", [], [job], from_us=us(90)) == []
    assert differences("anna", [], [structs.replace(job, rule="low")], from_us=us(90)) != []


def test_a_feed_that_is_always_behind_is_looked_at_and_left(night: Night) -> None:
    for hour in range(3):
        night.send(hour * 60 + 30, {hour * 60.0: 60})
        assert night.settle(hour * 60 + 31) == []
    assert night.follower.counts() == {"stretches": 0, "found": 0, "waiting": 0}
