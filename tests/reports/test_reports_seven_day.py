"""The seven-day report: its numbers are those of the references and of readings that one can count."""

import csv
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.errors import BadInput
from islet.metrics.ranges import OLDER, PREGNANCY, STANDARD
from islet.model.events import Exercise, Hba1c, Insulin, Meal, Medication, Note, Reading
from islet.model.series import Series
from islet.patterns.insulin.curves import CURVES, left_share
from islet.reports.document import SevenDay
from islet.reports.html import seven_day_html
from islet.reports.recorded import Recorded, recorded_of
from islet.reports.seven_day import TARGETS, seven_day
from islet.reports.tables import as_csv, as_json
from tests.conftest import examples
from tests.metrics.traces import five_people
from tests.reports.people import ENGLISH, MONDAY, SUNDAY, made, simulated

DAY = 288


@pytest.mark.parametrize("person", [0, 1, 2])
def test_the_profile_has_the_values_of_the_reference(shared_data: Path, person: int) -> None:
    """Hourly bins, type-7 percentiles, circular 1-4-1 smoothing, by another program, to 1e-6: what the report says."""
    people = five_people(shared_data).one(person)
    series = Series(
        time_us=people.clock_us,
        glucose_tenths=np.round(people.glucose_mg_dl * 10).astype(np.int32),
        range=np.zeros(len(people.clock_us), np.int8),
    )
    from islet.reports.measures import profile_of

    hours = profile_of(Recorded(id="s", series=series).people)
    with (shared_data / "iglu" / f"agp_hourly_141_Subject_{person + 1}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for hour, row in zip(hours, rows, strict=True):
        assert hour.readings == int(row["n"])
        values = (hour.p5, hour.p25, hour.p50, hour.p75, hour.p95)
        expected = [float(row[f"smooth_p{name}"]) for name in ("05", "25", "50", "75", "95")]
        assert values == pytest.approx(expected, rel=1e-6)


def week(values: Sequence[float], **more: object) -> SevenDay:
    return seven_day(made(values), STANDARD, last=SUNDAY, **more)  # type: ignore[arg-type]


def test_shares_and_minutes_are_those_of_the_readings() -> None:
    """Of 100 readings: 2 very low, 5 low, 70 in range (both ends), 13 high, 10 very high."""
    values = [53.0] * 2 + [69.0] * 5 + [70.0] * 35 + [180.0] * 35 + [181.0] * 13 + [251.0] * 10
    report = week(values * 20)
    assert [band.percent for band in report.bands] == pytest.approx([2, 5, 70, 13, 10])
    assert [band.minutes_a_day for band in report.bands] == pytest.approx([28.8, 72, 1008, 187.2, 144])
    met = {goal.name: goal.met for goal in report.goals}
    assert met == {"in_range": False, "below_low": False, "below_54": False, "above_high": True, "above_250": False}
    assert report.sufficiency.readings == 2000
    assert report.sufficiency.days_with_readings == 7
    assert report.sufficiency.active_percent == pytest.approx(100 * 2000 / (7 * DAY))


def test_too_few_readings_are_shown_and_not_graded() -> None:
    report = week([120.0] * 500)
    assert report.bands[2].percent == 100.0
    assert {goal.met for goal in report.goals} == {None}
    assert (report.glucose.gri, report.glucose.gri_zone, report.glucose.lbgi) == (None, "", None)
    html = seven_day_html(report, ENGLISH)
    assert "Too few readings." in html
    assert "✓" not in html and "✗" not in html and "reached the goal" not in html


@pytest.mark.parametrize(
    ("goals", "in_range", "bounds"),
    [(STANDARD, 80.0, 5), (PREGNANCY, 50.0, 4), (OLDER, 80.0, 4)],
)
def test_each_target_has_its_range_and_its_goals(goals: object, in_range: float, bounds: int) -> None:
    report = seven_day(made([65.0, 100.0, 120.0, 130.0, 139.0, 150.0, 160.0, 170.0, 175.0, 190.0]), goals, last=SUNDAY)  # type: ignore[arg-type]
    assert report.bands[2].percent == pytest.approx(in_range)
    assert len(report.goals) == bounds


@pytest.mark.parametrize(
    ("days", "asked", "missing"),
    [(7, 7, "days"), (14, 7, "days"), (14, 14, ""), (13, 14, "days")],
)
def test_gmi_is_told_of_fourteen_days_and_says_else_why_not(days: int, asked: int, missing: str) -> None:
    person = made([150.0] * DAY * days)
    last = MONDAY.date() + timedelta(days=days - 1)
    glucose = seven_day(person, STANDARD, days=asked, last=last).glucose
    assert glucose.gmi_missing == missing
    assert glucose.gmi_percent == (None if missing else pytest.approx(3.31 + 0.02392 * 150))


def test_gmi_of_fourteen_days_with_too_many_gaps_is_not_told() -> None:
    values = [150.0 if i % 10 < 6 else float("nan") for i in range(DAY * 14)]
    glucose = seven_day(made(values), STANDARD, days=14, last=MONDAY.date() + timedelta(days=13)).glucose
    assert (glucose.gmi_percent, glucose.gmi_missing) == (None, "readings")


def test_fingersticks_every_four_hours_are_no_full_wear() -> None:
    """Their median distance would make them a sensor without a gap."""
    report = seven_day(
        made([120.0] * 6 * 14, every_min=240), STANDARD, days=14, last=MONDAY.date() + timedelta(days=13)
    )
    assert report.sufficiency.active_percent < 10
    assert report.glucose.gmi_percent is None


def test_days_are_those_of_the_persons_own_clock() -> None:
    """Midnight of UTC is 8 o'clock in Shanghai: a day of readings from there is two days."""
    report = seven_day(made([100.0] * DAY, zone=ZoneInfo("Asia/Shanghai")), STANDARD, last=SUNDAY)
    assert [day.readings for day in report.days] == [192, 96, 0, 0, 0, 0, 0]
    assert report.days[0].runs[0][0].minute == 480.0
    assert report.period.time_zone == "Asia/Shanghai"


def test_a_curve_is_parted_where_more_than_two_readings_are_missing() -> None:
    nan = float("nan")
    report = week([100.0] * 5 + [nan] * 3 + [110.0] * 5 + [nan] * 4 + [120.0])
    assert [len(run) for run in report.days[0].runs] == [10, 1]


def test_an_episode_is_listed_once_by_the_gravest_level_it_reached() -> None:
    values = (
        [100.0] * 12 + [65.0] * 6 + [100.0] * 12 + [60.0] * 3 + [50.0] * 3 + [100.0] * 12 + [65.0] * 30 + [100.0] * 12
    )
    values += [200.0] * 6 + [100.0] * 12 + [200.0] * 3 + [260.0] * 4 + [100.0] * 12 + [260.0] * 30 + [100.0] * 12
    found = week(values).episodes
    assert [one.kind for one in found] == ["low", "very_low", "extended_low", "high", "very_high", "extended_high"]
    assert [one.minutes for one in found] == [30, 30, 150, 30, 35, 150]
    assert [one.extreme_mg_dl for one in found] == [65, 50, 65, 200, 260, 260]
    assert found[0].begin.isoformat() == "2026-03-02T01:00:00"
    assert [one.night for one in found[:3]] == [True, True, True]


def test_what_was_written_down_stands_on_its_day() -> None:
    at = MONDAY + timedelta(days=2, hours=12)
    events = (
        Meal(time=at, carbs_g=45, text="rice"),
        Insulin(time=at, dose_u=6, name="lispro"),
        Exercise(time=at, duration_min=30, kind="walk"),
        Medication(time=at, name="metformin", dose=500, dose_unit="mg"),
        Note(time=at, text="tired"),
    )
    report = seven_day(made([100.0] * DAY, events=events), STANDARD, last=SUNDAY)
    acts = report.days[2].acts
    assert [(act.kind, act.amount, act.unit, act.text) for act in acts] == [
        ("meal", 45, "g", "rice"),
        ("insulin", 6, "U", "lispro"),
        ("exercise", 30, "min", "walk"),
        ("medication", 500, "mg", "metformin"),
        ("note", None, "", "tired"),
    ]
    assert [len(day.acts) for day in report.days] == [0, 0, 5, 0, 0, 0, 0]


def test_the_days_before_are_told_only_with_enough_readings() -> None:
    full = seven_day(made([150.0] * 7 * DAY + [100.0] * 7 * DAY), STANDARD, last=date(2026, 3, 15))
    assert full.before is not None
    assert (full.before.mean_mg_dl, full.glucose.mean_mg_dl) == (150.0, 100.0)
    sparse = [150.0 if i % 2 else float("nan") for i in range(7 * DAY)]
    # every second reading of a sensor is one of half the pace; gaps of hours are none
    gappy = [150.0 if i % DAY < 180 else float("nan") for i in range(7 * DAY)]
    for values, told in ((sparse, True), (gappy, False)):
        report = seven_day(made(values + [100.0] * 7 * DAY), STANDARD, last=date(2026, 3, 15))
        assert (report.before is not None) == told


def test_readings_of_a_file_keep_their_unit_and_the_first_of_an_instant() -> None:
    at = datetime(2026, 3, 8, 12, tzinfo=UTC)
    events = [
        Reading(time=at, value=10.0, unit="mmol/L"),
        Reading(time=at, value=22.0, unit="mmol/L"),
        Reading(time=at + timedelta(minutes=5), value=3.9, unit="mmol/L"),
        Reading(time=at + timedelta(minutes=2), value=40.0, unit="mg/dL", method="capillary"),
    ]
    report = seven_day(recorded_of(events, id="p"), STANDARD, last=SUNDAY)
    assert report.sufficiency.readings == 2
    assert report.bands[2].percent == 100.0


def test_hba1c_stands_in_the_report_in_percent() -> None:
    labs = (Hba1c(time=MONDAY, value=53.0, unit="mmol/mol"), Hba1c(time=MONDAY + timedelta(days=30), value=7, unit="%"))
    report = seven_day(made([100.0] * 10, events=labs), STANDARD, last=SUNDAY)
    (lab,) = report.labs
    assert lab.percent == pytest.approx(7.0, abs=0.01)


def test_other_lengths_than_a_week_or_two_are_refused() -> None:
    with pytest.raises(BadInput, match="7 or 14"):
        seven_day(made([100.0]), STANDARD, last=SUNDAY, days=9)


readings = st.lists(
    st.tuples(st.integers(0, 9 * 1440), st.integers(100, 15_000)), max_size=120, unique_by=lambda row: row[0]
)


@settings(max_examples=examples(60))
@given(readings, st.sampled_from(list(TARGETS)), st.sampled_from([7, 14]), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_no_series_makes_a_report_fail_or_say_more_than_it_has(
    rows: list[tuple[int, int]], target: str, days: int, zone: str
) -> None:
    """Also where clocks change (2026-03-29). What is told is within what was measured; nothing is NaN."""
    rows = sorted(rows)
    start_us = round(datetime(2026, 3, 22, tzinfo=UTC).timestamp() * 1e6)
    series = Series(
        time_us=np.array([start_us + minute * 60_000_000 for minute, _ in rows], np.int64),
        glucose_tenths=np.array([tenths for _, tenths in rows], np.int32),
        range=np.zeros(len(rows), np.int8),
    )
    person = Recorded(id="p", series=series, zone=ZoneInfo(zone))
    last = person.last_day() or SUNDAY
    report = seven_day(person, TARGETS[target], last=last, days=days)
    text = as_json(report).decode() + as_csv(report) + seven_day_html(report, ENGLISH)
    assert "NaN" not in text and ">nan" not in text and "inf" not in as_csv(report)
    told = (report.glucose.mean_mg_dl, report.glucose.lowest_mg_dl, report.glucose.highest_mg_dl)
    if report.sufficiency.readings:
        assert sum(band.percent or 0 for band in report.bands) == pytest.approx(100.0)
        least, most = min(tenths for _, tenths in rows) / 10, max(tenths for _, tenths in rows) / 10
        percentiles = [p for hour in report.profile for p in (hour.p5, hour.p95) if p is not None]
        assert all(value is not None and least - 1e-9 <= value <= most + 1e-9 for value in (*told, *percentiles))
        assert report.sufficiency.short
    else:
        assert all(band.percent is None for band in report.bands)
        assert told == (None, None, None)
    assert report.glucose.gmi_percent is None
    assert sum(day.readings for day in report.days) == report.sufficiency.readings


def test_a_simulated_week_is_whole_and_its_acts_are_counted() -> None:
    person = simulated(14)
    report = seven_day(person, STANDARD, last=SUNDAY)
    assert report.sufficiency.active_percent > 80
    assert sum(len(day.acts) for day in report.days) == sum(event.time >= MONDAY for event in person.events) > 20


def test_a_day_says_what_was_on_board_from_midnight_to_midnight() -> None:
    doses = [Insulin(time=MONDAY + timedelta(hours=hour), dose_u=4, kind="bolus") for hour in (-1, 12)]
    meal = Meal(time=MONDAY + timedelta(hours=12), carbs_g=60)
    report = seven_day(made([100.0] * 288, events=[*doses, meal]), STANDARD, last=MONDAY.date())
    (*empty, monday) = report.days
    first, last = monday.on_board[0], monday.on_board[-1]
    assert [len(day.on_board) for day in empty[:-1]] == [0] * 5 and len(monday.on_board) == 97
    assert first.insulin_u == pytest.approx(4 * left_share(np.array([60.0]), CURVES["rapid"])[0], abs=0.01)
    noon = monday.on_board[48]
    assert (noon.minute, noon.insulin_u, noon.carbs_g) == (720, 4.0, 60.0)
    assert (last.minute, last.insulin_u, last.carbs_g) == (1440, 0.0, 0.0)


def test_the_shade_of_what_is_on_board_is_drawn_and_told() -> None:
    bolus = Insulin(time=MONDAY + timedelta(hours=12), dose_u=4, kind="bolus")
    with_it, without = (
        seven_day_html(seven_day(made([100.0] * 288, events=events), STANDARD, last=MONDAY.date()), ENGLISH)
        for events in ([bolus], [])
    )
    assert "on board at most, by a model: insulin 4.0 U, carbs 0 g" in with_it
    assert "a model's estimate, not for dosing" in with_it.replace("&#39;", "'")
    assert 'fill-opacity="0.22"' in with_it and 'fill-opacity="0.22"' not in without
    assert "on board" not in without
