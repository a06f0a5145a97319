"""What must hold for any readings: order of rows, of people and of days does not matter, nor does the unit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from islet.metrics.episodes import consensus_episodes, episodes
from islet.metrics.grid import Grid, day_grid
from islet.metrics.people import DAY_US, MINUTE_US, People, every, people_of
from islet.metrics.ranges import PRESETS, shares
from islet.metrics.summary import mean_mg_dl
from islet.metrics.table import Material, measured
from islet.model.units import MG_DL_PER_MMOL_L

few = settings(max_examples=25, deadline=None)


@st.composite
def readings(draw: st.DrawFn) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Up to three people with up to three days each: steady stretches, gaps of every length, sensors of 5 and 15 min."""
    seed = draw(st.integers(0, 2**32 - 1))
    people = draw(st.integers(1, 3))
    dice = np.random.default_rng(seed)
    ids: list[str] = []
    clocks: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float64]] = []
    for person in range(people):
        count = int(dice.integers(0, 600))
        step = int(dice.choice([5, 15])) * MINUTE_US
        distances = np.where(dice.random(count) < 0.01, dice.integers(1, 100, count), 1) * step
        jitter = dice.integers(-20_000_000, 20_000_000, count)
        clocks.append(1_700_000_000_000_000 + np.cumsum(distances) + jitter)
        walk = 130.0 + np.cumsum(dice.normal(0.0, 6.0, count)) - np.cumsum(np.full(count, 0.02))
        values.append(np.round(np.clip(walk, 40.0, 400.0)))
        ids += [f"person {person}"] * count
    return ids, np.concatenate(clocks).astype(np.int64), np.concatenate(values)


def all_of(people: People) -> dict[str, NDArray[np.float64]]:
    return measured(Material(people), tell_all=True)


def same(left: dict[str, NDArray[np.float64]], right: dict[str, NDArray[np.float64]], rel: float = 1e-9) -> None:
    for name in left:
        assert left[name] == pytest.approx(right[name], rel=rel, abs=1e-9, nan_ok=True), name


@few
@given(readings(), st.integers(-20_000, 20_000))
def test_whole_days_earlier_or_later_change_nothing(rows: tuple, days: int) -> None:  # type: ignore[type-arg]
    ids, clock_us, glucose = rows
    same(all_of(people_of(ids, clock_us, glucose)), all_of(people_of(ids, clock_us + days * DAY_US, glucose)))


@few
@given(readings(), st.integers(0, 2**32 - 1))
def test_rows_may_come_in_any_order(rows: tuple, seed: int) -> None:  # type: ignore[type-arg]
    ids, clock_us, glucose = rows
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = people_of([ids[row] for row in order], clock_us[order], glucose[order])
    whole = people_of(ids, clock_us, glucose)
    ours, theirs = all_of(whole), all_of(shuffled)
    places = [shuffled.ids.index(id) for id in whole.ids]
    distinct = len({*zip(ids, clock_us.tolist(), strict=True)}) == len(ids)
    if distinct:  # of two readings at one instant the later row counts
        same(ours, {name: column[places] for name, column in theirs.items()})


@few
@given(readings())
def test_people_together_are_as_each_alone(rows: tuple) -> None:  # type: ignore[type-arg]
    people = people_of(*rows)
    together = all_of(people)
    for index in range(len(people)):
        alone = all_of(people.one(index))
        same({name: column[index : index + 1] for name, column in together.items()}, alone, rel=1e-12)


@few
@given(readings())
def test_readings_in_mmol_l_give_the_means_of_those_in_mg_dl(rows: tuple) -> None:  # type: ignore[type-arg]
    ids, clock_us, glucose = rows
    mmol = people_of(ids, clock_us, glucose / MG_DL_PER_MMOL_L, unit="mmol/L")
    ours, theirs = all_of(people_of(ids, clock_us, glucose)), all_of(mmol)
    judged = {
        name
        for name in ours
        if "range_" in name
        # MAGE turns where two moving averages cross, which the last bit of a float decides where they are equal
        or name.startswith(("below", "above", "gri", "grade_", "cogi", "pgs", "mage"))
    }
    same({name: ours[name] for name in ours if name not in judged}, theirs)


@few
@given(st.lists(st.sampled_from((29, 30, 38, 39, 100, 101, 139, 140)) | st.integers(20, 300), min_size=1, max_size=60))
def test_shares_of_mmol_l_are_those_of_its_own_thresholds(tenths: list[int]) -> None:
    values = np.array(tenths) / 10.0
    people = people_of(["one"] * len(values), np.arange(len(values)) * 5 * MINUTE_US, values, unit="mmol/L")
    bands = shares(people)
    wanted = [
        np.mean(np.array(tenths) < 30),
        np.mean((np.array(tenths) >= 30) & (np.array(tenths) < 39)),
        np.mean((np.array(tenths) >= 39) & (np.array(tenths) <= 100)),
        np.mean((np.array(tenths) > 100) & (np.array(tenths) <= 139)),
        np.mean(np.array(tenths) > 139),
    ]
    got = [float(one[0]) / 100.0 for one in (bands.very_low, bands.low, bands.in_range, bands.high, bands.very_high)]
    assert got == pytest.approx(wanted, abs=1e-12)


