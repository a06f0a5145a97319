"""Windows of a rule's SQL: which aggregate, of what, over how long.

    SUM(column) OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)

Anything else is refused with its line and what is allowed.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard

from sqlglot import exp

from islet.engine.sql import Scope, defined, named, refused
from islet.engine.tables import Column, Context, Named, Quantity
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

Aggregate = Literal["sum", "avg", "min", "max", "count", "stddev_samp", "var_samp", "first", "last", "slope", "lag"]

_AGGREGATES: Final[dict[type[exp.Expression], Aggregate]] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.Count: "count",
    exp.CountIf: "count",
    exp.StddevSamp: "stddev_samp",
    exp.Stddev: "stddev_samp",
    exp.Variance: "var_samp",
    exp.FirstValue: "first",
    exp.LastValue: "last",
    exp.RegrSlope: "slope",
    exp.Lag: "lag",
}
_IN_ORDER: Final = ("first", "last", "lag")
_OF_EVENTS: Final = ("sum", "avg", "min", "max", "count")
_UNITS: Final = {"SECOND": SECOND_US, "MINUTE": MINUTE_US, "HOUR": HOUR_US, "DAY": DAY_US}
_LONGEST_US: Final = DAY_US
_WINDOW: Final = (
    "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)"
    " with n a whole number of SECOND, MINUTE, HOUR or DAY, at most 24 hours"
)
_COUNTING: Final = (
    "inside an aggregate expected CASE WHEN condition THEN number ELSE 0 END for SUM and AVG, with a number above 0, or "
    "CASE WHEN condition THEN 1 END for COUNT"
)
_LAG: Final = "LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts)"


@dataclass(frozen=True, slots=True)
class Window:
    """An aggregate of a column over the trailing window [t - window_us, t]; `over` None: of the rows. `counted`: of a
    number that is one thing where a condition is true, and 0 or NULL elsewhere."""

    aggregate: Aggregate
    over: Column | None
    window_us: int
    counted: "Counted | None" = None


@dataclass(frozen=True, slots=True)
class Counted:
    """CASE WHEN condition THEN `each` (above 0) ELSE 0 END; for COUNT without ELSE, for COUNT_IF the condition alone
    (None)."""

    condition: exp.Expression
    scope: Scope
    each: exp.Expression | None = None


def read_window(node: exp.Window, scope: Scope) -> Window:
    """The aggregate and the window that a window expression stands for. Raises RuleRefused."""
    call = node.this
    aggregate = _AGGREGATES.get(type(call))
    if aggregate is None:
        more = "; for FILTER say SUM(CASE WHEN … THEN 1 ELSE 0 END)" if isinstance(call, exp.Filter) else ""
        raise refused(f"expected one of {', '.join(_AGGREGATE_NAMES)} {_WINDOW}{more}", node)
    counted = _counted(aggregate, call, scope)
    over = None if counted else _over(aggregate, call, scope)
    partition = node.args.get("partition_by") or []
    order = node.args["order"].expressions if node.args.get("order") else []
    by_patient = len(partition) == 1 and named(partition[0], "patient", scope)
    by_time = len(order) == 1 and named(order[0].this, "ts", scope) and not order[0].args.get("desc")
    if not (by_patient and by_time) or (aggregate == "lag") != (node.args.get("spec") is None):
        raise refused(f"expected {_LAG if aggregate == 'lag' else _WINDOW}", node)
    return Window(aggregate, over, 0 if aggregate == "lag" else _range_us(node), counted)


_AGGREGATE_NAMES: Final = (
    "SUM", "AVG", "MIN", "MAX", "COUNT", "STDDEV_SAMP", "VAR_SAMP", "FIRST_VALUE", "LAST_VALUE", "REGR_SLOPE", "LAG", "COUNT_IF"
)  # fmt: skip


def _counted(aggregate: Aggregate, call: exp.Expression, scope: Scope) -> Counted | None:
    """What is counted, where a CASE or an IF stands inside the aggregate."""
    if isinstance(call, exp.CountIf):
        return Counted(call.this, scope)
    node, inner = defined(call.this, scope) if call.this is not None else (call, scope)
    if not isinstance(node, exp.Case | exp.If):
        return None
    branches = node.args["ifs"] if isinstance(node, exp.Case) else [node]
    otherwise = node.args.get("default" if isinstance(node, exp.Case) else "false")
    then, or_null = branches[0].args["true"], otherwise is None or isinstance(otherwise, exp.Null)
    one = len(branches) == 1 and (isinstance(node, exp.If) or node.this is None)
    if not (one and _is_number(then) and float(then.name) > 0 and (or_null or _is_zero(otherwise))):
        raise refused(f"{node.sql()!r}: {_COUNTING}", node)
    if aggregate not in ("sum", "avg", "count") or (aggregate == "count") != or_null:
        raise refused(f"{call.sql()!r}: {_COUNTING}", node)
    if aggregate == "avg" and scope.table.sparse:
        raise refused(f"{call.sql()}: rows of this table may be about something else; use SUM and COUNT", call)
    return Counted(branches[0].this, inner, then)


def _is_number(node: object) -> TypeGuard[exp.Literal]:
    return isinstance(node, exp.Literal) and not node.is_string


def _is_zero(node: object) -> bool:
    return _is_number(node) and float(node.name) == 0


def _over(aggregate: Aggregate, call: exp.Expression, scope: Scope) -> Column | None:
    """The column inside an aggregate, None for COUNT(*)."""
    if isinstance(call.this, exp.Star) or (aggregate == "count" and isinstance(call.this, exp.Literal)):
        if aggregate == "count" and not scope.table.sparse:
            return None
        raise refused(f"{call.sql()}: rows of this table may be about something else; count a column", call)
    node, inner = defined(call.this, scope)
    over = inner.find(node) if isinstance(node, exp.Column) else None
    offset = call.args.get("offset")
    if (offset is not None and offset.name != "1") or call.args.get("default"):
        raise refused(f"expected {_LAG}", call)
    if isinstance(over, Context) and aggregate in _OF_EVENTS:
        return over
    if isinstance(over, Quantity) and not over.stream.words:
        if aggregate in _IN_ORDER and scope.table.sparse:
            raise refused(f"{call.sql()}: rows without a value are in order too; read FROM readings for it", call)
        if aggregate != "slope" or named(call.expression, "time_min", scope):
            return over
        raise refused(f"expected REGR_SLOPE({node.sql()}, time_min)", call)
    if over == Named("time_min") and not scope.table.sparse and aggregate in ("min", "lag"):
        return over
    raise refused(f"{call.sql()}: expected glucose_mg_dl, or another number of the table, inside; got {call.this.sql()!r}", call)  # fmt: skip


def _range_us(window: exp.Window) -> int:
    spec = window.args["spec"]
    start, end = spec.args.get("start"), spec.args.get("end") or "CURRENT ROW"
    words = [str(word).upper() for word in (spec.args.get("kind"), spec.args.get("start_side"), end)]
    trailing = words == ["RANGE", "PRECEDING", "CURRENT ROW"] and isinstance(start, exp.Interval)
    unit = _UNITS.get(str(start.args.get("unit")).upper().removesuffix("S")) if trailing else None
    if unit is None or not re.fullmatch(r"[1-9][0-9]{0,4}", start.name) or int(start.name) * unit > _LONGEST_US:
        raise refused(f"expected {_WINDOW}", window)
    if spec.args.get("exclude"):
        raise refused(f"EXCLUDE {spec.args['exclude']}: a window holds all of its values; expected {_WINDOW}", window)
    return int(start.name) * unit
