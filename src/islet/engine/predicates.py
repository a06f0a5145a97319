"""Predicates of rules as vectorised integer arithmetic: the same answer on every machine, for every row.

A column of features is int64 in tenths of mg/dL; an average stays a sum over a count. So every scalar is a fraction
`tenths / count`, and a comparison multiplies crosswise instead of dividing: nothing is ever rounded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from islet.engine.sql import Feature, refused

Columns = NDArray[np.int64]
"""Features (c, n) of n evaluations; which row holds which feature is the plan's."""

Flags = NDArray[np.bool_]
Predicate = Callable[[Columns], Flags]
_Number = Callable[[Columns], Any]  # int64 (n,) or a plain int

_COMPARISONS: Final[dict[type[exp.Expression], Callable[[Any, Any], Any]]] = {
    exp.GT: np.greater,
    exp.GTE: np.greater_equal,
    exp.LT: np.less,
    exp.LTE: np.less_equal,
    exp.EQ: np.equal,
    exp.NEQ: np.not_equal,
}
_ALLOWED: Final = (
    "allowed are columns, numbers with at most one decimal, + - and whole multiples, =, <>, <, <=, >, >=, BETWEEN, "
    "AND, OR, NOT"
)


@dataclass(frozen=True, slots=True)
class _Scalar:
    """A value in tenths over a positive count (None: over one)."""

    tenths: _Number
    count: _Number | None = None


def compile_predicate(node: exp.Expression, names: Mapping[str, Feature], rows: Mapping[Feature, int]) -> Predicate:
    """The predicate as a function of the feature columns. Raises RuleRefused for what is outside the subset.

    `rows` says in which row of the columns a feature is; an average is made of the rows of its sum and its count.
    """
    return _Compiler(names, rows).boolean(node)


@dataclass(frozen=True, slots=True)
class _Compiler:
    names: Mapping[str, Feature]
    rows: Mapping[Feature, int]

    def boolean(self, node: exp.Expression) -> Predicate:
        if isinstance(node, exp.Paren):
            return self.boolean(node.this)
        if isinstance(node, exp.Not):
            inner = self.boolean(node.this)
            return lambda columns: ~inner(columns)
        if isinstance(node, exp.And | exp.Or):
            return _joined(self.boolean(node.this), self.boolean(node.expression), isinstance(node, exp.And))
        if isinstance(node, exp.Between):
            value = self.scalar(node.this)
            above = _compared(value, self.scalar(node.args["low"]), np.greater_equal)
            below = _compared(value, self.scalar(node.args["high"]), np.less_equal)
            return _joined(above, below, True)
        compare = _COMPARISONS.get(type(node))
        if compare is None:
            raise refused(f"{node.sql()!r} is not a condition of the subset; {_ALLOWED}", node)
        if not list(node.find_all(exp.Column)):
            raise refused(f"{node.sql()!r} looks at no reading; compare a column", node)
        return _compared(self.scalar(node.this), self.scalar(node.expression), compare)

    def scalar(self, node: exp.Expression) -> _Scalar:
        if isinstance(node, exp.Paren):
            return self.scalar(node.this)
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Literal):
            return _constant(_literal_tenths(node))
        if isinstance(node, exp.Neg):
            return _times(self.scalar(node.this), -1)
        if isinstance(node, exp.Add | exp.Sub):
            return _sum(self.scalar(node.this), self.scalar(node.expression), 1 if isinstance(node, exp.Add) else -1)
        if isinstance(node, exp.Mul):
            for factor, value in ((node.this, node.expression), (node.expression, node.this)):
                if factor.is_int:
                    return _times(self.scalar(value), int(factor.sql()))
        raise refused(f"{node.sql()!r} is not arithmetic of the subset; {_ALLOWED}", node)

    def _column(self, node: exp.Column) -> _Scalar:
        feature = self.names.get(node.name)
        if feature is None:
            known = ", ".join(sorted(self.names)) or "none"
            raise refused(f"unknown column {node.name!r}; there are {known}", node)
        if feature.aggregate == "avg":
            total, count = (self.rows[Feature(kind, feature.window_us)] for kind in ("sum", "count"))
            return _Scalar(lambda columns: columns[total], lambda columns: columns[count])
        row = self.rows[feature]
        if feature.aggregate == "count":
            return _Scalar(lambda columns: columns[row] * 10)
        return _Scalar(lambda columns: columns[row])


def _joined(left: Predicate, right: Predicate, both: bool) -> Predicate:
    if both:
        return lambda columns: left(columns) & right(columns)
    return lambda columns: left(columns) | right(columns)


def _compared(left: _Scalar, right: _Scalar, compare: Callable[[Any, Any], Any]) -> Predicate:
    a, b = _product(left.tenths, right.count), _product(right.tenths, left.count)
    return lambda columns: np.asarray(compare(a(columns), b(columns)))


def _product(number: _Number, factor: _Number | None) -> _Number:
    if factor is None:
        return number
    return lambda columns: number(columns) * factor(columns)


def _sum(left: _Scalar, right: _Scalar, sign: int) -> _Scalar:
    a, b = _product(left.tenths, right.count), _product(right.tenths, left.count)
    count = left.count if right.count is None else _product(right.count, left.count)
    return _Scalar(lambda columns: a(columns) + sign * b(columns), count)


def _times(value: _Scalar, factor: int) -> _Scalar:
    return _Scalar(lambda columns: value.tenths(columns) * factor, value.count)


def _constant(tenths: int) -> _Scalar:
    return _Scalar(lambda columns: tenths)


def _literal_tenths(node: exp.Literal) -> int:
    if node.is_string:
        raise refused(f"{node.sql()} is a text; expected a number in mg/dL", node)
    tenths = Decimal(node.name) * 10
    if tenths != tenths.to_integral_value() or abs(tenths) > 1_000_000:
        raise refused(f"{node.name}: readings are exact to a tenth of mg/dL; write at most one decimal", node)
    return int(tenths)
