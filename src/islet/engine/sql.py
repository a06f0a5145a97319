"""The portable subset of SQL that a rule is written in: from text to a checked, small description.

Three forms are understood (columns of `readings`: patient, device, ts, glucose_mg_dl):

    SELECT … FROM readings WHERE predicate
    SELECT … FROM (SELECT …, aggregate OVER (window) AS name FROM readings) AS alias WHERE predicate
    SELECT … FROM last_readings WHERE minutes_since >= n

where the window is PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW.
The same text runs unchanged on DuckDB, Spark and Flink. Anything else is refused with its line and what is allowed.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from islet.errors import RuleRefused
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US

Aggregate = Literal["sum", "count", "min", "max", "first", "last", "avg"]

_AGGREGATES: Final[dict[type[exp.Expression], Aggregate]] = {
    exp.Sum: "sum",
    exp.Count: "count",
    exp.Min: "min",
    exp.Max: "max",
    exp.FirstValue: "first",
    exp.LastValue: "last",
    exp.Avg: "avg",
}
_UNITS: Final = {"SECOND": SECOND_US, "MINUTE": MINUTE_US, "HOUR": HOUR_US}
_READING_COLUMNS: Final = ("patient", "device", "ts", "glucose_mg_dl")
_FORMS: Final = "SELECT columns FROM readings (or from a subquery with windows over readings, or from last_readings) WHERE predicate"
_WINDOW: Final = (
    "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)"
    " with n a whole number of SECOND, MINUTE or HOUR"
)


@dataclass(frozen=True, slots=True)
class Feature:
    """An aggregate of glucose over the trailing window [t - window_us, t]; window 0 is the reading itself."""

    aggregate: Aggregate
    window_us: int


GLUCOSE: Final = Feature("last", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a rule's SELECT says: a predicate over named features, or a silence of `silence_us` (then no predicate)."""

    features: dict[str, Feature]
    predicate: exp.Expression | None = None
    silence_us: int = 0


def read_query(text: str) -> Query:
    """The query in a rule's file (comments are skipped). Raises RuleRefused."""
    select = _parsed(text)
    source = select.args["from_"].this if select.args.get("from_") else None
    where = select.args.get("where")
    if where is None:
        raise refused("a rule needs a WHERE: the condition of the alarm", select)
    if isinstance(source, exp.Table) and source.name == "last_readings":
        return Query(features={}, silence_us=_silence_us(where.this))
    if isinstance(source, exp.Table):
        _check_table(source, "readings")
        features = {"glucose_mg_dl": GLUCOSE}
    elif isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select):
        features = _windows(source.this)
    else:
        raise refused(f"expected {_FORMS}", select)
    _check_outputs(select, {"patient", "device", "ts", *features})
    return Query(features=features, predicate=where.this)


def read_predicate(text: str, *, line: int) -> exp.Expression:
    """A predicate that stands alone (the clearing condition in the front matter, at that line)."""
    try:
        predicate: exp.Expression = sqlglot.parse_one(f"SELECT 1 WHERE {text}", dialect="duckdb").args["where"].this
    except (ParseError, TokenError, KeyError):
        raise RuleRefused(
            f"clear: expected a predicate such as 'glucose_mg_dl >= 75'; got {text!r}", line=line
        ) from None
    for node in predicate.walk():
        node.meta["line"] = line
    return predicate


def refused(message: str, node: exp.Expression) -> RuleRefused:
    """The refusal of a node, with its line: its own, or that of the nearest word that has one."""
    near: exp.Expr | None = node
    while near is not None:
        lines = [int(n.meta["line"]) for n in near.walk() if "line" in n.meta]
        if lines:
            return RuleRefused(message, line=min(lines))
        near = near.parent
    return RuleRefused(message, line=1)


def _parsed(text: str) -> exp.Select:
    try:
        statements = [s for s in sqlglot.parse(text, dialect="duckdb") if s is not None]
    except ParseError as error:
        first = error.errors[0]
        raise RuleRefused(f"not SQL near {first['highlight']!r}: {first['description']}", line=first["line"]) from None
    except TokenError:
        raise RuleRefused("not SQL: a quote or a comment is not closed", line=text.count("\n") + 1) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise RuleRefused(f"expected one {_FORMS}", line=1)
    _only(statements[0], {"expressions", "from_", "where"})
    return statements[0]


