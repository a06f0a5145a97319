"""A person's own correction: learnt where it helps, judged on days not learnt from, bounded, the same however computed."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from islet.forecast.forecaster import HIGHEST, LOWEST, Forecaster
from islet.forecast.gather import histories
from islet.forecast.grid import LOOKS_BACK, Segment
from islet.forecast.judge import Judged, corrected_nightly, judged
from islet.forecast.model import fingerprint
from islet.forecast.network import Array
from islet.forecast.personal import (
    BOUND_MG_DL,
    DAYS,
    INPUTS,
    LEAST_SEEN,
    Fitted,
    Learnt,
    as_bytes,
    correction,
    decode_fitted,
    fitted,
    in_force,
)
from islet.forecast.personal import given as known_of
from islet.forecast.replay import replayed
from islet.forecast.serving import served, shipped
from islet.forecast.shipped import shipped_model
from islet.model.ahead import CORRECTION_SHAPE, Corrections, corrections
from islet.model.series import Series
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from tests.forecast.test_compiled import hungry, pasts

A_DAY = 288
FORECASTER = Forecaster(model=shipped_model())


def lived(lines: Array, days: float, *, seed: int = 0, noise: float = 5.0) -> tuple[Array, Array, NDArray[np.int64]]:
    """Someone who comes above what was forecast by these lines: what was given, by how much it missed, how long ago."""
    rng = np.random.default_rng(seed)
    n = round(days * A_DAY)
    known = rng.normal(0, 1, (n, INPUTS)).astype(np.float32)
    known[:, 0] = 1
    missed = (known @ lines + rng.normal(0, noise, (n, 12))).astype(np.float32)
    return known, missed, np.arange(n)[::-1] * 5 * MINUTE_US


def planted(size: float = 8.0) -> Array:
    """By so much for each unit of what is given second, at every horizon."""
    lines = np.zeros(CORRECTION_SHAPE, np.float32)
    lines[1] = size
    return lines


def test_whoever_is_foretold_wrongly_in_the_same_way_every_time_is_corrected() -> None:
    lines = fitted(*lived(planted(), 14))
    assert lines is not None
    assert np.abs(lines - planted()).max() < 1.5
    known, missed, _ = lived(planted(), 2, seed=1)
    assert np.abs(missed - correction(lines, known)).mean() < 0.7 * np.abs(missed).mean()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), days=st.integers(2, 14))
def test_where_there_is_nothing_to_correct_it_costs_no_more_than_a_trifle(seed: int, days: int) -> None:
    lines = fitted(*lived(planted(0), days, seed=seed))
    if lines is not None:
        known, missed, _ = lived(planted(0), 4, seed=seed + 1)
        assert np.abs(missed - correction(lines, known)).mean() < 1.005 * np.abs(missed).mean()


def test_only_horizons_at_which_it_helped_are_corrected() -> None:
    lines = planted()
    lines[:, 6:] = 0
    found = fitted(*lived(lines, 14))
    assert found is not None
    assert (found[:, :6] != 0).all() and (found[:, 6:] == 0).all()


def test_it_says_nothing_before_a_day_has_judged_it() -> None:
    known, missed, age_us = lived(planted(), 2)
    assert fitted(known, missed, age_us) is not None  # the older day teaches, the newer one judges
    assert LEAST_SEEN == A_DAY
    missed[-1] = np.nan
    assert fitted(known, missed, age_us) is None
    assert fitted(known[A_DAY:], missed[A_DAY:], age_us[A_DAY:]) is None
    assert fitted(known[:0], missed[:0], age_us[:0]) is None


def test_who_has_changed_is_not_corrected_by_what_was() -> None:
    known, missed, age_us = lived(planted(), 14)

    def after(days: int) -> Array | None:
        """The lines so many days after misses went the other way."""
        return fitted(known, np.where(age_us[:, None] < days * DAY_US, -missed, missed), age_us)

    assert after(3) is None and after(7) is None
    turned = after(12)
    assert turned is not None and np.abs(turned - planted(-8)).max() < 3


def test_what_is_not_known_or_too_old_teaches_nothing() -> None:
    known, missed, age_us = lived(planted(), 15)
    some = age_us < DAYS * DAY_US
    expected = fitted(known[some], missed[some], age_us[some])
    assert expected is not None
    found = fitted(known, missed, age_us)
    assert found is not None and found.tobytes() == expected.tobytes()
    holes = missed.copy()
    holes[::7, 4] = np.nan
    kept = some & ~np.isnan(holes[:, 4])
    expected, found = fitted(known[kept], missed[kept], age_us[kept]), fitted(known, holes, age_us)
    assert expected is not None and found is not None and found.tobytes() == expected.tobytes()


@settings(max_examples=25, deadline=None)
@given(size=st.floats(-1e6, 1e6, width=32), seed=st.integers(0, 1_000))
def test_no_lines_move_a_forecast_by_more_than_the_bound(size: float, seed: int) -> None:
    history, minute = pasts(40)
    lines = (size * np.random.default_rng(seed).normal(0, 1, CORRECTION_SHAPE)).astype(np.float32)
    plain = FORECASTER.forecast(history, minute)
    moved = FORECASTER.forecast(history, minute, corrections=corrections([as_bytes(lines)] * 40))
    assert np.nanmax(np.abs(moved.quantiles - plain.quantiles)) <= BOUND_MG_DL + 1e-3
    assert (np.diff(moved.quantiles, axis=2)[plain.reason == 0] >= 0).all()
    assert np.nanmin(moved.quantiles) >= LOWEST and np.nanmax(moved.quantiles) <= HIGHEST
    assert moved.risks.tobytes() == plain.risks.tobytes()
    assert moved.reason.tolist() == plain.reason.tolist()


def test_what_a_broken_sensor_teaches_is_bounded_too() -> None:
    known, missed, age_us = lived(planted(), 14)
    lines = fitted(known, missed + 300, age_us)
    assert lines is not None
    assert np.abs(correction(lines, 100 * known)).max() <= BOUND_MG_DL


def test_served_lines_are_those_of_the_reference_row_by_row() -> None:
    history, minute = pasts(60)
    rng = np.random.default_rng(4)
    table = rng.normal(0, 3, (5, *CORRECTION_SHAPE)).astype(np.float32)
    place = rng.integers(-1, 5, 60)
    plain = FORECASTER.forecast(history, minute)
    found = FORECASTER.forecast(history, minute, corrections=Corrections(table, place))
    known = known_of(history, minute, plain.quantiles)
    for row in range(60):
        expected = plain.quantiles[row]
        if place[row] >= 0:
            added = correction(table[place[row]], known[row])
            expected = np.clip(expected + added[:, None], LOWEST, HIGHEST)
        np.testing.assert_allclose(found.quantiles[row], expected, atol=0.01)
        one = Corrections(table, place[row : row + 1])
        alone = FORECASTER.forecast(history[row : row + 1], minute[row : row + 1], corrections=one)
        assert alone.quantiles[0].tobytes() == found.quantiles[row].tobytes()
    assert (found.quantiles[place < 0] == plain.quantiles[place < 0])[plain.reason[place < 0] == 0].all()


def test_a_simple_calculation_is_nobodys_own() -> None:
    history, minute = pasts(20)
    mine = corrections([as_bytes(planted())] * 20)
    assert mine is not None
    assert served("ar2").fingerprint == ""
    assert (
        served("ar2")(history, minute, hungry(20), mine).tolist() == served("ar2")(history, minute, hungry(20)).tolist()
    )


def test_lines_are_in_force_only_under_the_model_whose_misses_they_were_learnt_from() -> None:
    mine, short, endless = as_bytes(planted()), as_bytes(planted())[:-4], as_bytes(planted(np.inf))
    lines = {"anna": mine, "ben": b"", "eva": short, "ida": endless}
    people = {name: Learnt(learnt_us=1, lines=own) for name, own in lines.items()}
    kept = decode_fitted(msgspec.json.encode(Fitted(model="a", people=people)))
    assert in_force(kept, "a") == {"anna": mine}
    assert in_force(kept, "b") == in_force(kept, "") == {}
    assert in_force(decode_fitted(None), "") == in_force(decode_fitted(b"null"), "a") == {}
    assert len(mine) == 288


def test_models_are_told_apart_by_what_forecasts_and_not_by_their_card() -> None:
    model = shipped_model()
    assert fingerprint(model) == shipped().fingerprint
    assert fingerprint(replace(model, card={"title": "other"})) == fingerprint(model)
    for other in (replace(model, meals=model.meals + 1), replace(model, share=model.share / 2)):
        assert fingerprint(other) != fingerprint(model)


def test_rows_without_lines_have_no_place_among_them() -> None:
    assert corrections([b"", b""]) is None
    found = corrections([b"", as_bytes(planted(1)), b"", as_bytes(planted(2))])
    assert found is not None
    assert found.place.tolist() == [-1, 0, -1, 1] and found.lines[:, 1, 0].tolist() == [1, 2]
    assert found.of(np.array([3, 0])).place.tolist() == [1, -1]


def series(times_min: NDArray[np.int64], mg_dl: NDArray[np.float64]) -> Series:
    """Of a sensor that knows 40 to 400 mg/dL."""
    tenths = np.round(10 * np.clip(mg_dl, 40, 400)).astype(np.int32)
    beyond = (mg_dl > 400).astype(np.int8) - (mg_dl < 40).astype(np.int8)
    return Series(time_us=times_min * MINUTE_US, glucose_tenths=tenths, range=beyond)


@settings(max_examples=20, deadline=None)
@given(apart=st.lists(st.sampled_from([1, 4, 5, 5, 5, 6, 15, 50]), min_size=20, max_size=120), seed=st.integers(0, 99))
def test_days_are_replayed_as_they_were_met_live(apart: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times_min = np.cumsum(apart)
    day = series(times_min, 200 + rng.normal(0, 60, len(times_min)).cumsum())
    from_us, to_us = int(day.time_us[3]), int(day.time_us[-2])
    found = replayed(day, from_us, to_us)
    assert ((found.time_us >= from_us) & (found.time_us < to_us)).all()
    slots = found.time_us // (5 * MINUTE_US)
    assert (np.diff(slots) > 0).all()
    for k, at_us in enumerate(found.time_us.tolist()):
        known = int(np.flatnonzero(day.time_us == at_us)[0]) + 1
        row = histories(day.time_us[None, :known], day.glucose_tenths[None, :known], np.array([known]))[0]
        if day.range[known - 1]:
            row[-1] = np.inf * day.range[known - 1]
        np.testing.assert_array_equal(found.history[k], row)
        for step in range(12):
            then_us = at_us + (step + 1) * 5 * MINUTE_US
            later = int(np.searchsorted(day.time_us, then_us))
            if later == len(day) or (
                day.time_us[later] > then_us and day.time_us[later] - day.time_us[later - 1] > 45 * MINUTE_US
            ):
                assert np.isnan(found.came[k, step])
            else:
                came = np.interp(then_us, day.time_us, day.glucose_mg_dl)
                assert found.came[k, step] == pytest.approx(came, rel=1e-6)


def test_of_nobody_nothing_is_replayed() -> None:
    none = series(np.empty(0, np.int64), np.empty(0))
    assert len(replayed(none, 0, HOUR_US)) == 0
    assert replayed(none, 0, HOUR_US).history.shape == (0, LOOKS_BACK)


def cycle(days: int) -> tuple[list[Segment], Judged]:
    """Someone whose glucose goes up and down with the day, and what the model says of it."""
    at = np.arange(days * A_DAY)
    glucose = 160 + 70 * np.sin(2 * np.pi * at / A_DAY) + np.random.default_rng(2).normal(0, 2, len(at))
    segment = Segment(
        person="x/anna",
        start_min=0,
        glucose=glucose.astype(np.float32),
        held=glucose.astype(np.float32),
        known_at=at,
        fresh=np.ones(len(at), bool),
    )
    return [segment], judged(FORECASTER, [segment], 1)


def test_the_card_corrects_by_the_night_before_and_nothing_later() -> None:
    found, case = cycle(6)
    added = corrected_nightly(case, found)
    assert (added[case.seen.origin < 2 * A_DAY] == 0).all() and (added[-A_DAY:] != 0).any()
    until = 4 * A_DAY + 36  # the fifth night, at three
    target = case.seen.target.copy()
    target[case.seen.origin + 12 > until] += 100
    other = corrected_nightly(replace(case, seen=replace(case.seen, target=target)), found)
    same = case.seen.origin < until + A_DAY
    assert (other[same] == added[same]).all()
    assert (other[~same] != added[~same]).any()
