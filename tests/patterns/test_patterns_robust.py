"""Bad or little data: never a crash, never a number that is none."""

import warnings
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.metrics.ranges import PRESETS
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Medication, Note
from islet.model.series import Series
from islet.model.time import DAY_US, MINUTE_US, from_us
from islet.patterns.advise import advise
from islet.patterns.find import find
from islet.patterns.findings import PersonDays
from islet.patterns.told import advice_told, told
from tests.patterns.person_days import START_US

ZONES = ("UTC", "Europe/Vienna", "America/St_Johns", "Australia/Lord_Howe")


def anybody(seed: int) -> PersonDays:
    """Readings now and then or every five minutes, of any size, and events of any kind, some outside of the readings."""
    rng = np.random.default_rng(seed)
    days, n = int(rng.integers(1, 12)), int(rng.integers(0, 60))
    scattered = np.unique(rng.integers(START_US, START_US + days * DAY_US, n))
    steps = START_US + np.unique(rng.integers(0, days * 288, n * 20)) * 5 * MINUTE_US
    times = (scattered if rng.random() < 0.5 else steps).astype(np.int64)
    events = sorted((any_event(rng, days) for _ in range(int(rng.integers(0, 30)))), key=lambda one: one.time)
    return PersonDays(
        id="anybody",
        series=Series(
            time_us=times,
            glucose_tenths=rng.integers(200, 5000, len(times)).astype(np.int32),
            range=np.zeros(len(times), np.int8),
        ),
        events=tuple(events),
        zone=ZoneInfo(str(rng.choice(ZONES))),
    )


def any_event(rng: np.random.Generator, days: int) -> AnyEvent:
    time = from_us(int(rng.integers(START_US - DAY_US, START_US + (days + 1) * DAY_US)))
    return (
        Meal(time=time, text=str(rng.choice(["", "rice", "a,b;c"])), carbs_g=(None, 0.0, 50.0)[int(rng.integers(3))]),
        Insulin(time=time, dose_u=float(rng.integers(0, 9)), name=str(rng.choice(["", "CSII", "glargine", "NPH"]))),
        Exercise(time=time, duration_min=float(rng.integers(1, 300)), kind=str(rng.choice(["", "run"]))),
        Medication(time=time, name="metformin"),
        Note(time=time, text="x"),
    )[int(rng.integers(5))]


@settings(max_examples=15)
@given(st.integers(0, 100_000), st.sampled_from(sorted(PRESETS)))
@pytest.mark.filterwarnings("error")
def test_whatever_comes_there_are_only_finite_numbers_and_whole_sentences(seed: int, goals: str) -> None:
    person = anybody(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = find(person, PRESETS[goals])
        advice = advise(findings, person, PRESETS[goals])
    for figures in (one.figures for group in (findings, advice) for one in group):
        for figure in figures:
            assert all(np.isfinite(value) for value in (figure.value, figure.low, figure.high) if value is not None)
    said = [told(one, str) for one in findings] + [advice_told(one, str, "mmol/L") for one in advice]
    assert all(one.title and one.sentence and "nan" not in one.sentence for one in said)
    assert all(0 <= one.n <= one.of for one in findings)
