"""What is told, and what is not, with how many readings; and on which clock days begin."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from islet.errors import BadInput
from islet.metrics.episodes import episodes
from islet.metrics.grid import day_grid
from islet.metrics.hba1c import told_gmi_percent
from islet.metrics.people import DAY_US, HOUR_US, MINUTE_US, every, people_of, person_of, wall_clock_us
from islet.metrics.ranges import OLDER, PREGNANCY, PRESETS, STANDARD, TIGHT, below_percent, in_range_percent, shares
from islet.metrics.sufficiency import sufficiency
from islet.metrics.table import Material, measured
from islet.model.series import Series

FOURTEEN_DAYS = 14 * 288


def worn(kept: float, count: int = FOURTEEN_DAYS) -> list[float]:
    """Readings of 5 min with a share of them there, evenly; the first and the last always."""
    there = np.floor(np.arange(count) * kept) != np.floor((np.arange(count) - 1) * kept)
    there[[0, -1]] = True
    return [150.0 if one else float("nan") for one in there]


@pytest.mark.parametrize(
    ("glucose", "told"),
    [
        (worn(1.0), True),
        (worn(1.0, FOURTEEN_DAYS - 24), True),  # the warm-up of the sensor is missing
        (worn(1.0, FOURTEEN_DAYS - 25), False),
        (worn(1.0, FOURTEEN_DAYS - 288), False),  # 13 days
        (worn(0.71), True),
        (worn(0.69), False),
        (worn(1.0, 288 * 20)[: 288 * 6] + [float("nan")] * (288 * 5) + worn(1.0, 288 * 9), False),  # 9 of the last 14
    ],
)
def test_gmi_is_told_from_14_days_with_70_percent_on(glucose: list[float], told: bool) -> None:
    people = every(5, glucose)
    assert sufficiency(people).step_min.tolist() == [5]
    assert np.isnan(told_gmi_percent(people)[0]) != told
    assert np.isnan(measured(Material(people))["gmi_percent"][0]) != told
    assert measured(Material(people), tell_all=True)["gmi_percent"][0] == pytest.approx(6.898)


def test_a_day_begins_at_midnight_of_the_wall_clock() -> None:
    series = Series(
        time_us=np.array([15, 16, 17], np.int64) * HOUR_US,  # 23:00 to 01:00 in Shanghai
        glucose_tenths=np.array([1000, 1100, 1200], np.int32),
        range=np.zeros(3, np.int8),
    )
    people = person_of(series, zone=ZoneInfo("Asia/Shanghai"), id="one")
    assert (people.clock_us // DAY_US).tolist() == [0, 1, 1]
    assert people.glucose_mg_dl.tolist() == [100.0, 110.0, 120.0]


def test_what_was_sent_in_mmol_l_is_judged_in_mmol_l() -> None:
    """10.0 mmol/L are kept as 180.2 mg/dL, and are in range; 180.2 mg/dL are not."""
    series = Series(
        time_us=np.array([0, 1, 2, 3], np.int64) * HOUR_US,
        glucose_tenths=np.array([1802, 1802, 703, 685], np.int32),
        range=np.zeros(4, np.int8),
        in_mmol_l=np.array([True, False, True, True]),
    )
    people = person_of(series)
    assert in_range_percent(people, 70.0, 180.0).tolist() == [50.0]
    assert below_percent(people, 70.0).tolist() == [25.0]
    assert people.glucose_mg_dl.tolist() == [180.2, 180.2, 70.3, 68.5]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
def test_wall_clocks_are_those_of_the_zone_at_every_instant(zone: str) -> None:
    instants = np.arange(0, 400 * 24 * 60, 7, dtype=np.int64) * MINUTE_US + 1_700_000_000_000_000
    ours = wall_clock_us(instants, ZoneInfo(zone))
    some = np.arange(0, len(instants), 97)
    changes = np.flatnonzero(np.diff(ours - instants))
    for row in [*some.tolist(), *changes.tolist(), *(changes + 1).tolist()]:
        stamp = (
            np.datetime64(int(instants[row]), "us").item().replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone))
        )
        offset = stamp.utcoffset()
        assert offset is not None
        assert ours[row] - instants[row] == round(offset.total_seconds()) * 1_000_000


def test_an_hour_that_comes_twice_does_not_zigzag_on_the_grid() -> None:
    """Europe/Berlin, 2024-10-27: from 03:00 back to 02:00. A steady rise stays one."""
    start = int(np.datetime64("2024-10-26T22:00", "us").astype(np.int64))
    series = Series(
        time_us=start + np.arange(60, dtype=np.int64) * 5 * MINUTE_US,
        glucose_tenths=(1000 + 10 * np.arange(60)).astype(np.int32),
        range=np.zeros(60, np.int8),
    )
    grid = day_grid(person_of(series, zone=ZoneInfo("Europe/Berlin")))
    values = grid.glucose_mg_dl[~np.isnan(grid.glucose_mg_dl)]
    assert np.all(np.diff(values) > 0.0)


@pytest.mark.parametrize(("gap_min", "points"), [(45, 8), (46, 0)])
def test_a_gap_of_45_minutes_is_bridged_and_a_longer_one_is_not(gap_min: int, points: int) -> None:
    minutes = np.array([5, 10, 15, 15 + gap_min, 20 + gap_min, 25 + gap_min])
    grid = day_grid(people_of(["one"] * 6, minutes * MINUTE_US, 100.0 + minutes))
    inside = grid.glucose_mg_dl[3 : 3 + gap_min // 5 - 1]  # points 20 to 55
    assert np.count_nonzero(~np.isnan(inside)) == points
    assert points == 0 or inside.tolist() == pytest.approx((100.0 + np.arange(20, 60, 5)).tolist())


def test_presets_have_the_ranges_and_goals_of_the_consensus() -> None:
    """Battelino 2019, doi:10.2337/dci19-0028, table 3."""
    people = every(5, [53.0, 60.0, 65.0, 139.0, 141.0, 190.0, 251.0, 100.0])
    assert {name: float(shares(people, goals).in_range[0]) for name, goals in PRESETS.items()} == {
        "standard": 37.5,
        "tight": 25.0,
        "pregnancy": 37.5,
        "older": 37.5,
    }
    assert (STANDARD.in_range_over, STANDARD.below_low_under, STANDARD.above_high_under) == (70.0, 4.0, 25.0)
    assert (OLDER.in_range_over, OLDER.below_low_under, OLDER.above_high_under, OLDER.above_250_under) == (
        50,
        1,
        50,
        10,
    )
    assert (PREGNANCY.low_mg_dl, PREGNANCY.high_mg_dl) == (63.0, 140.0)
    assert TIGHT.in_range_over is None


def test_an_episode_says_when_it_was_and_how_deep() -> None:
    found = episodes(day_grid(every(5, [100.0] * 13 + [65.0, 52.0, 60.0] + [100.0] * 6)), -70.0)
    assert found.begin_us.tolist() == [13 * 5 * MINUTE_US]
    assert found.end_us.tolist() == [16 * 5 * MINUTE_US]
    assert found.minutes.tolist() == [15]
    assert found.extreme_mg_dl.tolist() == [52.0]


@pytest.mark.parametrize("glucose", [0.0, -5.0, float("inf")])
def test_a_value_that_no_body_has_is_refused(glucose: float) -> None:
    with pytest.raises(BadInput, match="glucose"):
        people_of(["one"], np.array([0]), np.array([glucose]))


def test_another_unit_is_refused() -> None:
    with pytest.raises(BadInput, match="unit"):
        people_of(["one"], np.array([0]), np.array([5.0]), unit="mg/l")
