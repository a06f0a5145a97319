"""The portable subset of SQL that a rule is written in: from text to a checked description.

    SELECT … FROM table [JOIN patients USING (patient)] WHERE predicate
    SELECT … FROM (SELECT …, aggregate OVER (window) AS name FROM table) AS alias [JOIN patients …] WHERE predicate
    SELECT … FROM last_readings WHERE minutes_since >= n

where the window is PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW and
the tables are those of `islet.engine.tables`. The same text runs unchanged on DuckDB and Spark. Anything else is
refused with its line and what is allowed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from islet.engine.tables import PATIENTS, STREAMS, TABLES, Column, Context, Named, Quantity, Table
from islet.errors import RuleRefused
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

Aggregate = Literal["sum", "avg", "min", "max", "count", "stddev_samp", "var_samp", "first", "last", "slope", "lag"]

_AGGREGATES: Final[dict[type[exp.Expression], Aggregate]] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.Count: "count",
    exp.StddevSamp: "stddev_samp",
    exp.Variance: "var_samp",
    exp.FirstValue: "first",
    exp.LastValue: "last",
    exp.RegrSlope: "slope",
    exp.Lag: "lag",
}
_IN_ORDER: Final = ("first", "last", "lag")
_OF_EVENTS: Final = ("sum", "avg", "min", "max", "count")
_UNITS: Final = {"SECOND": SECOND_US, "MINUTE": MINUTE_US, "HOUR": HOUR_US}
_LONGEST_US: Final = DAY_US
_LONGEST_SILENCE_US: Final = 31 * DAY_US
_DEEPEST: Final = 60
"""Levels of a statement: one further AND is one, and each costs some frames of Python's thousand."""
_TOO_DEEP: Final = f"nested too deep; expected at most {_DEEPEST} levels of brackets and of AND, OR in a row"
_FORMS: Final = (
    "SELECT columns FROM a table (or a subquery with windows over it), JOIN patients USING (patient) where it is "
    "needed, WHERE predicate"
)
_WINDOW: Final = (
    "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)"
    " with n a whole number of SECOND, MINUTE or HOUR, at most 24 hours"
)
_LAG: Final = "LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts)"


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression can use: columns of a table, or expressions in the scope of a subquery. `sources`:
    what may stand before a name, with a point between."""

    table: Table
    names: "Mapping[str, Column | Defined]"
    sources: frozenset[str] = frozenset()

    def find(self, node: exp.Column) -> "Column | Defined":
        """What a column's name stands for. Raises RuleRefused."""
        if node.this.args.get("quoted"):
            raise refused(f"{node.sql()}: a quoted name is a text on some engines; write it without quotes", node)
        if node.table and node.table.lower() not in self.sources:
            known = ", ".join(sorted(self.sources)) or "none"
            raise refused(f"{node.sql()}: unknown table {node.table!r}; there are {known}", node)
        found = self.names.get(node.name.lower())
        if found is None:
            raise refused(f"unknown column {node.name!r}; there are {', '.join(sorted(self.names))}", node)
        return found


@dataclass(frozen=True, slots=True)
class Defined:
    """An expression that a subquery has given a name."""

    node: exp.Expression
    scope: Scope


@dataclass(frozen=True, slots=True)
class Window:
    """An aggregate of a column over the trailing window [t - window_us, t]; `over` None: of the rows."""

    aggregate: Aggregate
    over: Column | None
    window_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a rule's SELECT says: a predicate on one stream, or a silence of `silence_us` (then no predicate)."""

    scope: Scope
    stream: str
    predicate: exp.Expression | None = None
    silence_us: int = 0


def read_query(text: str, patients: Mapping[str, Column]) -> Query:
    """The query in a rule's file (comments are skipped); `patients`: columns that rules add to that table.

    Raises RuleRefused.
    """
    select = _parsed(text)
    _only(select, {"expressions", "from_", "joins", "where"})
    where = select.args.get("where")
    if where is None:
        raise refused("a rule needs a WHERE: the condition of the alarm", select)
    scope = _scope(select, {**PATIENTS, **patients})
    for output in select.expressions:
        if not isinstance(output, exp.Column):
            raise refused(f"{output.sql()!r} cannot be selected; there are {', '.join(sorted(scope.names))}", output)
        scope.find(output)
    if scope.table is TABLES["last_readings"]:
        return Query(scope=scope, stream="glucose_mg_dl", silence_us=_silence_us(where.this))
    return Query(scope=scope, stream=stream_of(where.this, scope), predicate=where.this)


def read_predicate(text: str, *, line: int) -> exp.Expression:
    """A predicate that stands alone (the clearing condition in the front matter, at that line)."""
    try:
        select = _parsed(f"SELECT 1 WHERE {text}")
        _only(select, {"expressions", "where"})
    except RuleRefused:
        raise RuleRefused(
            f"clear: expected a predicate such as 'glucose_mg_dl >= 75'; got {text[:200]!r}", line=line
        ) from None
    predicate: exp.Expression = select.args["where"].this.copy()  # its lines become the file's
    for node in predicate.walk():
        node.meta["line"] = line
    return predicate


