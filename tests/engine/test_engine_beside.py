"""The engine within the writer's commits: what it says of entries becomes durable with them, or neither does."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.engine.embedded import CONSUMER
from islet.engine.shard import Shard, Taken
from islet.log.memory import MemoryLog
from islet.log.partitioning import Piece
from islet.model.people import Patient
from islet.model.topics import Topic
from tests.engine.platforms import Platform, in_force, platform
from tests.engine.streams import Point
from tests.engine.test_engine_embedded import STORY

PATIENCE_S = 60.0


class FailingLog(MemoryLog):
    """A log whose disk may be full: that shows when whoever accompanies the commit was asked already."""

    full = False

    def _append(self, piece: Piece) -> None:
        if self.full:
            raise OSError(28, "the disk is full")
        super()._append(piece)


def _lows(p: Platform) -> list[tuple[str, str]]:
    return [(change.change, change.patient) for change in p.said() if change.rule == "low"]


def _read_from_the_log(p: Platform) -> int:
    """How many entries the engine had to read there."""
    return p.engine.run_once(0.0)


def test_an_alert_is_committed_with_its_reading() -> None:
    with platform(beside=True) as p:
        p.run(0)
        before = p.writer.group.groups
        p.clock[0] += 500_000
        p.send(Point(0, 60), Point(0, 90, patient="p2"))
        assert _lows(p) == [("opened", "p1")]
        assert p.writer.group.groups == before + 1
        assert p.log.cursor(CONSUMER, Topic.GLUCOSE_READINGS) == p.log.end(Topic.GLUCOSE_READINGS)
        assert p.latencies_s == [0.0]
        assert p.engine.counters.readings == 2
        assert _read_from_the_log(p) == 0


@given(st.data())
@settings(deadline=None)
def test_beside_the_commits_or_from_the_log_the_same_is_said_whenever_it_stops(data: st.DataObject) -> None:
    with platform() as undisturbed:
        for minute, points in STORY:
            if points:
                undisturbed.send(*points)
            undisturbed.run(minute)
        expected = undisturbed.said()
    choose: Callable[[str], Any] = lambda what: data.draw(st.booleans(), label=what)  # noqa: E731
    with platform(beside=True) as p:
        p.run(0)
        for minute, points in STORY:
            p.writer.group.accompany(p.engine if choose("beside") else _Nobody())
            if points:
                p.send(*points)
            if choose("snapshot"):
                p.engine.snapshot()
            if choose("stop"):
                p.start()
            p.run(minute)
        assert p.said() == expected


class _Nobody:
    def follow(self, slices: object) -> None:
        return None

    def settle(self, error: Exception | None) -> None: ...


def test_when_the_commit_fails_nothing_was_said_and_what_comes_again_is_said_once() -> None:
    log = FailingLog(partitions=2)
    with platform(beside=True, log=log) as p:
        p.run(0)
        log.full = True
        for _ in range(3):
            with pytest.raises(OSError, match="the disk is full"):
                p.send(Point(0, 60))
            p.run(0)
        assert p.engine.counters.readings == 1  # it was not asked again while the disk is full
        log.full = False
        p.send(Point(0, 60))
        p.run(0)
        assert _lows(p) == [("opened", "p1")]
        p.send(Point(1, 60, patient="p2"))
        assert _lows(p) == [("opened", "p1"), ("opened", "p2")]


@pytest.mark.parametrize(("part", "step"), [(Shard, "take_in"), (Taken, "documents")])
def test_when_the_engine_fails_the_readings_are_kept_and_it_reads_them_from_the_log(
    monkeypatch: pytest.MonkeyPatch, part: type, step: str
) -> None:
    def broken(*ignored: object) -> None:
        raise ZeroDivisionError

    with platform(beside=True) as p:
        p.run(0)
        with monkeypatch.context() as patch:
            patch.setattr(part, step, broken)
            p.send(Point(0, 60))
        assert p.said() == []
        p.run(0)
        assert _lows(p) == [("opened", "p1")]


def test_many_entries_are_left_to_the_log() -> None:
    with platform(beside=True) as p:
        p.run(0)
        p.send(*(Point(0, 60, patient=f"p{number}") for number in range(3_000)))
        assert p.said() == []
        assert _read_from_the_log(p) == 3_000


def test_entries_behind_others_that_were_not_read_yet_wait_for_these() -> None:
    with platform(1, beside=True) as p:
        p.run(0)
        p.writer.group.accompany(_Nobody())
        p.send(Point(0, 60))
        p.writer.group.accompany(p.engine)
        p.send(Point(1, 60, patient="p2"))
        assert p.said() == []
        p.run(1)
        assert _lows(p) == [("opened", "p1"), ("opened", "p2")]


def test_a_busy_engine_keeps_no_commit_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go = threading.Event(), threading.Event()

    def slow(shard: Shard, now_us: int) -> Any:
        entered.set()
        assert go.wait(PATIENCE_S)
        return tick(shard, now_us)

    tick = Shard.tick
    with platform(beside=True) as p:
        p.run(0)
        monkeypatch.setattr(Shard, "tick", slow)
        running = threading.Thread(target=lambda: p.run(5))
        running.start()
        try:
            assert entered.wait(PATIENCE_S)
            p.send(Point(5, 60))
            assert p.said() == []
        finally:
            go.set()
            running.join()
        p.run(5)
        assert _lows(p) == [("opened", "p1")]


def test_rules_that_have_changed_hold_for_the_next_reading() -> None:
    with platform(1, beside=True) as p:
        p.rules = in_force([Patient(id="p1")])
        p.run(0)
        p.send(Point(0, 120))
        assert p.said() == []
        p.rules = in_force([Patient(id="p1", tags=("simulated",))])
        p.send(Point(2, 120))
        p.run(2)
        assert [change.rule for change in p.said()] == ["seed_demonstration"]


def test_an_engine_that_was_closed_is_beside_no_commit_any_more() -> None:
    with platform(beside=True) as p:
        p.run(0)
        p.engine.close()
        p.send(Point(0, 60))
        assert p.said() == []
        p.start()
        p.run(0)
        assert _lows(p) == [("opened", "p1")]
