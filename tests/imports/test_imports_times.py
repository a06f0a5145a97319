"""Local times become instants: date orders, clocks of twelve hours, and the two hours that daylight saving spoils."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from islet.decode.imports.found import Choices
from islet.decode.imports.local_times import date_order, instants, local_time, written
from islet.errors import BadInput
from tests.imports.given import UTC as IN_UTC
from tests.imports.given import readings

VIENNA = ZoneInfo("Europe/Vienna")


def naive(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-07-25 00:32:50", "2021-07-25T00:32:50"),
        ("2021/07/25 00:32", "2021-07-25T00:32:00"),
        ("2021-07-25T0:32:50", "2021-07-25T00:32:50"),
        ("2014:10:01 12:15:00", "2014-10-01T12:15:00"),
        ("2021年7月25日 下午3:05", "2021-07-25T15:05:00"),
        ("19-October-2021 3:00 PM", "2021-10-19T15:00:00"),
        ("25.07.2021 12:00 a.m.", "2021-07-25T00:00:00"),
        ("25.07.2021 12:00 PM", "2021-07-25T12:00:00"),
    ],
)
def test_a_time_is_read_as_it_is_written(text: str, expected: str) -> None:
    assert local_time(text, "dmy", 1, "Time") == naive(expected)


@pytest.mark.parametrize(
    "text", ["2021-02-29 08:00", "2021-13-01 08:00", "2021-07-25 24:10", "13:00 PM", "13/1/2021 13:05 PM", "soon"]
)
def test_a_time_that_does_not_exist_is_refused_with_its_line_and_column(text: str) -> None:
    with pytest.raises(BadInput, match="line 7, column Time"):
        local_time(text, "dmy", 7, "Time")


def test_a_day_above_12_decides_the_date_order_of_the_whole_file() -> None:
    assert date_order([(1, "03/04/2021 08:00"), (2, "13/04/2021 08:00")], None) == "dmy"
    assert date_order([(1, "03/04/2021 08:00"), (2, "03/13/2021 08:00")], None) == "mdy"
    assert date_order([(1, "2021-03-04 08:00")], None) == "ymd"


def test_an_ambiguous_date_is_refused_with_its_two_readings_and_the_option_that_decides() -> None:
    with pytest.raises(BadInput) as refused:
        date_order([(2, "04/04/2021 08:00"), (3, "03/04/2021 08:00")], None)
    said = str(refused.value)
    assert "line 3" in said
    assert "3 April 2021 (--date-order dmy)" in said
    assert "4 March 2021 (--date-order mdy)" in said
    assert date_order([(3, "03/04/2021 08:00")], "mdy") == "mdy"


def test_dates_that_fit_no_order_are_refused() -> None:
    with pytest.raises(BadInput, match="neither"):
        date_order([(1, "13/04/2021 08:00"), (2, "04/13/2021 08:00")], None)


def test_local_times_without_a_zone_are_refused_with_the_option_that_says_it() -> None:
    with pytest.raises(BadInput, match="--zone"):
        readings("time,glucose mg/dL\n2021-07-25 08:00,112\n", Choices())


def test_times_with_an_offset_need_no_zone() -> None:
    (one,) = readings("time,glucose mg/dL\n2021-07-25T08:00:00+02:00,112\n", Choices())
    assert one.time == datetime(2021, 7, 25, 6, tzinfo=UTC)


def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_the_step_back() -> None:
    times = [naive(f"2024-10-27T{clock}") for clock in ("01:45", "02:15", "02:45", "02:15", "02:45", "03:15")]
    told = [at.strftime("%H:%M") for at in instants(times, VIENNA)]
    assert told == ["23:45", "00:15", "00:45", "01:15", "01:45", "02:15"]
    newest_first = instants(times[::-1], VIENNA)
    assert [at.strftime("%H:%M") for at in newest_first] == told[::-1]


def test_the_hour_that_spring_leaves_out_is_of_a_clock_not_yet_changed() -> None:
    times = [naive("2024-03-31T01:45"), naive("2024-03-31T02:15"), naive("2024-03-31T03:45")]
    assert [at.strftime("%H:%M") for at in instants(times, VIENNA)] == ["00:45", "01:15", "01:45"]


@pytest.mark.parametrize("minutes", [5, 15, 60])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_clock_that_was_changed_hours_after_spring_gives_no_instant_twice(minutes: int, backwards: bool) -> None:
    """As T1D-UOM's 2310, whose clock stepped from 05:50 to 06:55 a day later."""
    real = [
        datetime(2024, 3, 30, 23, tzinfo=UTC) + timedelta(minutes=minutes * step) for step in range(1440 // minutes)
    ]
    changed = datetime(2024, 3, 31, 6, tzinfo=UTC)
    wall = [(at + timedelta(hours=1 if at < changed else 2)).replace(tzinfo=None) for at in real]
    if backwards:
        real, wall = real[::-1], wall[::-1]
    assert instants(wall, VIENNA) == real


@given_any(
    st.integers(0, 365 * 96).map(lambda quarter: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)),
    st.integers(2, 200),
    st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"]),
    st.booleans(),
)
def test_what_a_sensor_wrote_without_a_gap_comes_back_to_the_instant(
    start: datetime, count: int, zone: str, backwards: bool
) -> None:
    """Also over any change of the clock, if it is not the very hour that begins the file."""
    where = ZoneInfo(zone)
    start -= timedelta(hours=3) if start.astimezone(where).fold else timedelta(0)
    real = [start + timedelta(minutes=15 * step) for step in range(count)]
    wall = [at.astimezone(where).replace(tzinfo=None, fold=0) for at in real]
    if backwards:
        real, wall = real[::-1], wall[::-1]
    if wall[0] != wall[-1] and (wall[0] > wall[-1]) == backwards:
        assert instants(wall, where) == real


def test_an_offset_and_a_half_of_the_day_are_understood() -> None:
    parts = written("2021-07-25 03:05 PM +05:30")
    assert parts is not None
    assert (parts.clock.hour, parts.offset) == (15, timedelta(hours=5, minutes=30))


def test_the_range_of_dates_that_glooko_states_decides_an_order_that_is_open() -> None:
    head = "Name:Somebody, Date Range:2025-01-01 - 2025-01-07\nTimestamp,CGM Glucose Value (mg/dL)\n"
    (one,) = readings(head + "1/2/2025 8:00,112\n", IN_UTC, "glooko")
    assert one.time == datetime(2025, 1, 2, 8, tzinfo=UTC)
    with pytest.raises(BadInput, match="date-order"):
        readings(head.replace("2025-01-07", "2025-12-07") + "1/2/2025 8:00,112\n")
