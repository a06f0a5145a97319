"""Windows of a rule's SQL: which aggregate, of what, over how long.

    SUM(column) OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)

A window may end before now, too (AND INTERVAL 'm' MINUTE PRECEDING). Anything else is refused with its line and what is allowed.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from sqlglot import exp

from islet.engine.advice import EARLIER, LAG, LONGER, ROWS, instead
from islet.engine.sql import Scope, defined, named, refused
from islet.engine.tables import Column, Context, Named, Quantity
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

Aggregate = Literal[
    "sum", "avg", "min", "max", "count", "any", "all", "stddev_samp", "var_samp", "first", "last", "slope", "lag"
]

_AGGREGATES: Final[dict[type[exp.Expression], Aggregate]] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.Count: "count",
    exp.CountIf: "count",
    exp.LogicalOr: "any",
    exp.LogicalAnd: "all",
    exp.StddevSamp: "stddev_samp",
    exp.Stddev: "stddev_samp",
    exp.Variance: "var_samp",
    exp.FirstValue: "first",
    exp.LastValue: "last",
    exp.RegrSlope: "slope",
    exp.Lag: "lag",
}
_IN_ORDER: Final = ("first", "last", "lag")
_CONDITIONS: Final = (exp.CountIf, exp.LogicalOr, exp.LogicalAnd)
_OF_EVENTS: Final = ("sum", "avg", "min", "max", "count")
_UNITS: Final = {"SECOND": SECOND_US, "MINUTE": MINUTE_US, "HOUR": HOUR_US, "DAY": DAY_US}
_LONGEST_US: Final = DAY_US
_WINDOW: Final = (
    "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW)"
    " with n a whole number of SECOND, MINUTE, HOUR or DAY, at most 24 hours"
)
_LAG: Final = "LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts)"


@dataclass(frozen=True, slots=True)
class Window:
    """An aggregate of a column over the trailing window [t - window_us, t], or [t - window_us, t - until_us]; `over` None:
    of the rows. `made`: of what is made of a column."""

    aggregate: Aggregate
    over: Column | None
    window_us: int
    until_us: int = 0
    made: "Made | None" = None


@dataclass(frozen=True, slots=True)
class Made:
    """What stands inside an aggregate `call`: a number made of a column, or a condition on it."""

    node: exp.Expression
    scope: Scope
    call: exp.Expression


def read_window(node: exp.Window, scope: Scope) -> Window:
    """The aggregate and the window that a window expression stands for. Raises RuleRefused."""
    call = node.this
    aggregate = _AGGREGATES.get(type(call))
    if aggregate is None:
        more = "for FILTER say SUM(CASE WHEN … THEN 1 ELSE 0 END)" if isinstance(call, exp.Filter) else instead(call)
        raise refused(f"{f'{more}; ' if more else ''}expected one of {', '.join(_AGGREGATE_NAMES)} {_WINDOW}", node)
    made = _made(call, scope)
    over = None if made else read_column(aggregate, call, scope)
    partition = node.args.get("partition_by") or []
    order = node.args["order"].expressions if node.args.get("order") else []
    by_patient = len(partition) == 1 and named(partition[0], "patient", scope)
    by_time = len(order) == 1 and named(order[0].this, "ts", scope) and not order[0].args.get("desc")
    if not (by_patient and by_time) or (aggregate == "lag") != (node.args.get("spec") is None):
        raise refused(f"expected {_LAG if aggregate == 'lag' else _WINDOW}", node)
    window_us, until_us = (0, 0) if aggregate == "lag" else _range_us(node)
    if until_us and (aggregate in ("min", "max", "last") or over == Named("time_min")):
        raise refused(f"{call.sql()}: {EARLIER}", node)
    return Window(aggregate, over, window_us, until_us, made)


_AGGREGATE_NAMES: Final = (
    "SUM", "AVG", "MIN", "MAX", "COUNT", "STDDEV_SAMP", "VAR_SAMP", "FIRST_VALUE", "LAST_VALUE", "REGR_SLOPE", "LAG",
    "COUNT_IF", "BOOL_OR", "BOOL_AND",
)  # fmt: skip


def _made(call: exp.Expression, scope: Scope) -> Made | None:
    """What stands inside of an aggregate, where it is no column."""
    if isinstance(call, _CONDITIONS):
        return Made(call.this, scope, call)
    node, inner = defined(call.this, scope) if call.this is not None else (call, scope)
    plain = isinstance(node, exp.Column | exp.Star | exp.Literal | exp.Distinct) or node is call
    return None if plain else Made(node, inner, call)


def read_column(
    aggregate: Aggregate, call: exp.Expression, scope: Scope, of: exp.Column | None = None
) -> Column | None:
    """The column inside an aggregate, None for COUNT(*); `of`: what stands inside is made of this one. Raises RuleRefused."""
    if isinstance(call.this, exp.Star) or (aggregate == "count" and isinstance(call.this, exp.Literal)):
        if aggregate == "count" and not scope.table.sparse:
            return None
        raise refused(f"{call.sql()}: rows of this table may be about something else; count a column", call)
    node, inner = defined(call.this if of is None else of, scope)
    over = inner.find(node) if isinstance(node, exp.Column) else None
    offset = call.args.get("offset")
    if (offset is not None and offset.name != "1") or call.args.get("default"):
        raise refused(f"{LAG}; expected {_LAG}", call)
    if isinstance(over, Context) and aggregate in _OF_EVENTS:
        return over
    if isinstance(over, Quantity) and not over.stream.words:
        if aggregate in _IN_ORDER and scope.table.sparse:
            raise refused(
                f"{call.sql()}: rows without a value are in order too; read FROM readings for it, or say MIN, MAX or REGR_SLOPE",
                call,
            )
        if aggregate != "slope" or named(call.expression, "time_min", scope):
            return over
        raise refused(f"expected REGR_SLOPE({node.sql()}, time_min)", call)
    if over == Named("time_min") and not scope.table.sparse and aggregate in ("min", "lag"):
        return over
    raise refused(f"{call.sql()}: expected glucose_mg_dl, or another number of the table, inside; got {call.this.sql()!r}", call)  # fmt: skip


def _range_us(window: exp.Window) -> tuple[int, int]:
    """How long before now the window begins, and ends."""
    spec = window.args["spec"]
    end = spec.args.get("end") or "CURRENT ROW"
    if str(spec.args.get("kind")).upper() == "ROWS":
        raise refused(f"{ROWS}; expected {_WINDOW}", window)
    ranged = str(spec.args.get("kind")).upper() == "RANGE" and str(spec.args.get("start_side")).upper() == "PRECEDING"
    start_us = _length_us(spec.args.get("start"), window) if ranged else None
    now = str(end).upper() == "CURRENT ROW"
    until_us = 0 if now else _length_us(end, window) if str(spec.args.get("end_side")).upper() == "PRECEDING" else None
    if start_us is None or until_us is None or until_us >= start_us:
        raise refused(f"expected {_WINDOW}", window)
    if spec.args.get("exclude"):
        raise refused(f"EXCLUDE {spec.args['exclude']}: a window holds all of its values; expected {_WINDOW}", window)
    return start_us, until_us


def _length_us(interval: object, window: exp.Window) -> int | None:
    if not isinstance(interval, exp.Interval):
        return None
    unit = _UNITS.get(str(interval.args.get("unit")).upper().removesuffix("S"))
    if unit is None or not re.fullmatch(r"[1-9][0-9]{0,4}", interval.name):
        return None
    if int(interval.name) * unit > _LONGEST_US:
        raise refused(f"{LONGER}; expected {_WINDOW}", window)
    return int(interval.name) * unit
