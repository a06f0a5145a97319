"""Patterns of glucose: each is found where it was drawn, with its number and its instants, and nowhere else."""

import numpy as np
import pytest

from islet.model.events import Meal
from islet.model.time import HOUR_US, MINUTE_US
from islet.patterns.find import find
from islet.patterns.glucose.low_risk import low_night_chance
from tests.patterns.person_days import A_DAY, START_US, at, bump, course, flat, found, hill, person


def test_a_steady_person_has_no_concern() -> None:
    findings = find(person(flat(14), [Meal(time=at(day, 8.0)) for day in range(14)]))
    assert findings
    assert {one.severity for one in findings} == {"none"}


def test_nobody_without_readings_has_findings_and_nothing_crashes() -> None:
    assert find(person(flat(0))) == []
    assert find(person(flat(1)[:1])) == []


def test_a_low_at_night_is_found_with_its_instants() -> None:
    glucose = flat(7)
    bump(glucose, 2, 2.0, 150, 75.0)
    bump(glucose, 2, 3.0, 30, 60.0)
    low = found(person(glucose), "night_lows")
    assert low is not None
    assert (low.n, low.of, low.severity) == (1, 1, "moderate")
    evidence = low.evidence[0]
    assert evidence.from_us == START_US + (2 * 24 + 3) * HOUR_US
    assert evidence.to_us - evidence.from_us == 30 * MINUTE_US
    assert evidence.value == 60.0


@pytest.mark.parametrize(("minutes", "seen"), [(10, False), (15, True)])
def test_a_low_needs_fifteen_minutes(minutes: float, seen: bool) -> None:
    glucose = flat(7)
    bump(glucose, 2, 3.0, minutes, 60.0)
    assert (found(person(glucose), "night_lows") is not None) is seen


def test_a_low_at_noon_is_no_night_low_and_one_at_night_follows_the_persons_clock() -> None:
    glucose = flat(7)
    bump(glucose, 2, 12.0, 30, 60.0)
    assert found(person(glucose), "night_lows") is None
    there = found(person(glucose, zone="Pacific/Auckland"), "night_lows")  # 12:00 UTC is 01:00 there
    assert there is not None
    assert there.evidence[0].from_us == START_US + (2 * 24 + 12) * HOUR_US


