"""The three-month programme: rolling windows, phases, and the gap between GMI and the laboratory."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.metrics.ranges import STANDARD
from islet.model.events import Hba1c
from islet.reports.html import programme_html
from islet.reports.programme import programme
from islet.reports.tables import as_csv, as_json
from tests.reports.people import ENGLISH, MONDAY, made

DAY = 96  # readings every 15 min
LAST = MONDAY.date() + timedelta(days=89)


def days(*levels: tuple[float, int]) -> list[float]:
    """So many days at each level."""
    return [level for level, count in levels for _ in range(count * DAY)]


def test_phases_are_thirty_days_each_and_windows_fourteen() -> None:
    report = programme(made(days((200.0, 30), (150.0, 30), (100.0, 30)), every_min=15), STANDARD, last=LAST)
    assert [phase.mean_mg_dl for phase in report.phases] == [200.0, 150.0, 100.0]
    assert [phase.in_range_percent for phase in report.phases] == [0.0, 100.0, 100.0]
    assert [(window.last - window.first).days for window in report.rolling] == [13] * 77
    assert report.rolling[0].first == MONDAY.date()
    assert report.rolling[-1].last == report.windows[-1].last == LAST
    assert len(report.windows) == 11
    assert report.rolling[30].mean_mg_dl == pytest.approx((200.0 * 0 + 150.0 * 14) / 14)
    assert report.rolling[20].mean_mg_dl == pytest.approx((200.0 * 10 + 150.0 * 4) / 14)
    assert report.glucose.gmi_percent == pytest.approx(3.31 + 0.02392 * 150)


def test_windows_with_too_many_gaps_have_no_numbers() -> None:
    nan = float("nan")
    report = programme(made(days((150.0, 30), (nan, 40), (100.0, 20)), every_min=15), STANDARD, last=LAST)
    assert [phase.mean_mg_dl is None for phase in report.phases] == [False, True, True]
    assert report.phases[2].active_percent == pytest.approx(100 * 20 / 30)
    assert report.rolling[40].active_percent == 0.0
    assert (report.glucose.gmi_percent, report.glucose.gmi_missing) == (None, "readings")


def test_a_laboratory_value_stands_beside_the_gmi_of_the_days_before_it() -> None:
    labs = [
        Hba1c(time=MONDAY + timedelta(days=day, hours=12), value=value, unit="%")
        for day, value in ((5, 8.0), (39, 7.5), (89, 6.0), (120, 5.5))
    ]
    person = made(days((200.0, 40), (100.0, 50)), every_min=15, events=labs)
    report = programme(person, STANDARD, last=LAST)
    early, middle, late = report.labs
    assert (early.days, early.gmi_percent, early.gap) == (6, None, None)
    assert middle.days == 40
    assert middle.gmi_percent == pytest.approx(3.31 + 0.02392 * 200)
    assert middle.gap == pytest.approx(3.31 + 0.02392 * 200 - 7.5)
    assert late.days == 90
    assert late.gmi_percent == pytest.approx(3.31 + 0.02392 * (200 * 40 + 100 * 50) / 90)


def test_hba1c_is_never_worked_out() -> None:
    report = programme(made(days((150.0, 90)), every_min=15), STANDARD, last=LAST)
    assert report.labs == ()
    assert "None was entered for this period." in programme_html(report, ENGLISH)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 94), st.floats(20, 600)), max_size=40),
    st.lists(st.integers(-200, 95), max_size=3),
)
def test_no_days_make_a_programme_fail(worn: list[tuple[int, float]], drawn: list[int]) -> None:
    """Days worn or not, in any order of levels; laboratory values at any time."""
    levels = dict(worn)
    values = [levels.get(day, float("nan")) for day in range(95) for _ in range(24)]
    labs = [Hba1c(time=MONDAY + timedelta(days=day), value=7.0, unit="%") for day in sorted(drawn)]
    report = programme(made(values, every_min=60, events=labs), STANDARD, last=LAST)
    text = programme_html(report, ENGLISH) + as_csv(report) + as_json(report).decode()
    assert "NaN" not in text and ">nan" not in text
    assert report.glucose.gmi_percent is None  # hourly readings are no sensor's
    assert all(window.mean_mg_dl is None for window in (*report.rolling, *report.phases))
