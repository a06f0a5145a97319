"""Local time, days in numbers, and the shape of a day."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.model.hours import HOURS, hours_of
from islet.model.time import DAY_US, HOUR_US, to_us
from islet.patterns.cohort_names import shape_name
from islet.patterns.day_shapes import SHAPE_DAYS, day_shape
from islet.patterns.days import daily
from islet.patterns.local_time import clock_us, local_day, stretches
from tests.patterns.people import FIRST_DAY, hours_from

VIENNA = ZoneInfo("Europe/Vienna")
SPRING = to_us(datetime(2026, 3, 29, 1, tzinfo=UTC))
"""When Vienna's clock goes from 2:00 to 3:00."""
LAST = FIRST_DAY + SHAPE_DAYS - 1
CLOCK = np.arange(HOURS)


def test_a_change_of_the_clock_parts_two_stretches_to_the_microsecond() -> None:
    first, second = stretches(VIENNA, SPRING - 3 * DAY_US, SPRING + 3 * DAY_US)
    assert first.to_us == second.from_us == SPRING
    assert (first.offset_us, second.offset_us) == (HOUR_US, 2 * HOUR_US)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["Europe/Vienna", "Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
    st.integers(to_us(datetime(2024, 1, 1, tzinfo=UTC)), to_us(datetime(2030, 1, 1, tzinfo=UTC))),
    st.integers(1, 60 * DAY_US),
)
def test_stretches_give_every_instant_the_zones_own_local_time(zone: str, start: int, length: int) -> None:
    found = stretches(ZoneInfo(zone), start, start + length)
    assert (found[0].from_us, found[-1].to_us) == (start, start + length)
    for one in found:
        for instant in (one.from_us, (one.from_us + one.to_us) // 2, one.to_us - 1):
            assert (instant + one.offset_us) // DAY_US == local_day(ZoneInfo(zone), instant)


def test_the_clock_shows_an_hour_at_an_instant_also_where_it_is_skipped() -> None:
    day = local_day(VIENNA, SPRING)
    assert clock_us(VIENNA, day) == SPRING - 2 * HOUR_US
    assert clock_us(VIENNA, day, 2) == clock_us(VIENNA, day, 3) == SPRING
    assert clock_us(VIENNA, day + 1) == SPRING + 21 * HOUR_US


def test_a_day_in_numbers() -> None:
    table = np.full((3, HOURS), np.nan)
    table[0, :] = 100.0
    table[1, :17] = [60.0] * 2 + [200.0] * 3 + [110.0] * 12
    table[2, :16] = 100.0
    days = daily(hours_from(table), FIRST_DAY + 2)
    assert days.worn_h.tolist() == [24, 17, 16]
    assert days.mean_mg_dl[:2] == pytest.approx([100.0, table[1, :17].mean()])
    assert days.cv_percent[:2] == pytest.approx([0.0, 100 * table[1, :17].std(ddof=1) / table[1, :17].mean()])
    assert days.tir_percent[:2] == pytest.approx([100.0, 100 * 12 / 17])
    assert days.tbr_percent[:2] == pytest.approx([0.0, 100 * 2 / 17])
    assert np.isnan([days.mean_mg_dl[2], days.cv_percent[2], days.tir_percent[2], days.tbr_percent[2]]).all()


def test_days_go_on_to_the_last_one_and_readings_after_it_do_not_count() -> None:
    days = daily(hours_from(np.full((2, HOURS), 100.0)), FIRST_DAY + 4)
    assert days.worn_h.tolist() == [24, 24, 0, 0, 0]
    assert len(daily(hours_from(np.full((2, HOURS), 100.0)), FIRST_DAY)) == 1
    nobody = daily(hours_of(np.empty((0, 6), np.int64)), FIRST_DAY)
    assert (len(nobody), nobody.last) == (0, FIRST_DAY)


def test_a_shape_is_the_median_day_smoothed_around_the_clock() -> None:
    table = np.tile(100.0 + CLOCK, (SHAPE_DAYS, 1))
    table[3] = 400.0  # one odd day
    shape = day_shape(hours_from(table), LAST)
    assert shape is not None
    assert shape[1:-1] == pytest.approx(101.0 + np.arange(22))
    assert shape[0] == pytest.approx((123 + 4 * 100 + 101) / 6)
    assert shape[23] == pytest.approx((122 + 4 * 123 + 100) / 6)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 23))
def test_the_shape_of_a_turned_day_is_the_turned_shape(turn: int) -> None:
    table = np.tile(120.0 + 30 * np.sin(CLOCK), (SHAPE_DAYS, 1)).round(1)
    shape, turned = (day_shape(hours_from(one), LAST) for one in (table, np.roll(table, turn, axis=1)))
    assert shape is not None
    assert turned == pytest.approx(np.roll(shape, turn))


def test_two_unknown_hours_are_drawn_over_and_three_are_too_many() -> None:
    table = np.tile(100.0 + 10 * CLOCK, (SHAPE_DAYS, 1))
    for hours, there in (((5, 6), True), ((23, 0), True), ((5, 6, 7), False), ((23, 0, 1), False)):
        gappy = table.copy()
        gappy[4:, list(hours)] = np.nan  # four days are not enough
        shape = day_shape(hours_from(gappy), LAST)
        assert (shape is not None) == there, hours
        if hours == (5, 6):
            assert shape is not None
            assert shape[4:8] == pytest.approx(100.0 + 10 * CLOCK[4:8])
        if hours == (23, 0):  # from 320 at 22 to 110 at 1
            assert shape is not None
            assert shape[0] == pytest.approx((250 + 4 * 180 + 110) / 6)


def test_a_shape_looks_at_a_fortnight_and_needs_one() -> None:
    assert day_shape(hours_of(np.empty((0, 6), np.int64)), LAST) is None
    assert day_shape(hours_from(np.full((4, HOURS), 100.0)), LAST) is None
    old = np.vstack([np.full((20, HOURS), 300.0), np.full((SHAPE_DAYS, HOURS), 100.0)])
    shape = day_shape(hours_from(old), FIRST_DAY + 33)
    assert shape == pytest.approx(np.full(HOURS, 100.0))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (np.full(24, 120.0), "steady"),
        (np.full(24, 200.0), "high_all_day"),
        (np.full(24, 80.0), "low_all_day"),
        (150 - 75 * np.exp(-((CLOCK - 3) ** 2) / 8), "low_night"),
        (150 + 90 * np.exp(-((CLOCK - 8) ** 2) / 8), "high_morning"),
        (150 + 90 * np.exp(-((CLOCK - 20) ** 2) / 8), "high_evening"),
        (120 + 45 * np.exp(-((CLOCK - 9) ** 2) / 8), "peak_morning"),
        (180 + 45 * np.exp(-((CLOCK - 13) ** 2) / 8), "high_afternoon"),
        (165 + 19 * np.sin(CLOCK / 4), "above_goal"),
        (165 + 25 * np.sin(CLOCK * 1.6), "above_goal"),
        (145 + 25 * np.sin(CLOCK * 1.6), "varied"),
    ],
)
def test_a_shape_has_a_name(shape: np.ndarray[tuple[int], np.dtype[np.float64]], name: str) -> None:
    assert shape_name(shape) == name