@few
@given(readings())
def test_the_five_bands_add_up_to_all_readings(rows: tuple) -> None:  # type: ignore[type-arg]
    people = people_of(*rows)
    for goals in PRESETS.values():
        bands = shares(people, goals)
        total = bands.very_low + bands.low + bands.in_range + bands.high + bands.very_high
        assert total[people.counts > 0] == pytest.approx(100.0)


@few
@given(readings())
def test_the_grid_is_what_a_slow_one_is(rows: tuple) -> None:  # type: ignore[type-arg]
    people = people_of(*rows)
    grid = day_grid(people)
    for index in range(len(people)):
        fast = grid.glucose_mg_dl[grid.offsets[index] : grid.offsets[index + 1]]
        assert fast.tolist() == pytest.approx(_slow_grid(people.one(index), grid, index), rel=1e-12, nan_ok=True)


def _slow_grid(person: People, grid: Grid, index: int) -> list[float]:
    """Every point by itself, by NumPy's interpolation, then cut where it lies in a gap."""
    step_us = int(grid.step_min[index]) * MINUTE_US
    points = []
    for number in range(int(grid.offsets[index + 1] - grid.offsets[index])):
        at = int(grid.midnight_us[index]) + (number + 1) * step_us
        value = float(np.interp(at, person.clock_us, person.glucose_mg_dl, left=np.nan, right=np.nan))
        after = int(np.searchsorted(person.clock_us, at))
        within = 0 < after < len(person.clock_us) and person.clock_us[after] != at
        wide = within and person.clock_us[after] - person.clock_us[after - 1] > 45 * MINUTE_US
        points.append(float("nan") if wide else value)
    return points


@few
@given(readings())
def test_episodes_are_what_a_slow_search_finds(rows: tuple) -> None:  # type: ignore[type-arg]
    people = people_of(*rows)
    grid = day_grid(people)
    for level in (-70.0, 180.0):
        found = episodes(grid, level)
        fast = list(zip(found.person.tolist(), found.first.tolist(), found.last.tolist(), strict=True))
        assert fast == _slow_episodes(grid, level)


def _slow_episodes(grid: Grid, level: float) -> list[tuple[int, int, int]]:
    """By the definition: starts and ends as sets, each start until the first end after it."""
    found = []
    for person in range(len(grid)):
        step = max(1, int(grid.step_min[person]))
        need = -(-15 // step)
        begin, end = int(grid.offsets[person]), int(grid.offsets[person + 1])
        beyond = [
            None if np.isnan(value) else bool(value < -level if level < 0.0 else value > level)
            for value in grid.glucose_mg_dl[begin:end]
        ]
        runs = [(n, len(list(run))) for n, run in _runs(beyond)]
        at, busy_until = 0, -1
        starts = []
        for value, length in runs:
            starts.append((at, value, length))
            at += length
        for place, (start, value, length) in enumerate(starts):
            if value is not True or length < need or start <= busy_until:
                continue
            later = starts[place + 1 :]
            stop = next((s for s, v, n in later if v is None or (v is False and n >= need)), len(beyond))
            found.append((person, begin + start, begin + stop - 1))
            busy_until = stop - 1
    return found


def _runs(values: list[bool | None]) -> list[tuple[bool | None, list[bool | None]]]:
    runs: list[tuple[bool | None, list[bool | None]]] = []
    for value in values:
        if runs and runs[-1][0] is value:
            runs[-1][1].append(value)
        else:
            runs.append((value, [value]))
    return runs


@few
@given(readings())
def test_episodes_of_level_two_lie_within_those_of_level_one(rows: tuple) -> None:  # type: ignore[type-arg]
    found = consensus_episodes(day_grid(people_of(*rows)))
    assert len(found.low_only) >= len(found.low) - len(found.very_low)
    assert len(found.high_only) >= len(found.high) - len(found.very_high)
    assert len(found.extended_low) <= len(found.low)


def test_people_without_readings_have_no_values_and_break_nothing() -> None:
    people = people_of(
        ["none", "one", "two", "two"], np.array([0, 0, 0, 300_000_000]), np.array([np.nan, 100.0, 100.0, 120.0])
    )
    values = all_of(people)
    assert all(np.isnan(column[0]) for column in values.values())
    assert values["mean_mg_dl"].tolist()[1:] == [100.0, 110.0]
    assert np.isnan(values["sd_mg_dl"][1])
    assert len(Material(people_of([], np.zeros(0, np.int64), np.zeros(0))).people) == 0
    assert all(len(column) == 0 for column in all_of(people_of([], np.zeros(0, np.int64), np.zeros(0))).values())


def test_of_two_readings_at_one_instant_the_later_row_counts() -> None:
    people = people_of(["one", "one"], np.array([0, 0]), np.array([100.0, 120.0]))
    assert mean_mg_dl(people).tolist() == [120.0]


def test_a_flat_curve_has_no_mage_even_where_means_round() -> None:
    assert np.isnan(measured(Material(every(5, [100.1] * 400)))["mage_service_mg_dl"][0])
