"""Aggregates of what is made of a column: AVG(glucose_mg_dl / 18), SUM(CASE WHEN glucose_mg_dl < 70 THEN 70 - glucose_mg_dl
ELSE 0 END), COUNT_IF(carbs_g >= 20), BOOL_OR(glucose_mg_dl < 54), minutes since the last bolus.

A row's number is a line of its value (times * value + plus) where the value is in some set, a line each, and else NULL: so
what they add up to is made of counts and sums over intervals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial, reduce
from itertools import chain
from typing import Final, NamedTuple

from sqlglot import exp

from islet.engine import intervals, scalars
from islet.engine.advice import INSIDE
from islet.engine.aggregates import feature, source_of, write_window
from islet.engine.code import Bound, Code
from islet.engine.conditions import Conditions, Measured, ScalarOf, scale_of
from islet.engine.intervals import Interval, Set
from islet.engine.program import AGE_FROM, COUNT, COUNT_FROM, SUM, SUM_FROM
from islet.engine.scalars import Flag, Scalar
from islet.engine.sql import Scope, defined, named, refused
from islet.engine.sql_windows import Made, Window, read_column
from islet.engine.tables import CONTEXT_HIGH, MOST_VALUES, Context, Limit, Named, Quantity
from islet.model.time import SECOND_US

_INSIDE: Final = (
    "inside an aggregate expected one column of the table with + - * / and numbers or columns of patients, or CASE WHEN "
    "condition THEN such END"
)
_OF_CASE: Final = "of a CASE there are SUM, AVG and COUNT"
_COUNTS_ALL: Final = "COUNT counts what is not NULL, so all rows here; say SUM, or CASE without ELSE"
_ABOUT_ELSE: Final = "rows of this table may be about something else; use SUM with ELSE 0, or CASE without ELSE"
_CALCULATED: Final = "rows of this table may be about something else; calculate behind THEN, not with the CASE"
_SINCE: Final = (
    "expected MAX(CASE WHEN bolus_u >= 1 THEN time_min END) OVER (…), with one column that is IS NOT NULL, > or >= a number; "
    "for a low in the last hour say MIN(glucose_mg_dl) OVER (…) < 70"
)


class _Line(NamedTuple):
    """times * value + plus, of a value that is in the set. `column` None: the value has no part in it."""

    among: Set
    times: Scalar
    plus: Scalar
    column: exp.Column | None = None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what stands inside of an aggregate. `about`: the column that conditions look at."""

    code: Code
    scalar_of: ScalarOf
    conditions: Conditions
    about: list[Measured]

    def lines(self, node: exp.Expression, scope: Scope) -> list[_Line]:
        """The lines of a number; for no value there is more than one. Raises RuleRefused, TooLarge."""
        node, scope = defined(node, scope)
        if isinstance(node, exp.Case | exp.If):
            return self._case(node, scope)
        if self._is_alike(node, scope):
            return [_Line(intervals.ALL, self._number(0), self.scalar_of(node, scope))]
        if isinstance(node, exp.Column):
            self._take(node, scope)
            return [_Line(intervals.ALL, self._number(1), self._number(0), node)]
        if isinstance(node, exp.Neg):
            return [self._times(line, self._number(-1)) for line in self.lines(node.this, scope)]
        if isinstance(node, exp.Add | exp.Sub):
            return self._sum(node, scope)
        if isinstance(node, exp.Mul | exp.Div):
            return self._product(node, scope)
        hint = f"{INSIDE[type(node)]}; " if type(node) in INSIDE else ""
        raise refused(f"{node.sql()!r}: {hint}{_INSIDE}", node)

    def _take(self, node: exp.Column, scope: Scope) -> None:
        column = scope.find(node)
        words = isinstance(column, Quantity) and column.stream.words
        if not isinstance(column, Measured) or words or (self.about and self.about[0] != column):
            raise refused(f"{node.sql()!r}: {_INSIDE}", node)
        self.about[:] = [column]

    def _is_alike(self, node: exp.Expression, scope: Scope) -> bool:
        """Whether a number is the same in all rows of a patient."""
        if node.find(exp.Window):
            return False
        for one in node.find_all(exp.Column):
            inner, within = defined(one, scope)
            if inner is not one and not self._is_alike(inner, within):
                return False
            known = within.find(inner) if isinstance(inner, exp.Column) else Named("profile")
            if not isinstance(known, Limit) and known != Named("profile"):
                return False
        return True

    def _case(self, node: exp.Case | exp.If, scope: Scope) -> list[_Line]:
        otherwise = node.args.get("default" if isinstance(node, exp.Case) else "false")
        found, left = list[_Line](), intervals.ALL
        for branch in _branches(node):
            condition = branch.this
            if isinstance(node, exp.Case) and node.this is not None:
                condition = exp.EQ(this=node.this, expression=branch.this)
            where = self.conditions.where(condition, scope, self.about)
            found += self._among(intervals.both(left, where), branch.args["true"], scope)
            left = intervals.both(left, intervals.all_but(where))
        return found if otherwise is None else found + self._among(left, otherwise, scope)

    def _among(self, among: Set, node: exp.Expression, scope: Scope) -> list[_Line]:
        if isinstance(node, exp.Null):
            return []
        return [line._replace(among=intervals.both(among, line.among)) for line in self.lines(node, scope)]

    def _sum(self, node: exp.Add | exp.Sub, scope: Scope) -> list[_Line]:
        ones, others = self.lines(node.this, scope), self.lines(node.expression, scope)
        if isinstance(node, exp.Sub):
            others = [self._times(line, self._number(-1)) for line in others]
        return [
            _Line(
                intervals.both(one.among, other.among),
                scalars.added(self.code, one.times, other.times),
                scalars.added(self.code, one.plus, other.plus),
                one.column or other.column,
            )
            for one in ones
            for other in others
        ]

    def _product(self, node: exp.Mul | exp.Div, scope: Scope) -> list[_Line]:
        one, other = node.this, node.expression
        if isinstance(node, exp.Mul) and self._is_alike(one, scope):
            one, other = other, one
        if not self._is_alike(other, scope):
            raise refused(f"{node.sql()!r}: {_INSIDE}", node)
        factor = self.scalar_of(other, scope)
        if isinstance(node, exp.Div):
            number = scalars.constant_of(self.code, factor)
            if not number:
                raise refused(f"{node.sql()!r}: inside an aggregate expected a number that is not 0 to divide by", node)
            factor = scalars.constant(self.code, 1 / number)
        return [self._times(line, factor) for line in self.lines(one, scope)]

    def _times(self, line: _Line, factor: Scalar) -> _Line:
        times, plus = (scalars.multiplied(self.code, one, factor) for one in (line.times, line.plus))
        return line._replace(times=times, plus=plus)

    def _number(self, number: int) -> Scalar:
        return scalars.constant(self.code, Fraction(number))