def test_nights_are_found_before_and_after_the_clock_is_changed() -> None:
    glucose = flat(150)  # Vienna's clock goes forward on day 141
    for day, hour in ((139, 4.5), (147, 4.5)):  # 5:30 and 6:30 there
        bump(glucose, day, hour, 20, 60.0)
    night = found(person(glucose, zone="Europe/Vienna"), "night_lows")
    assert night is not None
    assert [one.from_us for one in night.evidence] == [START_US + 139 * 24 * HOUR_US + 9 * HOUR_US // 2]


@pytest.mark.parametrize(("minutes", "seen"), [(120, False), (125, True)])
def test_a_prolonged_low_is_one_of_more_than_two_hours(minutes: float, seen: bool) -> None:
    glucose = flat(7)
    bump(glucose, 2, 14.0, minutes, 60.0)
    assert (found(person(glucose), "prolonged_lows") is not None) is seen


def test_a_low_with_food_is_noticed_and_one_without_is_not() -> None:
    glucose = flat(7)
    bump(glucose, 2, 14.0, 30, 60.0)
    bump(glucose, 4, 14.0, 30, 60.0)
    meals = [Meal(time=at(day, 8.0)) for day in range(7)]
    unseen = found(person(glucose, [*meals, Meal(time=at(2, 14.2))]), "unrecorded_lows")
    assert unseen is not None
    assert (unseen.n, unseen.of) == (1, 2)
    assert unseen.evidence[0].from_us == START_US + (4 * 24 + 14) * HOUR_US


def test_of_people_who_write_nothing_down_no_low_is_called_unnoticed() -> None:
    glucose = flat(7)
    bump(glucose, 2, 14.0, 30, 60.0)
    assert found(person(glucose), "unrecorded_lows") is None


def test_a_fast_fall_and_rise_at_night_without_food_may_be_a_pressed_sensor() -> None:
    glucose = flat(7)
    bump(glucose, 2, 3.0, 30, 60.0)
    assert found(person(glucose), "compression_lows") is not None
    assert found(person(glucose, [Meal(time=at(2, 3.5))]), "compression_lows") is None
    bump(glucose, 2, 2.0, 60, 72.0)  # it came slowly
    assert found(person(glucose), "compression_lows") is None


def test_a_high_within_three_hours_after_a_low_is_a_rebound() -> None:
    glucose = flat(7)
    bump(glucose, 2, 14.0, 30, 60.0)
    bump(glucose, 2, 16.5, 30, 200.0)
    bump(glucose, 4, 14.0, 30, 60.0)
    bump(glucose, 4, 17.7, 30, 200.0)
    rebound = found(person(glucose), "rebound_after_low")
    assert rebound is not None
    assert (rebound.n, rebound.of) == (1, 2)


def dawning(rise: float, days: int = 7) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    glucose = flat(days)
    for day in range(days):
        hours = np.arange(A_DAY) * 5 / 60
        glucose[day * A_DAY : (day + 1) * A_DAY] += rise * np.clip((hours - 4.0) / 2.5, 0.0, 1.0) * (hours < 12)
    return glucose


@pytest.mark.parametrize(
    ("rise", "diabetes", "seen"),
    [(19, "type_2", False), (21, "type_2", True), (11, "type_1", True), (9, "type_1", False)],
)
def test_dawn_is_a_rise_of_twenty_or_of_ten_in_type_1(rise: float, diabetes: str, seen: bool) -> None:
    assert (found(person(dawning(rise), diabetes=diabetes), "dawn_rise") is not None) is seen


def test_dawn_is_told_with_its_size_and_not_of_nights_with_a_low() -> None:
    glucose = dawning(30.0)
    bump(glucose, 3, 2.0, 20, 60.0)
    dawn = found(person(glucose), "dawn_rise")
    assert dawn is not None
    assert (dawn.n, dawn.of) == (6, 6)
    assert dawn.figures[0].value == 30.0


def test_fasting_is_taken_before_the_breakfast_that_was_written_down() -> None:
    glucose = flat(7)
    for day in range(7):
        bump(glucose, day, 8.5, 30, 150.0)
    fasting = found(person(glucose, [Meal(time=at(day, 9.0)) for day in range(7)]), "fasting_level")
    assert fasting is not None
    assert (fasting.n, fasting.of, fasting.severity) == (7, 7, "mild")
    assert fasting.figures[0].value == pytest.approx(150.0, abs=6.0)
    assert fasting.confounders == ()


def test_a_high_without_a_meal_is_one_between_meals() -> None:
    glucose = flat(7)
    for day in range(7):
        hill(glucose, day, 12.0, 100.0)
        hill(glucose, day, 16.0, 100.0)
    meals = [Meal(time=at(day, hour)) for day in range(7) for hour in (8.0, 12.0)]
    high = found(person(glucose, meals), "between_meal_highs")
    assert high is not None
    assert (high.n, high.of) == (7, 14)
    assert {(one.from_us - START_US) // HOUR_US % 24 for one in high.evidence} == {16}


def test_variability_above_36_percent_is_a_concern() -> None:
    calm, wild = flat(14), flat(14)
    for glucose, swing in ((calm, 30.0), (wild, 80.0)):
        glucose += 40.0 + swing * np.sin(np.arange(len(glucose)) / 20.0)
    steady, swinging = (found(person(glucose), "variability") for glucose in (calm, wild))
    assert steady is not None and swinging is not None
    assert (steady.severity, swinging.severity) == ("none", "moderate")
    assert swinging.figures[0].value == pytest.approx(100 * 80.0 / np.sqrt(2) / 150.0, rel=0.02)


def test_the_chance_of_a_low_night_grows_with_lows_and_with_coming_near() -> None:
    far, near, low = flat(10, 140.0), flat(10, 74.0), flat(10, 140.0)
    for day in range(5):
        bump(low, day, 3.0, 60, 60.0)
    chances = [low_night_chance(course(person(glucose))) for glucose in (far, near, low)]
    assert chances[0] < 0.01 < 0.05 < chances[1] < chances[2]
    assert chances[2] == pytest.approx(0.45, abs=0.1)
