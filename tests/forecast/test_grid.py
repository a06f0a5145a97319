"""The grid of five minutes, and what was known of it when."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.forecast.gather import histories
from islet.forecast.grid import LOOKS_BACK, history, segments
from islet.forecast.windows import HORIZON, Part, windows
from islet.model.time import MINUTE_US


def test_a_gap_wider_than_the_threshold_cuts_and_a_short_piece_is_dropped() -> None:
    minutes = np.array([0, 5, 10, 55, 101, 106], np.int64)
    found = segments("1", minutes, np.arange(6, dtype=np.float32), gap_min=45, least=3)
    assert [(s.start_min, len(s)) for s in found] == [(0, 12)]


def test_between_readings_the_grid_is_linear_and_knows_when_it_could_know() -> None:
    (found,) = segments("1", np.array([0, 12, 15]), np.array([100, 112, 130], np.float32), gap_min=45, least=1)
    assert found.glucose.tolist() == [100, 105, 110, 130]
    assert found.held.tolist() == [100, 100, 100, 130]
    assert found.known_at.tolist() == [0, 3, 3, 3]  # the reading of minute 12 is there from minute 15 of the grid on
    assert found.fresh.tolist() == [True, False, False, True]


def test_a_live_grid_ends_at_the_newest_reading_and_leaves_wide_gaps_unknown() -> None:
    at = np.array([0, 60, 62, 67], np.int64) * MINUTE_US
    row = history(at, np.array([90.0, 100, 104, 114]), 16)
    assert row[-1] == 114
    assert row[-2] == 104
    assert np.isnan(row[:-2]).all()


def test_a_gap_of_three_quarters_of_an_hour_is_still_bridged() -> None:
    row = history(np.array([0, 45], np.int64) * MINUTE_US, np.array([100.0, 145.0]), 12)
    assert row[-10:].tolist() == [100, 105, 110, 115, 120, 125, 130, 135, 140, 145]
    assert np.isnan(row[:2]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=30, max_size=60), st.integers(0, 2**32 - 1))
def test_a_causal_window_does_not_change_when_the_future_does(gaps: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    minutes = np.cumsum(np.array([0, *gaps], np.int64))
    glucose = rng.uniform(60, 250, len(minutes)).astype(np.float32)
    (one,) = segments("1", minutes, glucose, gap_min=45, least=1)
    at = min(int(rng.integers(1, len(one))), max(len(one) - HORIZON - 1, 1))
    if len(one) - HORIZON < at + 1:
        return
    now = minutes[0] + 5 * at
    other = np.where(minutes > now, glucose + 77, glucose).astype(np.float32)
    (two,) = segments("1", minutes, other, gap_min=45, least=1)
    seen = [
        windows([Part(segment=s, begin=0, end=len(s))], start=at + 1, stride=10_000, causal=True) for s in (one, two)
    ]
    assert np.array_equal(seen[0].history, seen[1].history, equal_nan=True)


def test_linear_filling_does_look_into_the_future_which_is_why_causal_filling_exists() -> None:
    """The planted leak that the test above has to catch, and does."""
    minutes = np.append(np.arange(0, 60, 5), 60 + 33 + np.arange(0, 100, 5))
    glucose = np.full(len(minutes), 100, np.float32)
    later = np.where(minutes > 60, 180, glucose).astype(np.float32)
    at = 13  # five minutes after the last reading before the gap

    def newest(values: np.ndarray, causal: bool) -> float:
        (one,) = segments("1", minutes, values, gap_min=45, least=1)
        seen = windows([Part(segment=one, begin=0, end=len(one))], start=at + 1, stride=10_000, causal=causal)
        return float(seen.history[0, -1])

    assert newest(glucose, True) == newest(later, True) == 100
    assert newest(later, False) > newest(glucose, False)


def test_a_window_holds_nothing_from_before_its_part() -> None:
    (one,) = segments("1", 5 * np.arange(100), np.arange(100, dtype=np.float32), gap_min=45, least=1)
    seen = windows([Part(segment=one, begin=40, end=80)], start=20, stride=6)
    assert seen.history.shape == (2, LOOKS_BACK)
    assert np.isnan(seen.history[0, :-20]).all()
    assert seen.history[0, -20:].tolist() == list(range(40, 60))
    assert seen.target[1].tolist() == list(range(66, 78))


def test_a_piece_of_a_recording_is_that_recording_by_itself() -> None:
    (one,) = segments("1", np.array([0, 12, 15, 22]), np.array([100, 112, 130, 90], np.float32), gap_min=45, least=1)
    piece = one.between(2, 5)
    assert (piece.start_min, piece.glucose.tolist(), piece.known_at.tolist()) == (
        10,
        [110, 130, 101.42857360839844],
        [1, 1, 3],
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 80), max_size=40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_histories_of_many_are_those_of_each(gaps: list[list[int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = np.array([len(own) for own in gaps], np.int64)
    times = np.zeros((len(gaps), 40), np.int64)
    tenths = rng.integers(400, 4000, times.shape).astype(np.int32)
    for row, own in enumerate(gaps):
        times[row, : len(own)] = np.cumsum(np.array(own, np.int64)) * MINUTE_US
    found = histories(times, tenths, count, 30)
    for row, n in enumerate(count.tolist()):
        expected = history(times[row, :n], tenths[row, :n] / 10, 30) if n else np.full(30, np.nan)
        assert np.allclose(found[row], expected, atol=1e-3, equal_nan=True)
