"""The engine over a log: everything is said once, whatever happens between reading and committing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.engine.embedded import CONSUMER
from islet.model.people import Patient
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.settings import Settings
from tests.engine.platforms import EVERYBODY, PLAN, Crash, Platform, Rules, in_force, platform
from tests.engine.slow import expected_episodes
from tests.engine.streams import Point

STORY: list[tuple[float, list[Point]]] = [
    (0, [Point(0, 90), Point(0, 120, patient="p2"), Point(0, 60, patient="p3")]),
    (5, [Point(5, 60), Point(5, 60), Point(5, 120, patient="p2")]),
    (6, [Point(4, 50)]),
    (25, [Point(10, 80, patient="p3")]),
    (26, []),
    (31, [Point(30, 90)]),
    (60, [Point(45, 90), Point(12, 100, patient="p2")]),
    (66, [Point(65, 90), Point(65, 260, patient="p2"), Point(64, 50, patient="p2")]),
    (100, []),
]


def _tell(story: Platform, snapshot_after: int | None = None) -> None:
    for number, (minute, points) in enumerate(STORY):
        if points:
            story.send(*points)
        story.run(minute)
        if number == snapshot_after:
            story.engine.snapshot()


def test_alerts_from_several_partitions_are_those_of_the_slow_reference() -> None:
    with platform() as p:
        _tell(p)
        points = {point for _, points in STORY for point in points}
        assert p.table() == expected_episodes(points, 100)
        assert p.engine.lag() == 0
        assert p.engine.counters.duplicates == 1
        assert p.engine.counters.readings == sum(len(points) for _, points in STORY)


def test_a_crash_before_or_after_any_commit_loses_and_doubles_nothing() -> None:
    with platform() as undisturbed:
        _tell(undisturbed)
        expected = undisturbed.said()
    for crash_at in range(1, 12):
        for after in (False, True):
            for snapshot_after in (None, 3):
                with platform() as p:
                    p.writer.crash_at, p.writer.after = crash_at, after
                    try:
                        _tell(p, snapshot_after)
                    except Crash:  # in the snapshot that the test asked for
                        continue
                    assert p.said() == expected


@given(st.lists(st.integers(0, len(STORY) - 1), max_size=4), st.booleans())
@settings(deadline=None, max_examples=25)
def test_stops_and_starts_at_any_time_change_nothing(stops: list[int], cleanly: bool) -> None:
    with platform() as undisturbed:
        _tell(undisturbed)
        expected = undisturbed.said()
    with platform() as p:
        for number, (minute, points) in enumerate(STORY):
            if points:
                p.send(*points)
            p.run(minute)
            for _ in range(stops.count(number)):
                if cleanly:
                    p.engine.close()
                p.start()
        assert p.said() == expected


def test_a_silence_is_not_said_twice_after_a_crash() -> None:
    with platform(1) as p:
        p.send(Point(0, 90))
        p.run(0)
        p.run(19)  # a tick that says nothing
        p.send(Point(-5, 90, patient="p2"))
        p.run(19.5)
        said = p.said()
        assert [(change.rule, change.patient) for change in said] == [("no_data", "p2")]
        p.start()
        p.run(19.5)
        assert p.said() == said


def test_nobody_is_called_silent_while_their_device_tells_what_it_kept_or_just_after_a_start() -> None:
    with platform(1) as p:
        p.settings = Settings(silence_grace_s=60)
        p.clock[0] = 600 * MINUTE_US
        p.send(Point(0, 90, patient="p2"))  # long before the start
        p.clock[0] = 605 * MINUTE_US
        p.start()
        for number in range(40):  # ten hours of readings, told within half a minute
            p.send(Point(number * 3, 90))
            p.run(605 + number * 0.0125)
        assert p.said() == []
        p.run(606)
        assert p.table() == {"no_data~p2@20": (20, None)}
        p.run(606.5)
        assert p.table() == {"no_data~p2@20": (20, None), "no_data~p1@137": (137, None)}


def test_nothing_is_said_about_silence_before_the_backlog_has_been_read() -> None:
    with platform(1) as p:
        for minute in range(0, 60, 5):
            p.send(Point(minute, 90))
        p.clock[0] = 60 * MINUTE_US
        for _ in range(12):
            assert p.engine.run_once(0.0) == 1
            assert p.engine.counters.opened == 0
        p.run(61)
        p.run(75)
        assert p.table() == {"no_data~p1@75": (75, None)}


def test_a_tag_changes_the_rules_without_a_restart_and_a_replay_meets_each_reading_with_its_own() -> None:
    with platform(1) as p:
        p.rules = in_force([Patient(id="p1")])
        p.send(Point(0, 120))
        p.run(0)
        assert p.table() == {}
        p.rules = in_force([Patient(id="p1", tags=("simulated",))])
        p.send(Point(2, 120))
        p.run(2)
        assert p.table() == {"seed_demonstration~p1@2": (2, None)}
        p.start()
        p.run(3)  # before the next snapshot is due
        p.send(Point(4, 80), Point(15, 80))
        p.run(15)
        assert p.table() == {"seed_demonstration~p1@2": (2, 15)}
        assert [c.change for c in p.said()] == ["opened", "cleared"]


def test_the_latency_of_each_change_that_a_reading_caused_is_observed() -> None:
    with platform(1) as p:
        p.send(Point(0, 90), Point(0, 60, patient="p2"))
        p.run(0.5)
        assert p.latencies_s == [30.0]
        p.run(40)
        assert p.latencies_s == [30.0]  # what the time caused has no reading to count from


def test_a_snapshot_is_made_when_it_is_time_and_shortens_the_replay() -> None:
    with platform(1) as p:
        p.settings = Settings(engine_snapshot_s=300)
        p.start()
        p.send(Point(0, 60))
        p.run(0)
        assert p.engine.counters.snapshots == 0
        p.run(5)
        assert p.engine.counters.snapshots == 1
        p.log.expire(2**62)  # what came before the snapshot is not needed any more
        p.start()
        p.send(Point(5, 90))
        p.run(5)
        assert [(c.change, c.rule, c.onset_us) for c in p.said()] == [("cleared", "low", 0)]


def test_a_reader_that_retention_has_overtaken_goes_on_with_what_is_left() -> None:
    with platform(1) as p:
        p.send(Point(0, 60))
        p.log.expire(2**62)
        p.send(Point(5, 60))
        p.run(5)
        assert p.table() == {"low~p1@5": (5, None)}
        assert p.log.cursor(CONSUMER, Topic.GLUCOSE_READINGS) == (2,)


def test_equal_references_are_no_change() -> None:
    with platform(1) as p:
        p.send(Point(0, 90))
        p.run(0)
        p.rules = Rules(PLAN, dict(EVERYBODY.references))
        p.run(1)
        assert p.engine.counters.snapshots == 0


def test_an_engine_that_was_stopped_before_the_first_reading_starts_again() -> None:
    with platform(1) as p:
        p.run(0)
        p.engine.close()
        p.start()
        p.send(Point(0, 60))
        p.run(0)
        assert p.table() == {"low~p1@0": (0, None)}


@pytest.mark.parametrize("damaged", [b"", b"\x01\x00" + bytes(8) + b"not a state", b"of another version"])
def test_an_engine_whose_snapshot_cannot_be_read_takes_the_log_in_again(damaged: bytes) -> None:
    with platform(1) as p:
        p.send(Point(0, 60))
        p.run(0)
        p.engine.close()
        p.writer.group.commit(states={"engine": damaged})
        p.start()
        p.send(Point(5, 90))
        p.run(5)
        assert [(c.change, c.rule, c.onset_us) for c in p.said()] == [("opened", "low", 0), ("cleared", "low", 0)]
