"""Conditions of rules as instructions on int64: the same answer on every machine, for every row.

NULL is what SQL makes of it: a comparison with NULL is neither true nor false, and a rule is breached only where its
condition is true. Arithmetic is that of exact fractions (`islet.engine.scalars`).
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from typing import Final

from sqlglot import exp

from islet.engine import scalars
from islet.engine.aggregates import write_window
from islet.engine.code import QUANTITY, Code, Gathered, Parameter, TooLarge
from islet.engine.functions import ARITHMETIC, no_arithmetic, write_clock, write_rounded
from islet.engine.made import write_any, write_made, write_since
from islet.engine.program import FORECAST
from islet.engine.scalars import Above, Flag, Scalar
from islet.engine.sql import Scope, defined, named, refused
from islet.engine.sql_windows import read_window
from islet.engine.tables import Forecast, Limit, Named, Quantity
from islet.model.ahead import UNKNOWN

_CONDITIONS: Final = (
    "allowed are comparisons (=, <>, <, <=, >, >=, BETWEEN, IN, IS NULL) of a column, and AND, OR, NOT of conditions"
)
_SINCE: Final = (
    "expected time_min - MIN(time_min) OVER (…), LAG instead of MIN, or time_min - MAX(CASE WHEN bolus_u > 0 THEN time_min "
    "END) OVER (…)"
)
_DOUBLES: Final = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
_MOST: Final = 10**9
_LONGEST_LIST: Final = 100
_ROOT: Final = "a standard deviation can be compared, or multiplied by a number; move all else to the other side"


def write_predicate(node: exp.Expression, scope: Scope, code: Code, *, absent: bool = False) -> Flag:
    """Where the predicate is true and where it is false. Raises RuleRefused for what is outside of the subset.

    `absent`: the quantity is taken to be NULL, as in rows of a table that are about something else.
    """
    return _Writer(code, absent).boolean(node, scope)


@dataclass(frozen=True, slots=True)
class _Writer:
    """`flags`, `scalars`: what has been written, by the id of its node: each definition may use the one before it twice."""

    code: Code
    absent: bool
    flags: dict[int, Flag] = field(default_factory=dict)
    scalars: dict[int, Scalar] = field(default_factory=dict)

    def boolean(self, node: exp.Expression, scope: Scope) -> Flag:
        node, scope = defined(node, scope)
        if id(node) not in self.flags:
            self.flags[id(node)] = self._boolean(node, scope)
        return self.flags[id(node)]

    def _boolean(self, node: exp.Expression, scope: Scope) -> Flag:
        code = self.code
        if isinstance(node, exp.Not):
            return scalars.negated(code, self.boolean(node.this, scope))
        if isinstance(node, exp.And | exp.Or):
            join = scalars.both if isinstance(node, exp.And) else scalars.either
            return join(code, self.boolean(node.this, scope), self.boolean(node.expression, scope))
        if isinstance(node, exp.Window) and isinstance(node.this, exp.LogicalOr | exp.LogicalAnd):
            return self._any(node, scope)
        if isinstance(node, exp.Boolean):
            return Flag(code.constant(int(node.this)))
        try:
            return self._condition(node, scope)
        except TooLarge:
            raise refused(
                f"{node.sql()!r}: numbers this large cannot be calculated exactly; "
                f"expected fewer products, shorter windows, or the terms on both sides{_without_abs(node)}",
                node,
            ) from None

    def _any(self, node: exp.Window, scope: Scope) -> Flag:
        """BOOL_OR and BOOL_AND of a window."""
        window = read_window(node, scope)
        return write_any(window, self.code, self._plain)

    def _condition(self, node: exp.Expression, scope: Scope) -> Flag:
        code = self.code
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            missing = self._scalar(node.this, scope).missing
            return Flag(code.constant(0) if missing is None else missing)
        if isinstance(node, exp.In) and not node.args.get("query") and not node.args.get("unnest"):
            if not 1 <= len(node.expressions) <= _LONGEST_LIST:
                raise refused(f"IN: expected 1 to {_LONGEST_LIST} values; got {len(node.expressions)}", node)
            flags = [self._equal(node, node.this, one, scope) for one in node.expressions]
            return reduce(partial(scalars.either, code), flags)
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            low, high = node.args["low"], node.args["high"]
            return scalars.both(code, self._at_least(node.this, low, scope), self._at_least(high, node.this, scope))
        if not isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.EQ | exp.NEQ):
            raise refused(f"{node.sql()!r} is not a condition of the subset; {_CONDITIONS}", node)
        if not list(node.find_all(exp.Column)):
            raise refused(f"{node.sql()!r} looks at no value; compare a column", node)
        left, right = node.this, node.expression
        if isinstance(node, exp.EQ | exp.NEQ):
            flag = self._equal(node, left, right, scope)
            return scalars.negated(code, flag) if isinstance(node, exp.NEQ) else flag
        if isinstance(node, exp.LT | exp.LTE):
            left, right = right, left
        return self._above(left, right, scope, equal=isinstance(node, exp.GTE | exp.LTE))

    def _at_least(self, left: exp.Expression, right: exp.Expression, scope: Scope) -> Flag:
        return self._above(left, right, scope, equal=True)

    def _above(self, left: exp.Expression, right: exp.Expression, scope: Scope, *, equal: bool) -> Flag:
        """left > right, or left >= right; where that is too large as it stands, with a term on the other side."""
        try:
            return self._above_as_written(left, right, scope, equal=equal)
        except TooLarge:
            above = scalars.at_least if equal else scalars.greater
            for kept, moved in self._terms(left, scope):
                with suppress(TooLarge):
                    return above(
                        self.code, kept, scalars.added(self.code, self._plain(right, scope), moved, minus=True)
                    )
            for kept, moved in self._terms(right, scope):
                with suppress(TooLarge):
                    return above(self.code, scalars.added(self.code, self._plain(left, scope), moved, minus=True), kept)
            raise

    def _terms(self, node: exp.Expression, scope: Scope) -> Iterator[tuple[Scalar, Scalar]]:
        """Pairs of numbers of which the node is the sum; none where it is no sum."""
        node, scope = _behind(node, scope)
        if isinstance(node, exp.Add | exp.Sub):
            one, other = self._plain(node.this, scope), self._plain(node.expression, scope)
            if isinstance(node, exp.Sub):
                other = self._times(node, other, Fraction(-1))
            yield one, other
            yield other, one

    def _above_as_written(self, left: exp.Expression, right: exp.Expression, scope: Scope, *, equal: bool) -> Flag:
        above = scalars.at_least if equal else scalars.greater
        a, b = self._ratio(left, scope), self._ratio(right, scope)
        if a.divisor is not None and not b.dividend.root:
            return scalars.of_ratio(self.code, a.dividend, a.divisor, self._whole(b), above)
        if b.divisor is not None and not a.dividend.root:
            below = partial(_turned, above)
            return scalars.of_ratio(self.code, b.dividend, b.divisor, self._whole(a), below)
        return above(self.code, self._whole(a), self._whole(b))

    def _equal(self, node: exp.Expression, left: exp.Expression, right: exp.Expression, scope: Scope) -> Flag:
        if isinstance(left, exp.Literal) and left.is_string:
            left, right = right, left
        if isinstance(right, exp.Literal) and right.is_string:
            return self._is_word(left, right, scope)
        a, b = self._scalar(left, scope), self._scalar(right, scope)
        if a.root or b.root:
            raise refused(f"{node.sql()!r}: a standard deviation can be compared with <, <=, >, >=", node)
        return scalars.equal(self.code, a, b)

    def _is_word(self, node: exp.Expression, word: exp.Literal, scope: Scope) -> Flag:
        """profile = 'pregnancy', status = 'ok'."""
        node, scope = defined(node, scope)
        column = scope.find(node) if isinstance(node, exp.Column) else None
        if column == Named("profile"):
            return Flag(self.code.input(Parameter(f"profile={word.name}"), 0, 1))
        if not isinstance(column, Quantity) or not column.stream.words:
            raise refused(f"{word.sql()} is a text; only profile and status are compared with texts", word)
        if word.name not in column.stream.words:
            raise refused(f"{word.sql()}: there are {', '.join(column.stream.words)}", word)
        place = self.code.constant(column.stream.words.index(word.name))
        return scalars.known_where(self.code, self.code.equal(self._quantity().number, place), self._absence())

    def _scalar(self, node: exp.Expression, scope: Scope) -> Scalar:
        node, scope = _behind(node, scope)
        if id(node) not in self.scalars:
            self.scalars[id(node)] = self._calculated(node, scope)
        return self.scalars[id(node)]

    def _calculated(self, node: exp.Expression, scope: Scope) -> Scalar:
        code = self.code
        if isinstance(node, exp.Column):
            return self._column(node, scope)
        if isinstance(node, exp.Literal):
            return scalars.constant(code, _number(node))
        if isinstance(node, exp.Window):
            window = read_window(node, scope)
            if window.aggregate in ("any", "all"):
                raise refused(f"{node.this.sql('duckdb')!r} is true or false; compare no number with it", node)
            return write_made(window, code, self._plain) if window.made else write_window(window, code)
        if isinstance(node, exp.Neg):
            return self._times(node, self._scalar(node.this, scope), Fraction(-1))
        if isinstance(node, exp.Sub) and named(node.this, "time_min", scope):
            return self._minutes(node, scope)
        if isinstance(node, exp.Add | exp.Sub):
            left, right = (self._plain(side, scope) for side in (node.this, node.expression))
            return scalars.added(code, left, right, minus=isinstance(node, exp.Sub))
        if isinstance(node, exp.Mul | exp.Div):
            return self._product(node, scope)
        if isinstance(node, exp.Abs):
            return scalars.absolute(code, self._plain(node.this, scope))
        if isinstance(node, exp.Round | exp.Floor | exp.Ceil | exp.Mod | exp.Cast):
            return write_rounded(node, scope, code, self._plain)
        if isinstance(node, exp.Extract | exp.Hour | exp.Minute):
            return write_clock(node, scope, code)
        return self._choice(node, scope)

    def _choice(self, node: exp.Expression, scope: Scope) -> Scalar:
        """One of several numbers, or none."""
        if isinstance(node, exp.Null):
            return scalars.null(self.code)
        if isinstance(node, exp.Case | exp.If):
            return self._case(node, scope)
        if isinstance(node, exp.Nullif):
            equal = self._equal(node, node.this, node.expression, scope).yes
            value = scalars.chosen(self.code, equal, scalars.null(self.code), self._plain(node.this, scope))
            return replace(value, never_zero=scalars.constant_of(self.code, self._scalar(node.expression, scope)) == 0)
        if isinstance(node, exp.Coalesce):
            some = [self._plain(one, scope) for one in (node.this, *node.expressions)]
            return reduce(lambda other, value: scalars.filled(self.code, value, other), reversed(some))
        if isinstance(node, exp.Greatest | exp.Least):
            return self._extreme(node, scope)
        raise no_arithmetic(node)

    def _plain(self, node: exp.Expression, scope: Scope) -> Scalar:
        value = self._scalar(node, scope)
        if value.root:
            raise refused(f"{node.sql()!r}: {_ROOT}", node)
        return value

    def _column(self, node: exp.Column, scope: Scope) -> Scalar:
        column = scope.find(node)
        if isinstance(column, Quantity) and not column.stream.words:
            value = self._quantity()
            return Scalar(value.number, column.stream.scale, missing=self._absence())
        if isinstance(column, Forecast):
            number = self.code.input(Gathered(FORECAST, column.place, column.ahead_us), UNKNOWN, column.high)
            return Scalar(number, 10, missing=self.code.greater(self.code.constant(0), number))
        if isinstance(column, Limit):
            return Scalar(self.code.input(Parameter(column.name), column.low, column.high), column.scale)
        raise refused(f"{node.name} cannot be calculated with here; {ARITHMETIC}", node)

    def _quantity(self) -> Scalar:
        return Scalar(self.code.inputs[QUANTITY])

    def _absence(self) -> int | None:
        return self.code.constant(1) if self.absent else None

    def _times(self, node: exp.Expression, value: Scalar, factor: Fraction) -> Scalar:
        code = self.code
        if not value.root:
            return scalars.multiplied(code, value, scalars.constant(code, factor))
        if factor < 0:
            raise refused(f"{node.sql()!r}: a standard deviation can be multiplied by a number above 0 only", node)
        product = scalars.multiplied(code, value, scalars.constant(code, factor * factor))
        return Scalar(product.number, product.per, product.over, product.missing, root=True)

    def _product(self, node: exp.Mul | exp.Div, scope: Scope) -> Scalar:
        left, right = self._scalar(node.this, scope), self._scalar(node.expression, scope)
        factor = scalars.constant_of(self.code, right)
        if isinstance(node, exp.Div):
            if factor:
                return self._times(node, left, 1 / factor)
            return scalars.divided(self.code, left, self._divisor(node, scope))
        if factor is not None:
            return self._times(node, left, factor)
        if (factor := scalars.constant_of(self.code, left)) is not None:
            return self._times(node, right, factor)
        return scalars.multiplied(self.code, self._plain(node.this, scope), self._plain(node.expression, scope))

    def _ratio(self, node: exp.Expression, scope: Scope) -> "_Ratio":
        """What a comparison can multiply crosswise: numbers stay smaller than by dividing first."""
        node, scope = _behind(node, scope)
        if isinstance(node, exp.Mul) and (multiple := self._multiple(node, scope)) is not None:
            return multiple
        if not isinstance(node, exp.Div) or scalars.constant_of(self.code, self._scalar(node.expression, scope)):
            return _Ratio(self._scalar(node, scope))
        return _Ratio(self._scalar(node.this, scope), self._divisor(node, scope))

    def _multiple(self, node: exp.Mul, scope: Scope) -> "_Ratio | None":
        """A ratio times a number: its dividend times the number, over the same."""
        for side, other in ((node.this, node.expression), (node.expression, node.this)):
            behind, inner = _behind(side, scope)
            if isinstance(behind, exp.Div):
                ratio = self._ratio(behind, inner)
                factor = scalars.constant_of(self.code, self._scalar(other, scope))
                if ratio.divisor is not None and factor is not None:
                    return _Ratio(self._times(node, ratio.dividend, factor), ratio.divisor)
        return None

    def _whole(self, ratio: "_Ratio") -> Scalar:
        return ratio.dividend if ratio.divisor is None else scalars.divided(self.code, ratio.dividend, ratio.divisor)

    def _divisor(self, node: exp.Div, scope: Scope) -> Scalar:
        """What varies and is divided by."""
        divisor, text = self._plain(node.expression, scope), node.expression.sql()
        if scalars.constant_of(self.code, divisor) == 0:
            raise refused(f"{node.sql()!r}: expected another number than 0 to divide by", node)
        if scalars.can_be_zero(self.code, divisor):
            raise refused(f"{node.sql()!r}: engines differ where {text} is 0; say / NULLIF({text}, 0)", node)
        if self._scalar(node.this, scope).root and self.code.bounds[divisor.number][0] < 0:
            raise refused(f"{node.sql()!r}: a standard deviation can be divided by what is never below 0 only", node)
        return divisor

    def _minutes(self, node: exp.Sub, scope: Scope) -> Scalar:
        """time_min - MIN(time_min) OVER (…), time_min - LAG(time_min) OVER (…)."""
        other, inner = defined(node.expression, scope)
        window = read_window(other, inner) if isinstance(other, exp.Window) else None
        if window is not None and window.over == Named("time_min"):
            return write_window(window, self.code)
        if window is None or window.made is None:
            raise refused(f"{node.sql()!r}: {_SINCE}", node)
        return write_since(window, self.code, self._plain)

    def _case(self, node: exp.Case | exp.If, scope: Scope) -> Scalar:
        """CASE with conditions, CASE x with values of x, or IF(condition, number, number)."""
        simple = isinstance(node, exp.Case) and node.this is not None
        branches: Sequence[exp.Expression] = node.args["ifs"] if isinstance(node, exp.Case) else [node]
        otherwise = node.args.get("default" if isinstance(node, exp.Case) else "false")
        value = scalars.null(self.code) if otherwise is None else self._plain(otherwise, scope)
        for branch in reversed(branches):
            flag = self._equal(node, node.this, branch.this, scope) if simple else self.boolean(branch.this, scope)
            value = scalars.chosen(self.code, flag.yes, self._plain(branch.args["true"], scope), value)
        return value

    def _extreme(self, node: exp.Greatest | exp.Least, scope: Scope) -> Scalar:
        """GREATEST or LEAST; DuckDB and Spark pass over a NULL, others give NULL."""
        some = [self._plain(one, scope) for one in (node.this, *node.expressions)]
        known = [one for one in some if one.missing is None or self.code.number(one.missing) != 1]
        if any(one.missing is not None for one in known):
            raise refused(f"{node.sql()!r}: engines differ where one of these is NULL; say COALESCE(x, number)", node)

        def further(one: Scalar, other: Scalar) -> Scalar:
            least = isinstance(node, exp.Least)
            flag = scalars.greater(self.code, *((other, one) if least else (one, other)))
            return scalars.chosen(self.code, flag.yes, one, other)

        return reduce(further, known) if known else scalars.null(self.code)


@dataclass(frozen=True, slots=True)
class _Ratio:
    dividend: Scalar
    divisor: Scalar | None = None


def _without_abs(node: exp.Expression) -> str:
    return "; without ABS: x > y OR x < -y" if node.find(exp.Abs) else ""


def _turned(above: Above, code: Code, left: Scalar, right: Scalar) -> Flag:
    return above(code, right, left)


def _behind(node: exp.Expression, scope: Scope) -> tuple[exp.Expression, Scope]:
    """What a number is made of; CAST AS DOUBLE changes nothing, as numbers are exact anyway."""
    node, scope = defined(node, scope)
    while isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast) and node.to.this in _DOUBLES:
        node, scope = defined(node.this, scope)
    return node, scope


def _number(node: exp.Literal) -> Fraction:
    if node.is_string:
        raise refused(f"{node.sql()} is a text; expected a number", node)
    value = Decimal(node.name)
    exponent = value.as_tuple().exponent
    if value > _MOST or not isinstance(exponent, int) or exponent < -6:
        raise refused(f"{node.name}: expected a number up to {_MOST} with at most six decimals", node)
    return Fraction(value)
