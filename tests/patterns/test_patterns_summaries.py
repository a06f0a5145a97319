"""A fortnight in a row of numbers."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from islet.patterns.summaries import SUMMARY_DAYS, summary
from tests.patterns.people import FIRST_DAY, hours_from

LAST = FIRST_DAY + SUMMARY_DAYS - 1
TABLES = arrays(
    np.int64, (SUMMARY_DAYS, 24), elements=st.integers(0, 6).map((0, 55, 69, 70, 180, 181, 300).__getitem__)
)


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_the_numbers_are_those_of_all_readings(table: NDArray[np.int64]) -> None:
    days = np.where(table == 0, np.nan, table.astype(np.float64))
    values = days[~np.isnan(days)].tolist()
    found = summary(hours_from(days), LAST)
    if len(values) < 24:
        assert found is None
        return
    assert found is not None
    mean = statistics.fmean(values)
    assert found.mean_mg_dl == pytest.approx(mean, abs=0.06)
    assert found.cv_percent == pytest.approx(100 * statistics.stdev(values) / mean, abs=0.06)
    assert found.tir_percent == pytest.approx(100 * sum(70 <= v <= 180 for v in values) / len(values), abs=0.06)
    assert found.tbr_percent == pytest.approx(100 * sum(v < 70 for v in values) / len(values), abs=0.06)
    assert found.worn_percent == pytest.approx(100 * len(values) / (14 * 24), abs=0.06)


def test_the_moving_average_is_that_of_the_day_and_the_one_before() -> None:
    days = np.repeat(np.arange(100.0, 100.0 + 10 * SUMMARY_DAYS, 10.0)[:, None], 24, axis=1)
    days[5, 10:] = np.nan  # with the day before it has 34 hours: just enough
    days[8, :] = np.nan
    found = summary(hours_from(days), LAST)
    assert found is not None
    assert found.moving_mg_dl[:4] == (105.0, 115.0, 125.0, 135.0)
    assert found.moving_mg_dl[4] == round((24 * 140 + 10 * 150) / 34, 1)
    assert found.moving_mg_dl[7:9] == (None, None)
    assert len(found.moving_mg_dl) == SUMMARY_DAYS - 1


def test_days_before_the_fortnight_and_after_it_do_not_count() -> None:
    days = np.full((SUMMARY_DAYS + 10, 24), 300.0)
    days[5 : 5 + SUMMARY_DAYS] = 120.0
    found = summary(hours_from(days), FIRST_DAY + 5 + SUMMARY_DAYS - 1)
    assert found is not None
    assert (found.mean_mg_dl, found.cv_percent, found.tir_percent, found.worn_percent) == (120.0, 0.0, 100.0, 100.0)
    assert set(found.moving_mg_dl) == {120.0}


def test_without_a_day_of_readings_there_is_no_row() -> None:
    days = np.full((SUMMARY_DAYS, 24), np.nan)
    assert summary(hours_from(days), LAST) is None
    days[3, :23] = 100.0
    assert summary(hours_from(days), LAST) is None
    days[3, 23] = 100.0
    assert summary(hours_from(days), LAST) is not None
