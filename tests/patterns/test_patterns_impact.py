"""Effects that were planted into simulated people are recovered with their sign and size."""

import numpy as np
import pytest

from benchmarks.patterns import Recovered, coverage_percent, recovered, sign_percent, slope
from islet.model.events import AnyEvent, Meal, Note
from islet.patterns.impact.model import POINTS, impacts
from tests.patterns.person_days import at, flat, found, hill, person
from tests.patterns.planted import planted, simulated

PEOPLE, DAYS = 16, 14


@pytest.fixture(scope="module")
def results() -> list[Recovered]:
    """Three planted effects of each of 16 people (the benchmark has 205)."""
    people = simulated(PEOPLE, DAYS, seed=3)
    return [one for place, who in enumerate(people) for one in recovered(planted(who, place))]


def test_nine_in_ten_intervals_hold_what_was_planted(results: list[Recovered]) -> None:
    assert len(results) == 3 * PEOPLE
    # of 48 intervals that hold the truth 9 times in 10, fewer than 37 come once in 150 seeds
    assert coverage_percent(results) >= 77.0


def test_planted_effects_come_back_with_their_sign_and_size(results: list[Recovered]) -> None:
    assert sign_percent(results) >= 95.0
    assert 0.85 <= slope(results) <= 1.1


def test_what_does_nothing_is_not_found_to_do_something(results: list[Recovered]) -> None:
    nothing = [one for one in results if one.truth == 0.0]
    assert abs(float(np.mean([one.value for one in nothing]))) < 3.0
    assert sum(one.low > 0.0 or one.high < 0.0 for one in nothing) <= 5  # of 16; 1.6 are expected


def test_two_factors_at_nearly_the_same_time_are_told_apart() -> None:
    rng = np.random.default_rng(4)
    days = 28
    glucose, events = flat(days) + rng.normal(0.0, 2.0, days * 288), list[AnyEvent]()
    for day in range(days):
        hour = rng.uniform(8.0, 20.0)
        if day % 4 != 0:
            hill(glucose, day, hour, 60.0)
            events.append(Note(time=at(day, hour), text="cake"))
        if day % 4 != 1:
            hill(glucose, day, hour + 0.25, -30.0)
            events.append(Note(time=at(day, hour + 0.25), text="walk"))
    cake, walk = (found(person(glucose, events), "impact_note", text) for text in ("cake", "walk"))
    assert cake is not None and walk is not None
    assert cake.figures[0].value == pytest.approx(60.0 * 2 / np.pi, abs=6.0)
    assert walk.figures[0].value == pytest.approx(-30.0 * 2 / np.pi, abs=6.0)


def test_the_same_days_give_the_same_intervals_and_too_few_give_none() -> None:
    rng = np.random.default_rng(1)
    glucose = 120.0 + rng.normal(0.0, 5.0, 10 * POINTS)
    minutes, amounts = [np.linspace(600.0, 9 * 1440.0 + 600.0, 10, dtype=np.float64)], [np.ones(10, np.float64)]
    first, second = (impacts(glucose, minutes, amounts) for _ in range(2))
    assert first is not None and second is not None
    assert np.array_equal(first.low_mg_dl, second.low_mg_dl)
    assert impacts(glucose[:POINTS], minutes, amounts) is None
    assert impacts(np.full(10 * POINTS, np.nan), minutes, amounts) is None


def test_what_mostly_comes_with_meals_of_unknown_size_is_told_with_low_confidence() -> None:
    glucose, events = flat(21), list[AnyEvent]()
    for day in range(21):
        hill(glucose, day, 12.0, 60.0 if day % 3 else 20.0)
        events.append(Meal(time=at(day, 12.0)))
        if day % 3:
            events.append(Note(time=at(day, 12.1), text="tablet"))
    tablet = found(person(glucose, events), "impact_note", "tablet")
    assert tablet is not None
    assert tablet.confidence == "low"
    assert "comes_with_meals" in tablet.confounders
    sized = [Meal(time=e.time, carbs_g=60 if e.time.day % 3 else 20) if isinstance(e, Meal) else e for e in events]
    told_apart = found(person(glucose, sized), "impact_note", "tablet")
    assert told_apart is not None and "comes_with_meals" not in told_apart.confounders
