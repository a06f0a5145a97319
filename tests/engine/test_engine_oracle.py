"""DuckDB runs each rule's own text on the whole history; the engine's kernel and predicate have to agree, bit by bit."""

from collections.abc import Sequence
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.engine.oracle import run
from islet.engine.rules import Rule, read_rule
from islet.errors import RuleRefused, RuleTooCostly
from islet.model.time import DAY_US, from_us
from tests.engine.streams import Engine, Point, glucose, looking_at

_WINDOW = "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '{}' {} PRECEDING AND CURRENT ROW)"


def _rule(condition: str, *windows: str) -> Rule:
    columns = ", ".join(["patient", "device", "ts", "glucose_mg_dl", *windows])
    return read_rule(
        '/*\nname = "tried"\ntitle = "Tried"\nseverity = "notice"\n*/\n'
        f"SELECT patient, device, ts FROM (SELECT {columns} FROM readings) AS recent WHERE {condition}"
    )


_TEN = _WINDOW.format(10, "MINUTE")
_HOUR = _WINDOW.format(1, "HOUR")
TRIED = [
    _rule("average > 105.5 AND NOT lowest < 80", f"AVG(glucose_mg_dl) {_TEN} AS average", f"MIN(glucose_mg_dl) {_HOUR} AS lowest"),
    _rule("readings >= 3 AND highest - lowest >= 20.5", f"COUNT(*) {_TEN} AS readings",
          f"MAX(glucose_mg_dl) {_TEN} AS highest", f"MIN(glucose_mg_dl) {_TEN} AS lowest"),
    _rule("total BETWEEN 200 AND 310.1 OR total = 100", f"SUM(glucose_mg_dl) {_TEN} AS total"),
    _rule("short - long > 2 OR glucose_mg_dl * 2 <> short + long", f"AVG(glucose_mg_dl) {_TEN} AS short", f"AVG(glucose_mg_dl) {_HOUR} AS long"),
    _rule("-glucose_mg_dl < -3 * 35 AND count > 2 OR (glucose_mg_dl <= 55)", f"COUNT(glucose_mg_dl) {_HOUR} AS count"),
]  # fmt: skip


def _by_duckdb(rule: Rule, points: Sequence[Point]) -> set[tuple[str, int]]:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE readings (patient TEXT, device TEXT, ts TIMESTAMP, glucose_mg_dl DECIMAL(6, 1))")
    for p in points:
        row = (p.patient, p.device, from_us(p.us).replace(tzinfo=None), Decimal(str(p.mg_dl)))
        connection.execute("INSERT INTO readings VALUES (?, ?, ?, ?)", row)
    rows = connection.execute(f"SELECT patient, device, epoch_us(ts) FROM ({rule.sql.rstrip(';')})").fetchall()
    return {(patient, us) for patient, _, us in rows}


def _by_the_engine(rule: Rule, points: Sequence[Point]) -> set[tuple[str, int]]:
    """The patients and instants at which the rule is breached: without a `clear` an episode is nothing else."""
    ready = glucose([structs.replace(rule, clear="")])
    engine = Engine(ready, looking_at(1, of=ready), lateness_us=DAY_US)
    engine.read(*points)
    found = [a for a in engine.table.values() if not a.retracted]
    return {
        (p.patient, p.us)
        for p in points
        for a in found
        if a.patient == p.patient and a.onset_us <= p.us and (a.cleared_us is None or p.us < a.cleared_us)
    }


_STREAM = st.lists(
    st.builds(
        Point,
        st.integers(0, 80).map(float),
        st.sampled_from([55.0, 60.1, 69.9, 70.0, 79.9, 80.0, 100.0, 104.9, 105.0, 105.1, 110.0, 115.1, 240.0, 250.1]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["p1", "p2"]),
    ),
    max_size=30,
    unique_by=lambda p: (p.minute, p.device, p.patient),
)


@pytest.mark.parametrize("rule", TRIED, ids=lambda rule: rule.name)
@given(points=_STREAM)
@settings(deadline=None, max_examples=12)
def test_the_kernel_and_the_predicate_flag_what_duckdb_flags_on_the_whole_history(
    rule: Rule, points: list[Point]
) -> None:
    assert _by_the_engine(rule, points) == _by_duckdb(rule, points)


def test_an_average_that_a_float_would_get_wrong_is_exact() -> None:
    values = [70.0, 70.0, 70.3]
    assert sum(values) / 3 > 70.1  # in binary; the average is 70.1, which is not above 70.1
    rule = _rule("average > 70.1", f"AVG(glucose_mg_dl) {_TEN} AS average")
    assert _by_the_engine(rule, [Point(minute, value) for minute, value in enumerate(values)]) == set()


def test_a_rule_over_the_history_reaches_no_file_no_network_and_no_setting() -> None:
    for reach in (
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('http://127.0.0.1/')",
        "ATTACH '/tmp/other.db'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET temp_directory = '/tmp'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(RuleRefused):
            run(reach, {})
    assert run("SELECT current_setting('temp_directory')", {}) == [("",)], "readings are not written to a disk"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT sum(a.range * b.range % 7) FROM range(10_000_000) a, range(10_000_000) b", "longer than 0.2 s"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "longer than 0.2 s"),
        ("SELECT a.range FROM range(1000) a, range(1000) b", "more than 100 rows"),
    ],
    ids=["a join of everything", "a recursion without an end", "too many rows"],
)
def test_a_rule_that_costs_too_much_is_stopped(sql: str, reason: str) -> None:
    with pytest.raises(RuleTooCostly, match=reason):
        run(sql, {}, within_s=0.2, most_rows=100)


def test_a_rule_that_needs_too_much_memory_is_stopped() -> None:
    with pytest.raises(RuleTooCostly, match="memory"):
        run("SELECT list(repeat('x', 1_000_000)) FROM range(1200)", {})


def test_a_rule_that_costs_little_is_not() -> None:
    assert run("SELECT 1", {}, within_s=30, most_rows=1) == [(1,)]
