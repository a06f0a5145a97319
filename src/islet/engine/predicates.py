"""Predicates of rules as a short program of integer arithmetic: the same answer on every machine, for every row.

A feature is int64 in tenths of mg/dL; an average stays a sum over a count. So every scalar is a fraction
`tenths / count`, and a comparison multiplies crosswise instead of dividing: nothing is ever rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from islet.engine.sql import Feature, refused

ADD: Final = 0
MULTIPLY: Final = 1
GREATER: Final = 2
AT_LEAST: Final = 3
EQUAL: Final = 4
AND: Final = 5
OR: Final = 6

_COMPARISONS: Final[dict[type[exp.Expression], tuple[int, bool]]] = {
    exp.GT: (GREATER, False),
    exp.GTE: (AT_LEAST, False),
    exp.LT: (GREATER, True),
    exp.LTE: (AT_LEAST, True),
    exp.EQ: (EQUAL, False),
}
"""The instruction, and whether its sides change places."""
_ALLOWED: Final = (
    "allowed are columns, numbers with at most one decimal, + - and whole multiples, =, <>, <, <=, >, >=, BETWEEN, "
    "AND, OR, NOT"
)


class Code:
    """A program while it is written: each instruction gives a new register, the same one never stands twice.

    Registers hold int64; the first ones are the features, true is 1 and false is 0.
    """

    def __init__(self, features: int) -> None:
        self.registers = features
        self._constants: dict[int, int] = {}
        self._results: dict[tuple[int, int, int], int] = {}

    def constant(self, value: int) -> int:
        """The register that always holds `value`."""
        if value not in self._constants:
            self._constants[value] = self._new()
        return self._constants[value]

    def apply(self, instruction: int, left: int, right: int) -> int:
        """The register with the instruction's result for two registers."""
        wanted = (instruction, left, right)
        if wanted not in self._results:
            self._results[wanted] = self._new()
        return self._results[wanted]

    def negated(self, flag: int) -> int:
        """The register that is true where `flag` is false."""
        return self.apply(EQUAL, flag, self.constant(0))

    def instructions(self) -> NDArray[np.int64]:
        """Rows (k, 4) to be done in order: instruction, left, right, result."""
        rows = [(*wanted, result) for wanted, result in self._results.items()]
        return np.array(rows, np.int64).reshape(-1, 4)

    def constants(self) -> NDArray[np.int64]:
        """Rows (k, 2): register, value."""
        return np.array([(at, value) for value, at in self._constants.items()], np.int64).reshape(-1, 2)

    def _new(self) -> int:
        self.registers += 1
        return self.registers - 1


@dataclass(frozen=True, slots=True)
class _Scalar:
    """The registers of a value in tenths and of its positive count (None: over one)."""

    tenths: int
    count: int | None = None


def write_predicate(node: exp.Expression, names: Mapping[str, Feature], rows: Mapping[Feature, int], code: Code) -> int:
    """The register that says whether the predicate holds. Raises RuleRefused for what is outside the subset.

    `rows` says in which register a feature is; an average is made of the registers of its sum and its count.
    """
    return _Writer(names, rows, code).boolean(node)


@dataclass(frozen=True, slots=True)
class _Writer:
    names: Mapping[str, Feature]
    rows: Mapping[Feature, int]
    code: Code

    def boolean(self, node: exp.Expression) -> int:
        if isinstance(node, exp.Paren):
            return self.boolean(node.this)
        if isinstance(node, exp.Not):
            return self.code.negated(self.boolean(node.this))
        if isinstance(node, exp.And | exp.Or):
            both = AND if isinstance(node, exp.And) else OR
            return self.code.apply(both, self.boolean(node.this), self.boolean(node.expression))
        if isinstance(node, exp.Between):
            value = self._scalar(node.this)
            above = self._compared(value, self._scalar(node.args["low"]), AT_LEAST)
            below = self._compared(self._scalar(node.args["high"]), value, AT_LEAST)
            return self.code.apply(AND, above, below)
        if isinstance(node, exp.NEQ):
            return self.code.negated(self._comparison(node, EQUAL, False))
        found = _COMPARISONS.get(type(node))
        if found is None:
            raise refused(f"{node.sql()!r} is not a condition of the subset; {_ALLOWED}", node)
        return self._comparison(node, *found)

    def _comparison(self, node: exp.Expression, instruction: int, swapped: bool) -> int:
        if not list(node.find_all(exp.Column)):
            raise refused(f"{node.sql()!r} looks at no reading; compare a column", node)
        left, right = self._scalar(node.this), self._scalar(node.expression)
        return self._compared(right, left, instruction) if swapped else self._compared(left, right, instruction)

    def _scalar(self, node: exp.Expression) -> _Scalar:
        if isinstance(node, exp.Paren):
            return self._scalar(node.this)
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Literal):
            return _Scalar(self.code.constant(_literal_tenths(node)))
        if isinstance(node, exp.Neg):
            return self._times(self._scalar(node.this), -1)
        if isinstance(node, exp.Add | exp.Sub):
            left, right = self._scalar(node.this), self._scalar(node.expression)
            return self._sum(left, right if isinstance(node, exp.Add) else self._times(right, -1))
        if isinstance(node, exp.Mul):
            for factor, value in ((node.this, node.expression), (node.expression, node.this)):
                if factor.is_int:
                    return self._times(self._scalar(value), int(factor.sql()))
        raise refused(f"{node.sql()!r} is not arithmetic of the subset; {_ALLOWED}", node)

    def _column(self, node: exp.Column) -> _Scalar:
        feature = self.names.get(node.name)
        if feature is None:
            known = ", ".join(sorted(self.names)) or "none"
            raise refused(f"unknown column {node.name!r}; there are {known}", node)
        if feature.aggregate == "avg":
            total, count = (self.rows[Feature(kind, feature.window_us)] for kind in ("sum", "count"))
            return _Scalar(total, count)
        value = _Scalar(self.rows[feature])
        return self._times(value, 10) if feature.aggregate == "count" else value

    def _compared(self, left: _Scalar, right: _Scalar, instruction: int) -> int:
        a, b = self._product(left.tenths, right.count), self._product(right.tenths, left.count)
        return self.code.apply(instruction, a, b)

    def _sum(self, left: _Scalar, right: _Scalar) -> _Scalar:
        a, b = self._product(left.tenths, right.count), self._product(right.tenths, left.count)
        count = left.count if right.count is None else self._product(right.count, left.count)
        return _Scalar(self.code.apply(ADD, a, b), count)

    def _times(self, value: _Scalar, factor: int) -> _Scalar:
        return _Scalar(self.code.apply(MULTIPLY, value.tenths, self.code.constant(factor)), value.count)

    def _product(self, number: int, factor: int | None) -> int:
        return number if factor is None else self.code.apply(MULTIPLY, number, factor)


def _literal_tenths(node: exp.Literal) -> int:
    if node.is_string:
        raise refused(f"{node.sql()} is a text; expected a number in mg/dL", node)
    tenths = Decimal(node.name) * 10
    if tenths != tenths.to_integral_value() or abs(tenths) > 1_000_000:
        raise refused(f"{node.name}: readings are exact to a tenth of mg/dL; write at most one decimal", node)
    return int(tenths)
