"""Events, warnings and what they are worth; error grids; the personal correction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.forecast.alarms import Tally, onsets, tally, total
from islet.forecast.error_grids import clarke, parkes
from islet.forecast.personal import (
    BOUND_MG_DL,
    LEAST_SEEN,
    STATE_FLOATS,
    correction,
    fresh,
    from_floats,
    learn,
    to_floats,
)


def _trace(*pieces: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(n, v, np.float32) for v, n in pieces])


def test_an_event_is_a_quarter_of_an_hour_below_70() -> None:
    assert onsets(_trace((70, 4), (69, 2), (70, 4), (69, 3), (71, 2)), 70) == [10]
    assert onsets(_trace((69, 9), (100, 3)), 70) == []  # it had begun before


def test_a_warning_before_the_event_is_true_and_its_lead_counts_from_the_first() -> None:
    glucose = _trace((100, 20), (60, 5), (100, 20))
    warned = np.zeros(len(glucose), bool)
    warned[[16, 17]] = True
    found = tally(glucose, warned, line=70, horizon=6)
    assert (found.events, found.foretold, found.leads_min, found.alarms, found.false) == (1, 1, (20,), 1, 0)


def test_a_warning_too_early_or_after_the_fact_is_none() -> None:
    glucose = _trace((100, 20), (60, 5), (100, 20))
    warned = np.zeros(len(glucose), bool)
    warned[[10, 21]] = True
    found = tally(glucose, warned, line=70, horizon=6)
    assert (found.foretold, found.alarms, found.false) == (0, 1, 1)


def test_a_second_warning_is_heard_after_half_an_hour_only() -> None:
    glucose = _trace((100, 60))
    found = tally(glucose, np.ones(60, bool), line=70, horizon=6)
    assert found.alarms == found.false == 9  # points 0, 6, … 48; from 54 on the horizon is not whole


def test_tallies_add_up() -> None:
    both = total([Tally(events=2, foretold=1, leads_min=(10,), alarms=3, false=2, days=1.0), Tally(events=2, days=1.0)])
    assert (both.sensitivity, both.false_a_day, both.lead_min) == (0.25, 1.0, 10.0)


@pytest.mark.parametrize(
    ("reference", "told", "zone"),
    [
        (100, 100, "A"), (100, 120, "A"), (100, 121, "B"), (60, 50, "A"), (60, 69, "A"),
        (60, 100, "D"), (250, 100, "D"), (60, 200, "E"), (200, 60, "E"), (100, 220, "C"), (160, 30, "C"), (239, 150, "B"),
    ],
)  # fmt: skip
def test_clarke_puts_pairs_where_the_paper_does(reference: float, told: float, zone: str) -> None:
    assert clarke(np.array([reference]), np.array([told])).tolist() == [zone]


@pytest.mark.parametrize(
    ("reference", "told", "zone"),
    [
        (100, 100, "A"), (30, 49, "A"), (30, 51, "B"), (30, 61, "C"), (20, 101, "D"), (20, 160, "E"),
        (200, 290, "B"), (150, 250, "B"), (150, 300, "C"), (200, 140, "B"), (260, 120, "C"), (300, 50, "D"), (600, 600, "A"), (49, 10, "A"), (51, 10, "B"),
    ],
)  # fmt: skip
def test_parkes_puts_pairs_between_the_lines_of_its_table(reference: float, told: float, zone: str) -> None:
    assert parkes(np.array([reference]), np.array([told])).tolist() == [zone]


def _lived(bias: float, n: int, noise: float = 5.0, seed: int = 1) -> tuple[np.ndarray, float, float]:
    """Someone whose glucose comes that much above what was forecast: last correction, and both late mean errors."""
    rng = np.random.default_rng(seed)
    state, plain, helped = fresh(1), [], []
    for _ in range(n):
        medians = np.full((1, 12), 120, np.float32)
        came = np.array([120 + bias + rng.normal(0, noise)], np.float32)
        plain.append(abs(came[0] - 120))
        helped.append(abs(came[0] - 120 - correction(state)[0, 0]))
        state = learn(state, medians, came)
    half = n // 2
    return correction(state), float(np.mean(plain[half:])), float(np.mean(helped[half:]))


def test_the_correction_helps_whoever_is_always_foretold_too_low() -> None:
    given_, plain, helped = _lived(8.0, 3000)
    assert abs(given_[0, 0] - 8) < 1.5
    assert helped < 0.8 * plain


def test_the_correction_says_nothing_before_it_has_seen_enough() -> None:
    assert (_lived(8.0, int(LEAST_SEEN) - 1)[0] == 0).all()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_the_correction_never_costs_more_than_a_trifle_where_there_is_nothing_to_correct(seed: int) -> None:
    _, plain, helped = _lived(0.0, 800, seed=seed)
    assert helped < 1.03 * plain


def test_the_correction_is_bounded_whatever_it_is_taught() -> None:
    state = fresh(2)
    for k in range(2000):
        came = np.array([600.0, 20.0 if k % 2 else 600.0], np.float32)
        state = learn(state, np.full((2, 12), 100, np.float32), came)
    assert np.abs(correction(state)).max() <= BOUND_MG_DL


def test_a_reading_that_did_not_come_teaches_nothing_and_a_kept_state_is_the_same() -> None:
    state = learn(fresh(1), np.full((1, 12), 100, np.float32), np.array([110], np.float32))
    same = learn(state, np.full((1, 12), 100, np.float32), np.array([np.nan], np.float32))
    saved = to_floats(same)
    assert saved.shape == (1, STATE_FLOATS)
    assert np.array_equal(to_floats(from_floats(saved)), to_floats(state))


def test_the_correction_falls_silent_when_it_no_longer_helps() -> None:
    state = fresh(1)
    for k in range(2750):
        state = learn(state, np.full((1, 12), 120, np.float32), np.array([130 if k < 2000 else 120], np.float32))
    assert state.bias[0, 0] > 1.5  # it still remembers
    assert (correction(state) == 0).all()