def stream_of(node: exp.Expression, scope: Scope) -> str:
    """The one quantity that a predicate looks at. Raises RuleRefused where there is none, or more than one."""
    if window := node.find(exp.Window):
        raise refused(f"a window cannot stand in a condition; give it a name in a subquery: {_FORMS}", window)
    quantities = {column.stream.name for column in _columns(node, scope) if isinstance(column, Quantity)}
    if len(quantities) == 1:
        return quantities.pop()
    if quantities:
        raise refused(f"{' and '.join(sorted(quantities))} are measured apart; write a rule for each", node)
    there = [name for name, column in scope.table.columns.items() if isinstance(column, Quantity)]
    if len(there) == 1:
        return there[0]
    raise refused(f"the condition looks at none of {', '.join(s.name for s in STREAMS)}; it has to look at one", node)


def read_window(node: exp.Window, scope: Scope) -> Window:
    """The aggregate and the window that a window expression stands for. Raises RuleRefused."""
    aggregate = _AGGREGATES.get(type(node.this))
    if aggregate is None:
        raise refused(f"expected one of {', '.join(_AGGREGATE_NAMES)} {_WINDOW}", node)
    over = _over(aggregate, node.this, scope)
    partition = node.args.get("partition_by") or []
    order = node.args["order"].expressions if node.args.get("order") else []
    by_patient = len(partition) == 1 and _names(partition[0], "patient", scope)
    by_time = len(order) == 1 and _names(order[0].this, "ts", scope) and not order[0].args.get("desc")
    if not (by_patient and by_time) or (aggregate == "lag") != (node.args.get("spec") is None):
        raise refused(f"expected {_LAG if aggregate == 'lag' else _WINDOW}", node)
    return Window(aggregate, over, 0 if aggregate == "lag" else _range_us(node))


_AGGREGATE_NAMES: Final = (
    "SUM", "AVG", "MIN", "MAX", "COUNT", "STDDEV_SAMP", "VAR_SAMP", "FIRST_VALUE", "LAST_VALUE", "REGR_SLOPE", "LAG"
)  # fmt: skip


def named(node: exp.Expression, name: str, scope: Scope) -> bool:
    """Whether the expression is that column, be it through subqueries."""
    return _names(node, name, scope)


def defined(node: exp.Expression, scope: Scope) -> tuple[exp.Expression, Scope]:
    """The expression behind a name that a subquery gave, with its own scope; the expression itself otherwise."""
    while isinstance(node, exp.Column | exp.Paren):
        if isinstance(node, exp.Paren):
            node = node.this
            continue
        found = scope.find(node)
        if not isinstance(found, Defined):
            break
        node, scope = found.node, found.scope
    return node, scope


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
    statement = parse(text)
    if not isinstance(statement, exp.Select):
        raise RuleRefused(f"expected one {_FORMS}", line=1)
    return statement


@lru_cache(maxsize=512)  # a rule is read when it is checked, when it is planned, and each time another is added
def parse(text: str) -> exp.Expr:
    """The one statement in a text, which is shared: nobody changes it. Raises RuleRefused."""
    try:
        statements = [s for s in sqlglot.parse(text, dialect="duckdb") if s is not None]
    except ParseError as error:
        first = error.errors[0]
        raise RuleRefused(f"not SQL near {first['highlight']!r}: {first['description']}", line=first["line"]) from None
    except TokenError:
        raise RuleRefused("not SQL: a quote or a comment is not closed", line=text.count("\n") + 1) from None
    except RecursionError:
        raise RuleRefused(_TOO_DEEP, line=1) from None
    if len(statements) != 1:
        raise RuleRefused(f"expected one {_FORMS}", line=1)
    if any(_depth(node) > _DEEPEST for node in statements[0].walk()):
        raise RuleRefused(_TOO_DEEP, line=1)
    return statements[0]


def _depth(node: exp.Expr) -> int:
    depth, above = 0, node.parent
    while above is not None and depth <= _DEEPEST:
        depth, above = depth + 1, above.parent
    return depth


def _only(select: exp.Select, allowed: set[str]) -> None:
    for name, value in select.args.items():
        if value and name not in allowed:
            node = value[0] if isinstance(value, list) else value
            word = name.rstrip("s_").upper()
            where = node if isinstance(node, exp.Expression) else select
            raise refused(f"{word} is not in the subset; expected {_FORMS}", where)