def write_made(window: Window, code: Code, scalar_of: ScalarOf) -> Scalar:
    """The scalar of an aggregate of what is made of a column. Raises RuleRefused and TooLarge."""
    made = window.made
    assert made is not None
    reader = _Reader(code, scalar_of, Conditions(code, scalar_of), [])
    if isinstance(made.call, exp.CountIf):
        where = reader.conditions.where(made.node, made.scope, reader.about)
        return Scalar(_Adding(code, window, reader.about[0]).count(where))
    if _is_moment(made):
        raise refused(f"{made.call.sql()!r} is a moment; say time_min - it", made.call)
    lines = reader.lines(made.node, made.scope)
    if not reader.about:
        raise refused(f"{made.call.sql()!r}: {_INSIDE}", made.call)
    _check(window, made, lines)
    if len(lines) == 1 and lines[0].among == intervals.ALL and lines[0].column is not None:
        return _of_line(window, made, lines[0], code)
    return _of_lines(window, made, lines, _Adding(code, window, reader.about[0]))


def write_any(window: Window, code: Code, scalar_of: ScalarOf) -> Flag:
    """BOOL_OR and BOOL_AND of a condition. Raises RuleRefused and TooLarge."""
    made = window.made
    assert made is not None
    reader = _Reader(code, scalar_of, Conditions(code, scalar_of), [])
    where = reader.conditions.where(made.node, made.scope, reader.about)
    adding = _Adding(code, window, reader.about[0])
    among = where if window.aggregate == "any" else intervals.all_but(where)
    some = code.greater(adding.count(among), code.constant(0))
    none = code.equal(adding.count(intervals.ALL), code.constant(0))
    flag = some if window.aggregate == "any" else code.negated(some)
    return scalars.known_where(code, flag, None if code.number(none) == 0 else none)


