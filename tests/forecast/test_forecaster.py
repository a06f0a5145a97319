"""Served forecasts: causal, the same in any batch, never crossing, or none with a reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.errors import BadInput
from islet.forecast.fit import People, live_windows
from islet.forecast.forecaster import Forecaster, Reason
from islet.forecast.grid import LOOKS_BACK, history
from islet.forecast.model import Model, from_bytes, to_bytes
from islet.model.time import MINUTE_US


@pytest.fixture(scope="module")
def forecaster(model: Model) -> Forecaster:
    return Forecaster(model=model)


def test_every_row_is_the_same_alone_in_a_batch_and_in_another_order(forecaster: Forecaster, people: People) -> None:
    seen = live_windows(people.judge, 7)
    whole = forecaster.forecast(seen.history, seen.minute)
    order = np.random.default_rng(1).permutation(len(seen))
    shuffled = forecaster.forecast(seen.history[order], seen.minute[order])
    assert np.array_equal(whole.quantiles[order], shuffled.quantiles)
    assert np.array_equal(whole.risks[order], shuffled.risks, equal_nan=True)
    for k in range(0, len(seen), 29):
        alone = forecaster.forecast(seen.history[k : k + 1], seen.minute[k : k + 1])
        assert np.array_equal(alone.quantiles[0], whole.quantiles[k])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9))
def test_quantiles_never_cross_and_stay_within_what_glucose_can_be(model: Model, seed: int, unknown: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(20, 600, (50, LOOKS_BACK)).astype(np.float32)
    rows[rng.random(rows.shape) < unknown] = np.nan
    said = Forecaster(model=model).forecast(rows, rng.uniform(0, 1440, 50).astype(np.float32))
    told = said.quantiles[said.reason == Reason.FORECAST]
    assert (np.diff(told, axis=2) >= 0).all()
    assert not np.isnan(told).any()
    assert ((told >= 20) & (told <= 600)).all()
    risks = said.risks[said.reason == Reason.FORECAST]
    assert (np.isnan(risks) | ((risks >= 0) & (risks <= 1))).all()
    assert not (risks[:, 1] > risks[:, 0]).any()  # below 54 is no likelier than below 70


def test_there_is_a_reason_wherever_there_is_no_forecast(forecaster: Forecaster) -> None:
    rows = np.full((6, 24), 120, np.float32)
    rows[1, -1] = np.nan
    rows[2, :-5] = np.nan
    rows[3, -1] = 39 - 30
    rows[5, :-6] = np.nan
    said = forecaster.forecast(rows, np.zeros(6, np.float32), np.array([0, 0, 0, 0, 11, 10], np.float32))
    assert [Reason(r) for r in said.reason] == [
        Reason.FORECAST,
        Reason.NO_READING,
        Reason.TOO_LITTLE_HISTORY,
        Reason.OUT_OF_RANGE,
        Reason.TOO_OLD,
        Reason.FORECAST,
    ]
    assert np.isnan(said.quantiles[1:5]).all()
    assert np.isnan(said.risks[1:5]).all()


def test_a_risk_of_what_is_there_already_is_no_question(forecaster: Forecaster) -> None:
    rows = np.repeat(np.array([[69], [70], [71], [181], [251]], np.float32), 24, axis=1)
    risks = forecaster.forecast(rows, np.full(5, np.nan, np.float32)).risks[:, :, 0]
    assert np.isnan(risks).tolist() == [
        [True, False, False, False],
        [False] * 4,
        [False] * 4,
        [False, False, True, False],
        [False, False, True, True],
    ]


@given(st.permutations(range(20)))
@settings(max_examples=10, deadline=None)
def test_the_order_in_which_readings_arrived_and_doubles_change_nothing(model: Model, order: list[int]) -> None:
    at = np.arange(20, dtype=np.int64) * 5 * MINUTE_US
    glucose = 100 + 3.0 * np.arange(20, dtype=np.float64)
    arrived = [*order, *order[:5]]
    kept = dict(zip(at[arrived].tolist(), glucose[arrived].tolist(), strict=True))
    times = np.array(sorted(kept), np.int64)
    row = history(times, np.array([kept[int(t)] for t in times]))
    said = Forecaster(model=model).forecast(row[None], np.zeros(1, np.float32))
    plain = Forecaster(model=model).forecast(history(at, glucose)[None], np.zeros(1, np.float32))
    assert np.array_equal(said.quantiles, plain.quantiles)


def test_a_model_forecasts_the_same_after_it_was_kept_but_for_its_rounding(
    forecaster: Forecaster, people: People
) -> None:
    seen = live_windows(people.judge, 11)
    again = Forecaster(model=from_bytes(to_bytes(forecaster.model)))
    one, two = (f.forecast(seen.history, seen.minute).quantiles for f in (forecaster, again))
    assert np.abs(one - two).max() < 0.5


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no model at all"])
def test_what_is_no_model_is_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(BadInput, match="islet forecast train"):
        from_bytes(data)
