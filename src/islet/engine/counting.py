"""How many values of a window fulfil a condition: SUM(CASE WHEN glucose_mg_dl > 180 THEN 1 ELSE 0 END) OVER (…).

A condition is a part of the range: what is at least one bound and not at least another. The kernel counts from a bound
upwards, so a part is a difference of two counts. A bound is a number, or a patient's own with arithmetic around it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from islet.engine import scalars
from islet.engine.code import Bound, Code, Gathered, Parameter, TooLarge
from islet.engine.interpret import ADD_NUMBER, TIMES_NUMBER
from islet.engine.program import COUNT, COUNT_FROM, VALUE
from islet.engine.scalars import Scalar
from islet.engine.sql import Scope, defined, refused
from islet.engine.sql_windows import Window
from islet.engine.tables import MOST_VALUES, Quantity, Stream

_ALLOWED: Final = (
    "what is counted is compared with <, <=, >, >=, =, BETWEEN, or two of these and AND, with a number or a column of "
    "patients, such as glucose_mg_dl > high_mg_dl"
)
_LARGEST: Final = 2**62
_MIRRORED: Final[dict[type[exp.Expression], type[exp.Expression]]] = {
    exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.EQ: exp.EQ
}  # fmt: skip

ScalarOf = Callable[[exp.Expression, Scope], Scalar]


@dataclass(frozen=True, slots=True)
class _Part:
    """The values that are at least `least` (None: all), without those that are at least `end` (None: none)."""

    stream: Stream
    least: Bound | None = None
    end: Bound | None = None


def write_count(window: Window, code: Code, scalar_of: ScalarOf) -> Scalar:
    """The scalar of an aggregate that counts. Raises RuleRefused and TooLarge."""
    counted = window.counted
    assert counted is not None
    part = _part(counted.condition, counted.scope, code, scalar_of)
    count = _within(part, window.window_us, code)
    if window.aggregate == "count" or counted.each is None:
        return Scalar(count)
    each = scalar_of(counted.each, counted.scope)
    if window.aggregate == "sum":
        return scalars.multiplied(code, Scalar(count), each)
    every = code.input(Gathered(VALUE, COUNT, window.window_us), 1, MOST_VALUES)
    return scalars.multiplied(code, Scalar(count, over=every), each)


def _within(part: _Part, window_us: int, code: Code) -> int:
    """How many values of the window are in that part of the range."""
    every = code.input(Gathered(VALUE, COUNT, window_us), 1, MOST_VALUES)
    from_least = every if part.least is None else _count_from(part.least, window_us, code)
    if part.end is None:
        return from_least
    count = code.subtract(from_least, _count_from(part.end, window_us, code))
    if part.least is not None and not _in_order(part.least, part.end):
        count = code.multiply(count, code.greater(count, code.constant(0)))
    return count if code.number(count) is not None else code.within(count, 0, MOST_VALUES)


def _count_from(bound: Bound, window_us: int, code: Code) -> int:
    return code.input(Gathered(VALUE, COUNT_FROM, window_us, bound), 0, MOST_VALUES)


def _in_order(least: Bound, end: Bound) -> bool:
    """Whether the end can never be below the least."""
    numbers = not least.parameter and not end.parameter
    return numbers and least.plus // least.per <= end.plus // end.per


def _part(node: exp.Expression, scope: Scope, code: Code, scalar_of: ScalarOf) -> _Part:
    """What a condition says. Raises RuleRefused."""
    node, scope = defined(node, scope)
    if isinstance(node, exp.And):
        one, other = (_part(side, scope, code, scalar_of) for side in (node.this, node.expression))
        return _both(node, one, other)
    if isinstance(node, exp.Between) and not node.args.get("symmetric"):
        stream = _stream(node, node.this, scope)
        low, high = (_Limit(node, node.args[word], scope, stream, code, scalar_of) for word in ("low", "high"))
        return _Part(stream, low.bound(above=False), high.bound(above=True))
    kind = type(node)
    if kind not in _MIRRORED:
        raise refused(f"{node.sql()!r}: {_ALLOWED}", node)
    quantity, limit = node.this, node.expression
    if not isinstance(_column(quantity, scope), Quantity):
        kind, quantity, limit = _MIRRORED[kind], limit, quantity
    stream = _stream(node, quantity, scope)
    if isinstance(limit, exp.Literal) and limit.is_string:
        return _word(node, stream, limit)
    of = _Limit(node, limit, scope, stream, code, scalar_of)
    least = of.bound(above=kind is exp.GT) if kind in (exp.GT, exp.GTE, exp.EQ) else None
    end = of.bound(above=kind is not exp.LT) if kind in (exp.LT, exp.LTE, exp.EQ) else None
    return _Part(stream, least, end)


def _both(node: exp.Expression, one: _Part, other: _Part) -> _Part:
    twice = (one.least and other.least) or (one.end and other.end)
    if twice or one.stream is not other.stream:
        raise refused(f"{node.sql()!r}: expected one lower and one upper limit of one quantity; {_ALLOWED}", node)
    return _Part(one.stream, one.least or other.least, one.end or other.end)


def _column(node: exp.Expression, scope: Scope) -> object:
    node, scope = defined(node, scope)
    return scope.find(node) if isinstance(node, exp.Column) else None


def _stream(condition: exp.Expression, node: exp.Expression, scope: Scope) -> Stream:
    column = _column(node, scope)
    if not isinstance(column, Quantity):
        raise refused(f"{condition.sql()!r}: {_ALLOWED}", condition)
    return column.stream


def _word(node: exp.Expression, stream: Stream, word: exp.Literal) -> _Part:
    if word.name not in stream.words or not isinstance(node, exp.EQ):
        raise refused(f"{node.sql()!r}: there are {', '.join(stream.words) or 'numbers only'}", node)
    place = stream.words.index(word.name)
    return _Part(stream, Bound(plus=place), Bound(plus=place + 1))


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a quantity is compared with."""

    condition: exp.Expression
    node: exp.Expression
    scope: Scope
    stream: Stream
    code: Code
    scalar_of: ScalarOf

    def bound(self, *, above: bool) -> Bound:
        """The least integer of the stream that is the limit or more; `above`: that is more than it."""
        value = self.scalar_of(self.node, self.scope)
        line = None if value.over is not None or value.missing is not None else _line(self.code, value.number)
        if self.stream.words or line is None:
            raise refused(f"{self.condition.sql()!r}: {_ALLOWED}", self.condition)
        name, times, plus = line
        scale = self.stream.scale
        if (max(map(abs, self.code.bounds[value.number])) + abs(plus)) * scale + value.per > _LARGEST:
            raise TooLarge
        rounded = value.per if above else value.per - 1
        return Bound(name, times * scale, plus * scale + rounded, value.per)


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
