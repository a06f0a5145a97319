"""Rules over the whole history, on DuckDB: what they find, what they may read, and what is refused."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from islet.engine import history_check
from islet.engine.history_check import check_asked, empty_tables
from islet.engine.oracle import DAYS, run
from islet.engine.rules import check_rule, load_rules, plan, read_rule
from islet.engine.tables import HISTORY_COLUMNS, PATIENTS, TABLES
from islet.errors import RuleRefused, RuleTooCostly
from tests.rules.streams import BEGIN, Stream, Value, history

PLAN = plan(load_rules())
SQL = {rule.name: rule.sql for rule in PLAN.history}
_DAY = 1440.0
_FRONT = '/*\nname = "tried"\ntitle = "Tried"\nseverity = "notice"\nevery = "1 day"\n*/\n'


def _found(rule: str, stream: Stream, today: int) -> list[tuple[str, datetime]]:
    return sorted(run(SQL[rule], history(stream, PLAN, today)))


def _days(patients: Mapping[str, Callable[[int], float]], days: int, per_day: Callable[[int], int]) -> Stream:
    """Readings at equal distances; the value is a function of the day."""
    return Stream(
        [
            Value(day * _DAY + n * 5, value(day), patient)
            for patient, value in patients.items()
            for day in range(days)
            for n in range(per_day(day))
        ]
    )


def test_a_sensor_worn_half_of_two_weeks_is_reported_once_at_the_end_of_the_day() -> None:
    stream = _days({"p1": lambda _: 100}, 15, lambda day: 144)
    assert _found("cgm_use_low", stream, 14) == [("p1", BEGIN + timedelta(days=15))]


def test_who_stopped_altogether_is_reported_too() -> None:
    assert _found("cgm_use_low", _days({"p1": lambda _: 100}, 1, lambda day: 288), 30) != []


@pytest.mark.parametrize(("missing", "reported"), [(4, False), (5, True)])
def test_seventy_percent_of_fourteen_days_are_enough(missing: int, reported: bool) -> None:
    stream = _days({"p1": lambda _: 100, "p2": lambda _: 100}, 15, lambda day: 288)
    some = [v for v in stream.values if not (v.patient == "p1" and _DAY <= v.minute < (1 + missing) * _DAY)]
    assert [patient for patient, _ in _found("cgm_use_low", Stream(some), 14)] == ["p1"] * reported


def test_somebody_new_cannot_have_worn_it_for_two_weeks() -> None:
    assert _found("cgm_use_low", _days({"p1": lambda _: 100}, 13, lambda _: 20), 12) == []


@pytest.mark.parametrize(("highs", "reported"), [(2, False), (3, True)])
def test_a_drop_of_time_in_range_by_fifteen_points_is_reported(highs: int, reported: bool) -> None:
    stream = _days({"p1": lambda day: 300 if day >= 28 - highs else 100}, 28, lambda _: 2)
    assert [patient for patient, _ in _found("tir_drop", stream, 27)] == ["p1"] * reported


def test_fingersticks_are_no_wear() -> None:
    stream = _days({"p1": lambda _: 100}, 15, lambda day: 144)
    fingers = [v._replace(minute=v.minute + 2.5, device="meter") for v in stream.values]
    assert _found("cgm_use_low", Stream([*stream.values, *fingers]), 14) != []
    assert _found("cgm_use_low", Stream(fingers), 14) == []  # who wears no sensor is not told to wear it more


def test_fingersticks_are_no_time_in_range() -> None:
    fingers = [Value(day * _DAY + n, 300, device="meter") for day in range(14, 28) for n in range(2)]
    sensor = _days({"p1": lambda _: 100}, 28, lambda _: 2).values
    assert _found("tir_drop", Stream([*sensor, *fingers]), 27) == []


def test_a_drop_needs_a_week_of_readings_on_both_sides() -> None:
    assert _found("tir_drop", _days({"p1": lambda day: 300 if day >= 14 else 100}, 20, lambda _: 2), 19) == []
    assert _found("tir_drop", _days({"p1": lambda day: 300 if day >= 14 else 100}, 21, lambda _: 2), 20) != []


def test_yesterday_counts_for_those_who_measure_by_themselves() -> None:
    stream = Stream([Value(day * _DAY + n, 100, p, "meter") for p, times in (("p1", 3), ("p2", 4)) for day in (0, 1) for n in range(times if day == 0 else 1)])  # fmt: skip
    assert _found("few_readings", stream, 0) == [("p1", BEGIN + timedelta(days=1))]


def test_who_measured_nothing_at_all_has_missed_it_too() -> None:
    there = history(Stream([Value(n, 100) for n in range(4)]), PLAN, 0)
    row = there["patients"].to_pylist()[0]
    patients = pa.Table.from_pylist([row, {**row, "patient": "p2"}], schema=there["patients"].schema)
    assert run(SQL["few_readings"], {**there, "patients": patients}) == [("p2", BEGIN + timedelta(days=1))]


def test_days_say_what_a_local_day_was_like() -> None:
    stream = Stream([Value(1380, 60), Value(1385, 100), Value(1439, 300), Value(1441, 100)], time_zone="Europe/Vienna")
    columns = "patient, CAST(day AS TEXT), readings, ROUND(active_percent * 2.88), mean_mg_dl, tbr_percent, tir_percent"
    (day,) = run(f"SELECT {columns} FROM days", history(stream, PLAN, 0))
    assert day == ("p1", "2026-03-02", 4, 4, 140, 25, 50)


@pytest.mark.parametrize(
    ("sql", "line", "reason"),
    [
        ("SELECT patient\nFROM days", 7, "one SELECT of patient and ts; got patient"),
        ("SELECT patient, day\nFROM days", 7, "got patient, day"),
        ("SELECT patient, ts\nFROM secrets", 8, "unknown table"),
        ("SELECT patient, ts\nFROM other.readings", 8, "unknown table"),
        ("SELECT patient, ts\nFROM read_csv('/etc/passwd')", 8, "unknown table"),
        ("SELECT patient, ts\nFROM '/etc/passwd'", 8, "unknown table"),
        ("SELECT patient, ts FROM days; DROP TABLE days", 7, "got 2 statements"),
        ("DELETE FROM days", 7, "a rule with `every` is one SELECT of patient and ts; got DELETE"),
    ],
)
def test_a_history_rule_reads_the_tables_that_there_are(sql: str, line: int, reason: str) -> None:
    with pytest.raises(RuleRefused, match=f"^line {line}: ") as refusal:
        plan([read_rule(_FRONT + sql)])
    assert reason in str(refusal.value)


@pytest.mark.parametrize("key", ["clear", "sustained"])
def test_a_history_rule_takes_nothing_that_needs_a_stream(key: str) -> None:
    front = _FRONT.replace("*/", f'{key} = "5 min"\n*/')
    with pytest.raises(RuleRefused, match="line 6: a rule with `every`"):
        read_rule(front + "SELECT patient, ts FROM days")


def test_a_history_rule_may_use_all_of_sql() -> None:
    sql = "WITH best AS (SELECT patient, MAX(ts) AS ts FROM days GROUP BY patient) SELECT patient, ts FROM best"
    assert plan([read_rule(_FRONT + sql)]).history[0].every_us == 86_400_000_000


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT content FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/islet-should-not-exist'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM local_table",
    ],
)
def test_duckdb_gets_no_file_no_network_and_no_variable_of_ours(sql: str) -> None:
    local_table = pa.table({"secret": [1]})
    assert local_table.num_rows == 1
    with pytest.raises(RuleRefused, match="DuckDB: "):
        run(sql, {})


def test_no_parameter_may_be_called_as_a_column_of_these_tables() -> None:
    columns = {name for table in empty_tables([]).values() for name in table.column_names}
    columns |= {str(name) for name, *_ in run(f"DESCRIBE {DAYS}", empty_tables([]))}
    known = {name for table in TABLES.values() for name in table.columns}
    assert columns - known - PATIENTS.keys() == HISTORY_COLUMNS
    front = '/*\nname = "mine"\ntitle = "Mine"\nseverity = "notice"\n[parameters.today]\ndefault = 5\nmin = 1\nmax = 9\n*/\n'
    with pytest.raises(RuleRefused, match=r"^line 5: parameter today: a table has a column of that name"):
        read_rule(front + "SELECT patient FROM readings JOIN patients USING (patient) WHERE glucose_mg_dl < today")


def test_a_parameter_must_not_be_called_as_a_column_that_a_rule_over_the_history_makes() -> None:
    nightly = read_rule(_FRONT + "SELECT patient, ts FROM (SELECT *, 2 AS twice FROM days) AS d JOIN patients USING (patient) WHERE twice > mean_mg_dl")  # fmt: skip
    front = '/*\nname = "mine"\ntitle = "Mine"\nseverity = "notice"\n[parameters.twice]\ndefault = 5\nmin = 1\nmax = 9\n*/\n'
    mine = read_rule(
        front + "SELECT patient FROM readings JOIN patients USING (patient) WHERE glucose_mg_dl < 10 * twice"
    )
    check_rule(mine, [nightly])
    check_asked(nightly)
    with pytest.raises(RuleRefused, match=r"^line 5: parameter twice: tried has a column of that name; choose another"):
        check_asked(mine, [nightly])


def test_what_duckdb_refuses_is_told_with_its_line() -> None:
    with pytest.raises(RuleRefused, match=r'^line 8: DuckDB: .*"glucose"'):
        check_asked(read_rule(_FRONT + "SELECT patient, ts FROM readings\nWHERE glucose < 70"))


def test_a_rule_that_calculates_something_out_of_nothing_is_stopped_while_it_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_check, "_WITHIN_S", 0.02)
    long = " + ".join(f"length(repeat('{letter}', 30000000))" for letter in "abc")
    with pytest.raises(RuleTooCostly):
        check_asked(read_rule(_FRONT + f"SELECT patient, ts FROM readings WHERE {long} > 1"))
