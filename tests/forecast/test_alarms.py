"""Events, warnings and what they are worth; error grids; the personal correction."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.forecast.alarms import Tally, onsets, tally, total
from islet.forecast.personal import (
    BOUND_MG_DL,
    INPUTS,
    LEAST_SEEN,
    correction,
    fresh,
    learn,
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


def _known(n: int, seed: int = 0) -> np.ndarray:
    """What is given of n people: 1, and noise."""
    known = np.random.default_rng(seed).normal(0, 1, (n, INPUTS)).astype(np.float32)
    known[:, 0] = 1
    return known


def _lived(line: float, n: int, noise: float = 5.0, seed: int = 1) -> tuple[np.ndarray, float, float]:
    """Someone who comes above what was forecast by `line` for each unit of what is given second: what would be added at
    one unit of it, and both late mean errors."""
    rng = np.random.default_rng(seed)
    state, plain, helped = fresh(1), [], []
    for k in range(n):
        known = _known(1, seed=1000 * seed + k)
        missed = (line * known[:, 1:2] + rng.normal(0, noise, (1, 12))).astype(np.float32)
        plain.append(np.abs(missed).mean())
        helped.append(np.abs(missed - correction(state, known)).mean())
        state = learn(state, known, missed)
    half = n // 2
    unit = np.zeros((1, INPUTS), np.float32)
    unit[0, 1] = 1
    return correction(state, unit), float(np.mean(plain[half:])), float(np.mean(helped[half:]))


def test_the_correction_helps_whoever_is_foretold_wrongly_in_the_same_way_every_time() -> None:
    added, plain, helped = _lived(8.0, 1500)
    assert abs(added[0, 0] - 8) < 2
    assert helped < 0.85 * plain


def test_the_correction_says_nothing_before_it_has_seen_enough() -> None:
    assert (_lived(8.0, int(LEAST_SEEN) - 1)[0] == 0).all()
    assert (_lived(8.0, int(LEAST_SEEN))[0] != 0).all()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_the_correction_never_costs_more_than_a_trifle_where_there_is_nothing_to_correct(seed: int) -> None:
    _, plain, helped = _lived(0.0, 600, seed=seed)
    assert helped < 1.01 * plain


def test_the_correction_is_bounded_whatever_it_is_taught() -> None:
    state = fresh(2)
    for k in range(900):
        wild = np.array([[500.0], [-500.0 if k % 2 else 500.0]], np.float32)
        state = learn(state, 9 * _known(2, k % 7), np.broadcast_to(wild, (2, 12)))
    assert np.abs(correction(state, 9 * _known(2))).max() <= BOUND_MG_DL


def test_an_hour_that_is_not_known_teaches_nothing() -> None:
    state = fresh(2)
    for k in range(30):
        state = learn(state, _known(2, k), np.full((2, 12), 7, np.float32))
    missed = np.full((2, 12), 3, np.float32)
    missed[:, 4] = np.nan
    after = learn(state, _known(2), missed)
    for name in ("moments", "cross", "lines", "plain", "corrected", "seen"):
        assert np.array_equal(getattr(after, name), getattr(state, name))


def test_the_correction_falls_silent_when_it_no_longer_helps() -> None:
    state, known = fresh(1), _known(1)
    for k in range(1600):
        state = learn(state, known, np.full((1, 12), 10 if k < 1000 else -5, np.float32))
    assert (correction(state, known) == 0).all()
    assert np.abs(state.lines).max() > 0.1  # it still remembers