def _scope(select: exp.Select, patients: Mapping[str, Column]) -> Scope:
    """The names behind a SELECT's FROM and JOIN."""
    source = select.args["from_"].this if select.args.get("from_") else None
    if isinstance(source, exp.Table):
        table = TABLES.get(source.name.lower())
        if table is None or source.db or any(v for k, v in source.args.items() if k not in ("this", "alias")):
            raise refused(f"unknown table {source.sql()!r}; the tables are {', '.join(TABLES)}, and patients to join", source)  # fmt: skip
        scope = Scope(table, table.columns)
    elif isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select):
        scope = _outputs(source.this, patients)
    else:
        raise refused(f"expected {_FORMS}", select)
    joins = select.args.get("joins") or []
    for join in joins:
        _check_join(join)
    sources = frozenset(one.alias_or_name.lower() for one in (source, *(join.this for join in joins)))
    return Scope(scope.table, {**scope.names, **patients} if joins else scope.names, sources)


def _check_join(join: exp.Join) -> None:
    table, using = join.this, join.args.get("using") or []
    plain = not any(join.args.get(word) for word in ("side", "method", "on")) and join.args.get("kind") in (None, "", "INNER")  # fmt: skip
    if not (isinstance(table, exp.Table) and table.name.lower() == "patients" and not table.db and plain):
        raise refused("expected JOIN patients USING (patient), and no other join", join)
    if [column.name.lower() for column in using] != ["patient"]:
        raise refused("expected JOIN patients USING (patient), and no other join", join)


def _outputs(select: exp.Select, patients: Mapping[str, Column]) -> Scope:
    """The names that a subquery gives."""
    _only(select, {"expressions", "from_", "joins"})
    inner = _scope(select, patients)
    names: dict[str, Column | Defined] = {}
    for output in select.expressions:
        if isinstance(output, exp.Alias):
            names[output.alias.lower()] = Defined(output.this, inner)
        elif isinstance(output, exp.Column):
            names[output.name.lower()] = inner.find(output)
        else:
            raise refused(f"{output.sql()!r}: expected a column, or an expression AS name", output)
    return Scope(inner.table, names)


def _columns(node: exp.Expression, scope: Scope) -> Iterator[Column]:
    """All columns of tables that an expression is made of."""
    for column in node.find_all(exp.Column):
        found = scope.find(column)
        if isinstance(found, Defined):
            yield from _columns(found.node, found.scope)
        else:
            yield found


def _over(aggregate: Aggregate, call: exp.Expression, scope: Scope) -> Column | None:
    """The column inside an aggregate, None for COUNT(*)."""
    if isinstance(call.this, exp.Star):
        if aggregate == "count" and not scope.table.sparse:
            return None
        raise refused(f"{call.sql()}: rows of this table may be about something else; count a column", call)
    node, inner = defined(call.this, scope)
    over = inner.find(node) if isinstance(node, exp.Column) else None
    if call.args.get("offset") or call.args.get("default"):
        raise refused(f"expected {_LAG}", call)
    if isinstance(over, Context) and aggregate in _OF_EVENTS:
        return over
    if isinstance(over, Quantity) and not over.stream.words:
        if aggregate in _IN_ORDER and scope.table.sparse:
            raise refused(f"{call.sql()}: rows without a value are in order too; read FROM readings for it", call)
        if aggregate != "slope" or _names(call.expression, "time_min", scope):
            return over
        raise refused(f"expected REGR_SLOPE({node.sql()}, time_min)", call)
    if over == Named("time_min") and not scope.table.sparse and aggregate in ("min", "lag"):
        return over
    raise refused(f"{call.sql()}: expected glucose_mg_dl, or another number of the table, inside; got {call.this.sql()!r}", call)  # fmt: skip


def _names(node: exp.Expression | None, name: str, scope: Scope) -> bool:
    if node is None:
        return False
    node, scope = defined(node, scope)
    return isinstance(node, exp.Column) and scope.find(node) == Named(name)


def _range_us(window: exp.Window) -> int:
    spec = window.args["spec"]
    start, end = spec.args.get("start"), spec.args.get("end")
    trailing = spec.args.get("start_side") == "PRECEDING" and end == "CURRENT ROW" and isinstance(start, exp.Interval)
    unit = _UNITS.get(str(start.args.get("unit")).upper()) if trailing and spec.args.get("kind") == "RANGE" else None
    if unit is None or not re.fullmatch(r"[1-9][0-9]{0,4}", start.name) or int(start.name) * unit > _LONGEST_US:
        raise refused(f"expected {_WINDOW}", window)
    return int(start.name) * unit


def _silence_us(predicate: exp.Expression) -> int:
    limit = predicate.expression if isinstance(predicate, exp.GTE) else None
    most = _LONGEST_SILENCE_US // MINUTE_US
    whole = limit is not None and limit.is_int and predicate.this.name.lower() == "minutes_since"
    if limit is None or not whole or not 1 <= int(limit.name) <= most:
        raise refused(f"from last_readings only WHERE minutes_since >= n, n a whole number from 1 to {most}", predicate)
    return int(limit.name) * MINUTE_US
