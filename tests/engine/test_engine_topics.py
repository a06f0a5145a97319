"""The engine over several topics, and over rules that come, change and go."""

from islet.engine.rules import read_rule
from islet.model.events import Meal, Vital
from islet.model.people import Patient
from islet.model.time import MINUTE_US, from_us
from islet.model.topics import Topic
from tests.engine.platforms import Platform, in_force, platform
from tests.engine.streams import RULES, Point

RACING = read_rule(
    """/*
name = "racing"
title = "Pulse above 120"
severity = "notice"
*/
SELECT patient, device, ts FROM vitals WHERE pulse_bpm > 120"""
)
AFTER_MEAL = read_rule(
    """/*
name = "after_meal"
title = "Above 180 within two hours of 20 g of carbohydrate"
severity = "notice"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, glucose_mg_dl,
    SUM(carbs_g) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS carbs
  FROM timeline
) AS recent
WHERE glucose_mg_dl IS NOT NULL AND glucose_mg_dl > 180 AND carbs >= 20"""
)


def _day(p: Platform) -> None:
    """Readings, a pulse, and a meal that is entered late."""
    p.rules = in_force([Patient(id="p1")], [RACING, AFTER_MEAL])
    p.start()
    p.send(Point(0, 190))
    p.tell(Topic.VITALS, 1, Vital(time=from_us(MINUTE_US), pulse_bpm=140))
    p.run(2)
    p.send(Point(5, 200))
    p.run(6)
    p.tell(Topic.CARE_EVENTS, 3, Meal(time=from_us(3 * MINUTE_US), carbs_g=30))
    p.run(7)
    p.tell(Topic.VITALS, 8, Vital(time=from_us(8 * MINUTE_US), pulse_bpm=90))
    p.send(Point(10, 150))
    p.run(11)


def test_vitals_and_care_events_are_watched_as_well() -> None:
    with platform() as p:
        _day(p)
        assert p.table() == {"racing~p1@1": (1, 8), "after_meal~p1@5": (5, 10)}
        assert p.engine.lag() == 0


def test_a_crash_in_the_middle_of_several_topics_loses_and_doubles_nothing() -> None:
    with platform() as undisturbed:
        _day(undisturbed)
        expected = undisturbed.said()
    for crash_at in range(1, 8):
        for after in (False, True):
            with platform() as p:
                p.writer.crash_at, p.writer.after = crash_at, after
                _day(p)
                assert p.said() == expected


def test_a_rule_that_is_taken_away_ends_its_alerts_and_leaves_those_of_others() -> None:
    with platform(1) as p:
        p.rules = in_force([])
        p.send(Point(0, 60), Point(0, 300, patient="p2"))
        p.run(0)
        p.rules = in_force([], [rule for rule in RULES if rule.name != "low"])
        p.run(3)
        assert p.table() == {"low~p1@0": (0, 3), "high~p2@0": (0, None)}
        p.rules = in_force([])
        p.send(Point(5, 60))
        p.run(5)
        assert p.table() == {"low~p1@0": (0, 3), "low~p1@5": (5, None), "high~p2@0": (0, None)}


def test_after_an_upgrade_that_changes_a_rule_the_stretch_behind_the_snapshot_follows_the_new_one() -> None:
    with platform(1) as p:
        p.rules = in_force([], [RACING])
        p.start()
        p.tell(Topic.VITALS, 0, Vital(time=from_us(0), pulse_bpm=110))
        p.run(1)
        assert p.table() == {}
        p.engine.snapshot()
        p.tell(Topic.VITALS, 2, Vital(time=from_us(2 * MINUTE_US), pulse_bpm=115))
        p.run(2)
        p.rules = in_force([], [read_rule(RACING.sql.replace("> 120", "> 100"))])
        p.start()
        p.run(3)
        assert p.table() == {"racing~p1@2": (2, None)}