def _only(select: exp.Select, allowed: set[str]) -> None:
    for name, value in select.args.items():
        if value and name not in allowed:
            node = value[0] if isinstance(value, list) else value
            word = name.rstrip("s_").upper()
            where = node if isinstance(node, exp.Expression) else select
            raise refused(f"{word} is not in the subset; expected {_FORMS}", where)


def _check_table(table: exp.Table, name: str) -> None:
    if table.name != name or table.db or any(v for k, v in table.args.items() if k not in ("this", "alias")):
        raise refused(f"unknown table {table.sql()!r}; the tables are readings and last_readings", table)


def _check_outputs(select: exp.Select, known: set[str]) -> None:
    for output in select.expressions:
        if not isinstance(output, exp.Column) or output.name not in known:
            raise refused(f"{output.sql()!r} cannot be selected; there are {', '.join(sorted(known))}", output)


def _windows(select: exp.Select) -> dict[str, Feature]:
    """The features that a subquery over readings names."""
    _only(select, {"expressions", "from_"})
    source = select.args["from_"].this if select.args.get("from_") else select
    if not isinstance(source, exp.Table):
        raise refused("the subquery has to read FROM readings", select)
    _check_table(source, "readings")
    features: dict[str, Feature] = {}
    for output in select.expressions:
        if isinstance(output, exp.Alias) and isinstance(output.this, exp.Window):
            features[output.alias] = _feature(output.this)
        elif isinstance(output, exp.Column) and output.name in _READING_COLUMNS:
            if output.name == "glucose_mg_dl":
                features["glucose_mg_dl"] = GLUCOSE
        else:
            raise refused(f"{output.sql()!r}: expected a column of readings, or an aggregate {_WINDOW} AS name", output)
    return features


def _feature(window: exp.Window) -> Feature:
    aggregate = _AGGREGATES.get(type(window.this))
    if aggregate is None:
        raise refused(f"expected one of AVG, SUM, COUNT, MIN, MAX, FIRST_VALUE, LAST_VALUE {_WINDOW}", window)
    over = window.this.this
    if not (_is_column(over, "glucose_mg_dl") or (aggregate == "count" and isinstance(over, exp.Star))):
        raise refused(f"{aggregate}: expected glucose_mg_dl inside; got {over.sql()!r}", window)
    partition = window.args.get("partition_by") or []
    order = window.args["order"].expressions if window.args.get("order") else []
    by_patient = len(partition) == 1 and _is_column(partition[0], "patient")
    by_time = len(order) == 1 and _is_column(order[0].this, "ts") and not order[0].args.get("desc")
    if not (by_patient and by_time):
        raise refused(f"expected {_WINDOW}", window)
    return Feature(aggregate, _range_us(window))


def _range_us(window: exp.Window) -> int:
    spec = window.args.get("spec")
    if spec is None or spec.args.get("kind") != "RANGE":
        raise refused(f"expected {_WINDOW}", window)
    start, end = spec.args.get("start"), spec.args.get("end")
    trailing = spec.args.get("start_side") == "PRECEDING" and end == "CURRENT ROW" and isinstance(start, exp.Interval)
    unit = _UNITS.get(str(start.args.get("unit")).upper()) if trailing else None
    if unit is None or not re.fullmatch(r"[1-9][0-9]{0,4}", start.name):
        raise refused(f"expected {_WINDOW}", window)
    return int(start.name) * unit


def _is_column(node: exp.Expression | None, name: str) -> bool:
    return isinstance(node, exp.Column) and node.name == name


def _silence_us(predicate: exp.Expression) -> int:
    limit = predicate.expression if isinstance(predicate, exp.GTE) else None
    if limit is None or not _is_column(predicate.this, "minutes_since") or not limit.is_int or int(limit.name) < 1:
        raise refused("from last_readings only WHERE minutes_since >= n, n a whole number above 0", predicate)
    return int(limit.name) * MINUTE_US
