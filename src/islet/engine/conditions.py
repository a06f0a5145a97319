"""Conditions on the values of a window: CASE WHEN glucose_mg_dl > 180 … inside an aggregate, as a set of values.

A condition compares one column of the table with numbers, or with a patient's own and arithmetic around it; AND, OR and NOT
join such. Rows in which the column is NULL fulfil none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Final

from sqlglot import exp

from islet.engine import intervals
from islet.engine.advice import OF_CLOCK, OF_PROFILE
from islet.engine.code import Bound, Code, Parameter, TooLarge
from islet.engine.interpret import ADD_NUMBER, TIMES_NUMBER
from islet.engine.intervals import Set, TooMany
from islet.engine.program import CONTEXT_SCALE
from islet.engine.scalars import Scalar
from islet.engine.sql import Defined, Scope, defined, refused
from islet.engine.tables import Column, Context, Named, Quantity

_ALLOWED: Final = (
    "a condition inside an aggregate compares one column of the table with a number or a column of patients, such as "
    "glucose_mg_dl > high_mg_dl, by <, <=, >, >=, =, <>, BETWEEN or IN; AND, OR, NOT join such"
)
_APART: Final = "each row of this table is about one thing; expected conditions on one column"
_LARGEST: Final = 2**62
_MIRRORED: Final[dict[type[exp.Expression], type[exp.Expression]]] = {
    exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.EQ: exp.EQ, exp.NEQ: exp.NEQ
}  # fmt: skip

ScalarOf = Callable[[exp.Expression, Scope], Scalar]
Measured = Quantity | Context
"""A column whose values an aggregate is made of."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Reads conditions; `scalar_of` gives what a column is compared with."""

    code: Code
    scalar_of: ScalarOf

    def where(self, node: exp.Expression, scope: Scope, about: list[Measured]) -> Set:
        """The values that fulfil a condition; `about` gets the column that it looks at. Raises RuleRefused, TooLarge."""
        try:
            return self._where(node, scope, about)
        except TooMany:
            raise refused(f"{node.sql()!r}: too many alternatives; expected fewer", node) from None

    def _where(self, node: exp.Expression, scope: Scope, about: list[Measured]) -> Set:
        node, scope = defined(node, scope)
        if isinstance(node, exp.And | exp.Or):
            join = intervals.both if isinstance(node, exp.And) else intervals.either
            return join(self._where(node.this, scope, about), self._where(node.expression, scope, about))
        if isinstance(node, exp.Not):
            return self._not(node, scope, about)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null) and not scope.table.sparse:
            self._measured(node, node.this, scope, about)
            return intervals.NONE
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            low, high = node.args["low"], node.args["high"]
            at_least, at_most = (self._compared(node, kind, node.this, limit, scope, about) for kind, limit in ((exp.GTE, low), (exp.LTE, high)))  # fmt: skip
            return intervals.both(at_least, at_most)
        if isinstance(node, exp.In) and not node.args.get("query") and not node.args.get("unnest") and node.expressions:
            each = [self._compared(node, exp.EQ, node.this, one, scope, about) for one in node.expressions]
            return reduce(intervals.either, each)
        if type(node) not in _MIRRORED:
            raise refused(f"{node.sql()!r}: {_ALLOWED}", node)
        return self._compared(node, type(node), node.this, node.expression, scope, about)

    def _not(self, node: exp.Not, scope: Scope, about: list[Measured]) -> Set:
        inner, within = defined(node.this, scope)
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            self._measured(node, inner.this, within, about)
            return intervals.ALL
        if scope.table.sparse and inner.find(exp.Is):
            raise refused(f"{node.sql()!r}: expected NOT without IS NULL in it", node)
        return intervals.all_but(self._where(inner, within, about))

    def _compared(
        self,
        node: exp.Expression,
        kind: type[exp.Expression],
        left: exp.Expression,
        right: exp.Expression,
        scope: Scope,
        about: list[Measured],
    ) -> Set:
        if not isinstance(_column(left, scope), Measured):
            kind, left, right = _MIRRORED[kind], right, left
        column = self._measured(node, left, scope, about)
        if isinstance(right, exp.Literal) and right.is_string:
            least, above = _word(node, kind, column, right)
        else:
            limit = self._limit(node, right, scope, column)
            least, above = limit.bound(above=False), limit.bound(above=True)
        found: dict[type[exp.Expression], Set] = {
            exp.GT: intervals.from_to(above, None),
            exp.GTE: intervals.from_to(least, None),
            exp.LT: intervals.from_to(None, least),
            exp.LTE: intervals.from_to(None, above),
            exp.EQ: intervals.from_to(least, above),
        }
        return intervals.all_but(found[exp.EQ]) if kind is exp.NEQ else found[kind]

    def _measured(
        self, condition: exp.Expression, node: exp.Expression, scope: Scope, about: list[Measured]
    ) -> Measured:
        column = _column(node, scope)
        if not isinstance(column, Measured):
            named = {_column(one, scope) for one in condition.find_all(exp.Column)}
            hint = OF_CLOCK if Named("local_ts") in named else OF_PROFILE if Named("profile") in named else ""
            raise refused(f"{condition.sql()!r}: {hint}{'; ' if hint else ''}{_ALLOWED}", condition)
        if about and about[0] != column:
            raise refused(f"{condition.sql()!r}: {_APART}", condition)
        about[:] = [column]
        return column

    def _limit(self, condition: exp.Expression, node: exp.Expression, scope: Scope, column: Measured) -> "_Limit":
        if any(isinstance(_column(one, scope), Measured) for one in node.find_all(exp.Column)):
            raise refused(f"{condition.sql()!r}: {_ALLOWED}", condition)
        value = self.scalar_of(node, scope)
        line = None if value.over is not None or value.missing is not None else _line(self.code, value.number)
        words = isinstance(column, Quantity) and column.stream.words
        if words or line is None:
            raise refused(f"{condition.sql()!r}: {_ALLOWED}", condition)
        name, times, plus = line
        most = max(map(abs, self.code.bounds[value.number])) + abs(plus)
        if most * scale_of(column) + value.per > _LARGEST:
            raise TooLarge
        return _Limit(name, times * scale_of(column), plus * scale_of(column), value.per)


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a column is compared with, in its integers: (parameter * times + plus) / per."""

    name: str
    times: int
    plus: int
    per: int

    def bound(self, *, above: bool) -> Bound:
        """The least integer that is the limit or more; `above`: that is more than it."""
        plus = self.plus + (self.per if above else self.per - 1)
        return Bound(self.name, self.times, plus, self.per) if self.name else Bound(plus=plus // self.per)


def scale_of(column: Measured) -> int:
    """How many of the column's integers are its unit."""
    return CONTEXT_SCALE[column.place] if isinstance(column, Context) else column.stream.scale


