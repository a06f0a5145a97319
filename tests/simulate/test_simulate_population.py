"""Many people: the same seed gives the same lives, whoever else is there; nothing breaks in a month."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.model.codec import decode_event, encode_event
from islet.model.events import Exercise, Insulin, Meal
from islet.model.time import MINUTE_US, to_us
from islet.simulate import PROFILES, Population, Tick, care_events, make_population, tick
from islet.simulate.day import ACTS, Act

_NOON = to_us(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


def _lived(population: Population, ticks: int) -> list[Tick]:
    return [tick(population) for _ in range(ticks)]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 70), seed=st.integers(0, 2**32), start_min=st.integers(0, 20_000))
def test_a_persons_life_does_not_depend_on_how_many_there_are(n: int, seed: int, start_min: int) -> None:
    start_us = _NOON + start_min * MINUTE_US
    few = make_population(n, seed, start_us=start_us)
    many = make_population(71, seed, start_us=start_us)
    for one, other in zip(_lived(few, 25), _lived(many, 25), strict=True):
        assert one.glucose_mg_dl.tobytes() == other.glucose_mg_dl[:n].tobytes()
        assert one.cgm_mg_dl.tobytes() == other.cgm_mg_dl[:n].tobytes()
        assert one.range.tobytes() == other.range[:n].tobytes()
        assert one.acts.tolist() == other.acts[other.acts["person"] < n].tolist()
    assert few.bodies.tobytes() == many.bodies[:n].tobytes()
    assert few.days.tobytes() == many.days[:n].tobytes()


def test_the_same_seed_gives_the_same_lives_and_another_seed_others() -> None:
    lives = [
        b"".join(
            one.cgm_mg_dl.tobytes() + one.acts.tobytes()
            for one in _lived(make_population(10, seed, start_us=_NOON), 100)
        )
        for seed in (5, 5, 6)
    ]
    assert lives[0] == lives[1] != lives[2]


def test_a_month_gives_no_nan_and_no_impossible_glucose() -> None:
    population = make_population(50, 9, start_us=_NOON)
    for one in _lived(population, 30 * 480):
        assert np.all((one.glucose_mg_dl > 10.0) & (one.glucose_mg_dl < 1000.0))
        seen = one.cgm_mg_dl[~np.isnan(one.cgm_mg_dl)]
        assert np.all((seen >= 40.0) & (seen <= 400.0))
    assert all(np.isfinite(population.bodies[name]).all() for name in population.bodies.dtype.names or ())


def test_a_tick_is_dated_by_the_end_of_its_interval_and_acts_by_its_start() -> None:
    population = make_population(5, 1, start_us=_NOON, interval_min=5)
    first, second = _lived(population, 2)
    assert (first.acts_us, first.time_us) == (_NOON, _NOON + 5 * MINUTE_US)
    assert (second.acts_us, second.time_us) == (_NOON + 5 * MINUTE_US, _NOON + 10 * MINUTE_US)
    assert population.time_us == second.time_us


def test_glucose_at_another_interval_is_about_the_same() -> None:
    """The same people and plans; what differs is chance: when within minutes they eat, notice and miscount."""
    means = []
    for interval_min in (1, 3, 5):
        population = make_population(600, 4, start_us=_NOON, interval_min=interval_min)
        means.append(np.mean([one.glucose_mg_dl for one in _lived(population, 1440 // interval_min)]))
    assert max(means) - min(means) < 3.0


def test_profiles_take_turns() -> None:
    population = make_population(7, 1, profiles=("elderly", "athlete", "diabetic"), start_us=_NOON)
    assert population.profiles == ("elderly", "athlete", "diabetic")
    assert population.profile.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert len(population) == 7
    assert make_population(6, 1, start_us=_NOON).profiles == PROFILES


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(KeyError):
        make_population(1, 1, profiles=("astronaut",), start_us=_NOON)


def test_nobody_is_a_population() -> None:
    one = tick(make_population(0, 1, start_us=_NOON))
    assert len(one.glucose_mg_dl) == len(one.acts) == 0


def test_life_begins_without_catching_up_on_meals() -> None:
    """Started at any hour, the first half hour has no more acts than others have."""
    for hour in range(0, 24, 3):
        population = make_population(1000, 3, start_us=_NOON + hour * 60 * MINUTE_US)
        acts = sum(len(one.acts) for one in _lived(population, 10))
        assert acts < 1200


def test_meals_come_at_meal_times() -> None:
    population = make_population(500, 8, profiles=("elderly",), start_us=_NOON)
    hours = [
        (one.acts_us // MINUTE_US) % 1440 / 60
        for one in _lived(population, 480)
        for act in one.acts["act"]
        if act == Act.MEAL
    ]
    counts, _ = np.histogram(hours, bins=[0, 6, 9.5, 10.5, 13.5, 14, 17, 20, 24])
    assert counts[0] == counts[2] == counts[7] == 0
    assert np.all(counts[[1, 3, 6]] > 480)
    assert 200 < counts[5] < 400


def test_acts_become_events_that_a_device_could_send() -> None:
    acts = np.array(
        [
            (0, Act.MEAL, 60),
            (0, Act.BOLUS, 5.5),
            (2, Act.RESCUE, 15),
            (3, Act.DRINK, 14),
            (4, Act.CORRECTION, 2),
            (4, Act.EXERCISE, 45),
        ],
        ACTS,
    )
    nothing = np.empty(0, np.float32)
    one = Tick(
        time_us=_NOON + 3 * MINUTE_US,
        glucose_mg_dl=nothing,
        cgm_mg_dl=nothing,
        range=np.empty(0, np.int8),
        acts_us=_NOON,
        acts=acts,
    )
    noon = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    events = list(care_events(one))
    assert events == [
        (0, Meal(time=noon, carbs_g=60.0)),
        (0, Insulin(time=noon, dose_u=5.5, kind="bolus")),
        (2, Meal(time=noon, carbs_g=15.0, text="fast carbs against a low")),
        (3, Meal(time=noon, carbs_g=10.0, text="a drink with 14 g of alcohol")),
        (4, Insulin(time=noon, dose_u=2.0, kind="correction")),
        (4, Exercise(time=noon, duration_min=45.0)),
    ]
    assert [decode_event(encode_event(event)) for _, event in events] == [event for _, event in events]
