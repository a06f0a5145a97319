"""Changes are found within days of their size, and hardly ever where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.patterns.changes import LEAST_BASELINE_DAYS, LOOK_BACK_DAYS, METRICS, evidence
from islet.patterns.days import Days
from islet.patterns.watch import USUAL_AFTER_DAYS, PatternChange, watched
from tests.patterns.people import FIRST_DAY, days_of, stationary, up_to

STEP_AT = 50
YEAR = 365


def noise(seed: int, n: int, sd: float = 10.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = np.random.default_rng(seed).normal(0, sd, n)
    return values


def night_of_discovery(days: Days, metric: str) -> int | None:
    """How many days after STEP_AT a metric is first said to have changed; None: not within a fortnight."""
    for end in range(STEP_AT, STEP_AT + 14):
        if any(one.metric == metric for one in evidence(up_to(days, end, LOOK_BACK_DAYS))):
            return end - STEP_AT + 1
    return None


def openings(days: Days) -> list[PatternChange]:
    """All changes that are opened when somebody looks every night."""
    opened: list[PatternChange] = []
    known: PatternChange | None = None
    for end in range(LEAST_BASELINE_DAYS, len(days)):
        now = watched(known, up_to(days, end, LOOK_BACK_DAYS))
        if now is not None and now.open and (known is None or not known.open):
            opened.append(now)
        known = now
    return opened


@pytest.mark.parametrize(("alike", "most"), [(0.0, 0.5), (0.3, 1.0)])
def test_on_stationary_days_there_is_less_than_one_false_alarm_in_a_patient_year(alike: float, most: float) -> None:
    years = 10
    false = sum(len(openings(stationary(seed, YEAR, alike=alike))) for seed in range(years))
    assert false / years <= most


@pytest.mark.parametrize(("size_sd", "within", "share"), [(3.0, 10, 0.8), (4.0, 8, 0.92)])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_step_is_found_within_days(size_sd: float, within: int, share: float, side: int) -> None:
    people = 40
    found = 0
    for seed in range(people):
        mean = 160 + noise(seed, 80)
        mean[STEP_AT:] += side * size_sd * 10
        nights = night_of_discovery(days_of(mean), "mean_mg_dl")
        found += nights is not None and nights <= within
    assert found / people >= share


def test_the_evidence_says_which_metric_from_when_and_from_what_to_what() -> None:
    mean = 150 + noise(1, 60)
    mean[STEP_AT:] += 50
    (one,) = evidence(days_of(mean))
    assert one.metric == "mean_mg_dl"
    assert abs(one.onset_day - (FIRST_DAY + STEP_AT)) <= 1
    assert one.before == pytest.approx(150, abs=5)
    assert one.after == pytest.approx(200, abs=8)
    assert (one.before_days, one.after_days) == (28, FIRST_DAY + 60 - one.onset_day)
    assert one.score > 10


def test_a_sensor_that_is_worn_less_is_a_change_but_no_change_of_glucose() -> None:
    worn = np.full(60, 24.0)
    worn[STEP_AT:] = 10.0
    found = evidence(days_of(150 + noise(2, 60), worn_h=worn))
    assert [(one.metric, one.before, one.after) for one in found] == [("worn_h", 24.0, 10.0)]


def test_one_odd_day_is_no_change() -> None:
    mean = 150 + noise(3, 60)
    for odd in (-1, -2):
        mean[odd] = 380.0
        assert evidence(days_of(mean)) == ()


def test_too_little_to_say_anything_says_nothing() -> None:
    step = np.concatenate([np.full(LEAST_BASELINE_DAYS - 1, 120.0), np.full(14, 250.0)])
    assert evidence(days_of(step)) == ()
    assert evidence(days_of(np.empty(0))) == ()
    sparse = np.tile([24.0, 3.0, 3.0, 3.0], 20)
    alternating = evidence(days_of(np.linspace(100, 300, 80), worn_h=sparse))
    assert "mean_mg_dl" not in [one.metric for one in alternating]


def test_gaps_neither_hide_a_change_nor_make_one() -> None:
    worn = np.full(LOOK_BACK_DAYS, 24.0)
    worn[20:30] = 0.0
    quiet = 150 + noise(4, LOOK_BACK_DAYS)
    assert [one.metric for one in evidence(days_of(quiet, worn_h=worn))] == []
    quiet[48:] += 50
    assert [one.metric for one in evidence(days_of(quiet, worn_h=worn))] == ["mean_mg_dl"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=0, max_size=60), st.integers(0, 2**32 - 1))
def test_no_days_whatever_raise_an_error_or_give_a_change_that_is_not_in_them(gaps: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(gaps)
    days = days_of(rng.uniform(40, 400, n), worn_h=np.round(24 * np.array(gaps)), tbr_percent=rng.uniform(0, 100, n))
    for one in evidence(days):
        assert days.first <= one.onset_day <= days.last
        metric = next(metric for metric in METRICS if metric.name == one.metric)
        assert abs(one.after - one.before) >= metric.least - 0.11  # rounded


def test_a_change_is_opened_once_and_ends_when_the_days_are_as_before() -> None:
    mean = 150 + noise(5, 120)
    mean[STEP_AT : STEP_AT + 20] += 60
    known: PatternChange | None = None
    seen: list[PatternChange] = []
    for end in range(20, 120):
        known = watched(known, up_to(days_of(mean), end, LOOK_BACK_DAYS))
        if known is not None and (not seen or seen[-1] != known):
            seen.append(known)
    opened, ended = seen
    assert opened.open
    assert (ended.onset_day, ended.ending) == (opened.onset_day, "as_before")
    assert ended.ended_day is not None
    assert FIRST_DAY + STEP_AT + 20 + 2 <= ended.ended_day <= FIRST_DAY + STEP_AT + 20 + 8
    assert known is None


def test_a_change_that_stays_becomes_what_is_usual_and_is_not_found_again() -> None:
    mean = 150 + noise(6, 160)
    mean[STEP_AT:] += 60
    (opened,) = openings(days_of(mean))
    known: PatternChange | None = opened
    for end in range(opened.found_day - FIRST_DAY + 1, opened.onset_day - FIRST_DAY + USUAL_AFTER_DAYS + 1):
        known = watched(known, up_to(days_of(mean), end, LOOK_BACK_DAYS))
    assert known is not None
    assert known.ending == "usual_now"


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 90))
def test_looking_twice_is_looking_once(seed: int, step: int) -> None:
    mean = 150 + noise(seed, 110)
    mean[step : step + 25] += 45
    known = None
    for end in range(10, 110, 3):
        days = up_to(days_of(mean), end, LOOK_BACK_DAYS)
        known = watched(known, days)
        assert watched(known, days) == known