def _column(node: exp.Expression, scope: Scope) -> Column | None:
    node, scope = defined(node, scope)
    found = scope.find(node) if isinstance(node, exp.Column) else None
    return None if isinstance(found, Defined) else found


def _word(node: exp.Expression, kind: type[exp.Expression], column: Measured, word: exp.Literal) -> tuple[Bound, Bound]:
    words = column.stream.words if isinstance(column, Quantity) else ()
    if word.name not in words or kind not in (exp.EQ, exp.NEQ):
        raise refused(f"{node.sql()!r}: there are {', '.join(words) or 'numbers only'}", node)
    place = words.index(word.name)
    return Bound(plus=place), Bound(plus=place + 1)


def _line(code: Code, value: int) -> tuple[str, int, int] | None:
    """A value as parameter * times + plus; without a name it is `plus` alone."""
    if (number := code.number(value)) is not None:
        return "", 0, number
    made = code.made[value]
    if made is None:
        source = code.source(value)
        return (source.name, 1, 0) if isinstance(source, Parameter) else None
    kind, left, number = made
    inner = _line(code, left) if kind in (ADD_NUMBER, TIMES_NUMBER) else None
    if inner is None:
        return None
    name, times, plus = inner
    return (name, times, plus + number) if kind == ADD_NUMBER else (name, times * number, plus * number)