def _check(window: Window, made: Made, lines: Sequence[_Line]) -> None:
    """Raises RuleRefused for what has another meaning than it seems, or none."""
    if any(line.among != intervals.ALL for line in lines) and window.aggregate not in ("sum", "avg", "count"):
        raise refused(f"{made.call.sql()!r}: {_OF_CASE}", made.call)
    otherwise, sparse = _otherwise(made.node), made.scope.table.sparse
    if sparse and not isinstance(made.node, exp.Case | exp.If) and made.node.find(exp.Case, exp.If):
        raise refused(f"{made.call.sql()!r}: {_CALCULATED}", made.call)
    if otherwise is None:
        return
    if window.aggregate == "count":
        raise refused(f"{made.call.sql()!r}: {_COUNTS_ALL}", made.call)
    zero = isinstance(otherwise, exp.Literal) and not otherwise.is_string and float(otherwise.name) == 0
    if sparse and (window.aggregate == "avg" or not zero or window.until_us):
        raise refused(f"{made.call.sql()!r}: {_ABOUT_ELSE}", made.call)


def write_since(window: Window, code: Code, scalar_of: ScalarOf) -> Scalar:
    """Minutes since the last value that is at least so much: the window is MAX(CASE WHEN condition THEN time_min END). Raises
    RuleRefused and TooLarge."""
    made = window.made
    assert made is not None
    if not _is_moment(made) or window.aggregate != "max":
        raise refused(f"{made.call.sql()!r}: {_SINCE}", made.call)
    reader = _Reader(code, scalar_of, Conditions(code, scalar_of), [])
    branches = _branches(made.node)
    if len(branches) > 1 or _otherwise(made.node) is not None or (isinstance(made.node, exp.Case) and made.node.this):
        raise refused(f"{made.call.sql()!r}: {_SINCE}", made.call)
    where = list(reader.conditions.where(branches[0].this, made.scope, reader.about).items())
    if len(where) != 1 or where[0][1] != 1 or where[0][0].ends or len(where[0][0].lows) > 1:
        raise refused(f"{made.call.sql()!r}: {_SINCE}", made.call)
    bound = next(iter(where[0][0].lows), Bound())
    age = feature(code, window, source_of(reader.about[0]), AGE_FROM, 0, window.window_us // SECOND_US + 1, bound)
    return Scalar(code.add(age, code.constant(-1)), 60, missing=code.equal(age, code.constant(0)))


def _is_moment(made: Made) -> bool:
    return any(named(one.args["true"], "time_min", made.scope) for one in _branches(made.node))


def _branches(node: exp.Expression) -> Sequence[exp.Expression]:
    """Each WHEN of a CASE, or the IF itself."""
    if isinstance(node, exp.Case):
        whens: Sequence[exp.Expression] = node.args["ifs"]
        return whens
    return [node] if isinstance(node, exp.If) else []


def _of_line(window: Window, made: Made, line: _Line, code: Code) -> Scalar:
    """An aggregate of times * value + plus, made of that of the value."""
    over = read_column(window.aggregate, made.call, made.scope, line.column)
    assert isinstance(over, Measured)
    times, aggregate = scalars.constant_of(code, line.times), window.aggregate
    if times is None and aggregate not in ("sum", "avg", "first", "last", "lag", "slope", "count"):
        raise refused(f"{made.call.sql()!r}: {_INSIDE}; here only numbers can be multiplied with it", made.call)
    if aggregate in ("min", "max") and times is not None and times < 0:
        aggregate = "max" if aggregate == "min" else "min"
    value = write_window(replace(window, aggregate=aggregate, over=over, made=None), code)
    if aggregate == "count":
        return value
    if aggregate in ("stddev_samp", "var_samp"):
        square = scalars.constant(code, (times or Fraction(0)) ** 2)
        return replace(scalars.multiplied(code, replace(value, root=False), square), root=value.root)
    found = scalars.multiplied(code, value, line.times)
    if aggregate == "slope":
        return found
    plus = line.plus
    if aggregate == "sum":
        count = replace(window, aggregate="count", over=over, made=None)
        plus = scalars.multiplied(code, write_window(count, code), plus)
    return scalars.added(code, found, plus)


def _of_lines(window: Window, made: Made, lines: Sequence[_Line], adding: "_Adding") -> Scalar:
    """SUM, AVG or COUNT of lines, each of its own values."""
    code, sums = adding.code, window.aggregate == "sum"
    count = adding.count(reduce(intervals.either, (line.among for line in lines), intervals.NONE))
    if window.aggregate == "count":
        return Scalar(count)
    total = reduce(partial(scalars.added, code), chain.from_iterable(adding.terms(line) for line in lines))
    if made.scope.table.sparse and _otherwise(made.node) is not None:
        return total  # 0 for this row, whatever it is about
    none = code.equal(count, code.constant(0))
    one = Scalar(code.constant(1), over=None if sums else count, missing=none if code.number(none) != 0 else None)
    found = scalars.multiplied(code, total, one)
    return replace(found, zero_if_missing=sums and total.missing is None)


def _otherwise(node: exp.Expression) -> exp.Expression | None:
    """What stands behind ELSE, where it is not NULL."""
    if not isinstance(node, exp.Case | exp.If):
        return None
    found: exp.Expression | None = node.args.get("default" if isinstance(node, exp.Case) else "false")
    return None if isinstance(found, exp.Null) else found


@dataclass(frozen=True, slots=True)
class _Adding:
    """Counts and sums of a column's values over a window."""

    code: Code
    window: Window
    column: Measured

    def count(self, among: Set) -> int:
        """How many values of the window are in the set."""
        parts = [self._times(times, self._count(one)) for one, times in among.items()]
        found = reduce(self.code.add, parts, self.code.constant(0))
        return found if self.code.number(found) is not None else self.code.within(found, 0, MOST_VALUES)

    def terms(self, line: _Line) -> Iterator[Scalar]:
        """What adds up to the line's numbers of the window."""
        if line.column is not None:
            parts = [self._times(times, self._sum(one)) for one, times in line.among.items()]
            total = Scalar(reduce(self.code.add, parts, self.code.constant(0)), scale_of(self.column))
            yield scalars.multiplied(self.code, total, line.times)
        yield scalars.multiplied(self.code, Scalar(self.count(line.among)), line.plus)

    def _times(self, times: int, value: int) -> int:
        return self.code.multiply(value, self.code.constant(times))

    def _count(self, one: Interval) -> int:
        return intervals.over(self.code, one, partial(self._from, COUNT, COUNT_FROM, MOST_VALUES), MOST_VALUES)

    def _sum(self, one: Interval) -> int:
        column = self.column
        most = CONTEXT_HIGH[column.place] if isinstance(column, Context) else MOST_VALUES * column.stream.high
        return intervals.over(self.code, one, partial(self._from, SUM, SUM_FROM, most), most)

    def _from(self, whole: int, part: int, most: int, bound: Bound | None) -> int:
        source, window = source_of(self.column), self.window
        if bound is not None:
            return feature(self.code, window, source, part, 0, most, bound)
        least = int(whole == COUNT and isinstance(self.column, Quantity) and not window.until_us)
        return feature(self.code, window, source, whole, least, most)
