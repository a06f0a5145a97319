"""A program while it is written: every result has bounds, nothing is calculated twice, constants are folded.

A value is a number that stands for the result of an instruction, an input or a constant. Its bounds are what makes
int64 enough: an instruction whose result could leave int64 is refused when the rule is planned, so the kernel never
has to look. Bounds also fold: a comparison that can only come out one way is a constant.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from islet.engine.interpret import (
    ABOVE_NUMBER,
    ABSOLUTE,
    ADD,
    ADD_NUMBER,
    AND,
    AND_NOT,
    AT_LEAST,
    BELOW_NUMBER,
    DIVIDE,
    DIVIDE_NUMBER,
    EQUAL,
    EQUALS_NUMBER,
    GREATER,
    MULTIPLY,
    NOT,
    OR,
    REMAINDER_NUMBER,
    SUBTRACT,
    TIMES_NUMBER,
)
from islet.engine.program import LAST, VALUE

_LIMIT: Final = 2**63 - 1
_INPUT: Final = (-1, 0, 0)
_Bounds = tuple[int, int]


class Bound(NamedTuple):
    """A number that values are counted from: (parameter * times + plus) / per, rounded down; 0 for no parameter."""

    parameter: str = ""
    times: int = 0
    plus: int = 0
    per: int = 1


class Gathered(NamedTuple):
    """A feature that the kernel fills in; see `islet.engine.program`. `bound`: of a COUNT_FROM."""

    source: int
    aggregate: int
    window_us: int
    bound: Bound = Bound()


class Parameter(NamedTuple):
    """A column of the patients' parameters."""

    name: str


class LocalMinute(NamedTuple):
    """The minute of the patient's local day."""


Input = Gathered | Parameter | LocalMinute

QUANTITY: Final = Gathered(VALUE, LAST, 0)
"""The stream's own value: register 0."""


class TooLarge(ArithmeticError):
    """A result could leave int64."""


class Code:
    """The values written so far. Value 0 is the stream's own value."""

    def __init__(self, low: int, high: int) -> None:
        """`low`, `high`: the bounds of the stream's own value."""
        self.bounds: list[_Bounds] = []
        self.made: list[tuple[int, int, int] | None] = []  # instruction, left, right; None: an input or a constant
        self.constants: dict[int, int] = {}
        self.inputs: dict[Input, int] = {}
        self._known: dict[tuple[int, int, int], int] = {}
        self.input(QUANTITY, low, high)

    def input(self, source: Input, low: int, high: int) -> int:
        """The value of an input that lies within bounds."""
        if source not in self.inputs:
            self.inputs[source] = self._new(low, high, None)
        return self.inputs[source]

    def source(self, value: int) -> Input | None:
        """The input that a value is."""
        return next((source for source, one in self.inputs.items() if one == value), None)

    def constant(self, number: int) -> int:
        """The value that is always this number."""
        if number not in self.constants:
            self.constants[number] = self._new(number, number, None)
        return self.constants[number]

    def number(self, value: int) -> int | None:
        """The number that a value always is, None where it varies."""
        low, high = self.bounds[value]
        return low if low == high else None

    def within(self, value: int, low: int, high: int) -> int:
        """The same value, of which more is known than its instruction tells."""
        known_low, known_high = self.bounds[value]
        self.bounds[value] = (max(known_low, low), min(known_high, high))
        return value

    def add(self, left: int, right: int) -> int:
        left, right = sorted((left, right))
        for one, other in ((left, right), (right, left)):
            if (number := self.number(other)) is not None:
                return one if number == 0 else self._apply(ADD_NUMBER, one, number, _added)
        return self._apply(ADD, left, right, _added)

    def subtract(self, left: int, right: int) -> int:
        if left == right:
            return self.constant(0)
        if (number := self.number(right)) is not None:
            return self.add(left, self.constant(-number))
        if self.number(left) is not None:
            return self.add(self.multiply(right, self.constant(-1)), left)
        return self._apply(SUBTRACT, left, right, lambda a, b: (a[0] - b[1], a[1] - b[0]))

    def multiply(self, left: int, right: int) -> int:
        left, right = sorted((left, right))
        for one, other in ((left, right), (right, left)):
            if (number := self.number(other)) is not None:
                if number in (0, 1):
                    return one if number else self.constant(0)
                return self._apply(TIMES_NUMBER, one, number, _multiplied)
        return self._apply(MULTIPLY, left, right, _multiplied)

    def divided(self, value: int, number: int) -> int:
        """A value over a positive number, rounded down."""
        return value if number == 1 else self._apply(DIVIDE_NUMBER, value, number, _divided)

    def divided_by(self, left: int, right: int) -> int:
        """A value over one that is positive wherever the result is asked for, rounded down."""
        if (number := self.number(right)) is not None:
            return self.divided(left, number)
        return self._apply(DIVIDE, left, right, _divided)

    def remainder(self, value: int, number: int) -> int:
        """What is left of a value that is never negative over a positive number."""
        if self.bounds[value][1] < number:
            return value
        return self._apply(REMAINDER_NUMBER, value, number, lambda a, b: (0, b[0] - 1))

    def absolute(self, value: int) -> int:
        if self.bounds[value][0] >= 0:
            return value
        return self._apply(ABSOLUTE, value, 0, lambda a, _: (0, max(-a[0], a[1])))

    def greater(self, left: int, right: int) -> int:
        """True where left > right."""
        (low, high), (least, most) = self.bounds[left], self.bounds[right]
        if low > most or high <= least:
            return self.constant(int(low > most))
        if (number := self.number(right)) is not None:
            return self._above(left, number)
        if (number := self.number(left)) is not None:
            return self._below(right, number)
        return self._apply(GREATER, left, right, _flag)

    def at_least(self, left: int, right: int) -> int:
        """True where left >= right."""
        (low, high), (least, most) = self.bounds[left], self.bounds[right]
        if low >= most or high < least:
            return self.constant(int(low >= most))
        if (number := self.number(right)) is not None:
            return self._above(left, number - 1)
        if (number := self.number(left)) is not None:
            return self._below(right, number + 1)
        return self._apply(AT_LEAST, left, right, _flag)

    def equal(self, left: int, right: int) -> int:
        left, right = sorted((left, right))
        (low, high), (least, most) = self.bounds[left], self.bounds[right]
        if left == right or high < least or most < low:
            return self.constant(int(left == right))
        for one, other in ((left, right), (right, left)):
            if (number := self.number(other)) is not None:
                return self._apply(EQUALS_NUMBER, one, number, _flag)
        return self._apply(EQUAL, left, right, _flag)

    def both(self, left: int, right: int) -> int:
        left, right = sorted((left, right))
        for one, other in ((left, right), (right, left)):
            if (number := self.number(other)) is not None:
                return one if number else other
        return left if left == right else self._apply(AND, left, right, _flag)

    def either(self, left: int, right: int) -> int:
        left, right = sorted((left, right))
        for one, other in ((left, right), (right, left)):
            if (number := self.number(other)) is not None:
                return other if number else one
        return left if left == right else self._apply(OR, left, right, _flag)

    def but_not(self, left: int, right: int) -> int:
        """True where left is true and right is false."""
        if (number := self.number(right)) is not None:
            return self.constant(0) if number else left
        if (number := self.number(left)) is not None:
            return self.negated(right) if number else left
        return self.constant(0) if left == right else self._apply(AND_NOT, left, right, _flag)

    def negated(self, flag: int) -> int:
        """True where the flag is false."""
        if (number := self.number(flag)) is not None:
            return self.constant(1 - number)
        kind, left, right = self.made[flag] or _INPUT
        if kind == NOT:
            return left
        if kind == ABOVE_NUMBER:
            return self._below(left, right + 1)
        if kind == BELOW_NUMBER:
            return self._above(left, right - 1)
        if kind == GREATER:
            return self.at_least(right, left)
        if kind == AT_LEAST:
            return self.greater(right, left)
        return self._apply(NOT, flag, 0, _flag)

    def _above(self, value: int, number: int) -> int:
        """Where value > number; what was added to or multiplied with the value is undone on the number's side."""
        low, high = self.bounds[value]
        if low > number or high <= number:
            return self.constant(int(low > number))
        kind, left, right = self.made[value] or _INPUT
        if kind == ADD_NUMBER:
            return self._above(left, number - right)
        if kind == TIMES_NUMBER:
            return self._above(left, number // right) if right > 0 else self._below(left, -(number // -right))
        return self._apply(ABOVE_NUMBER, value, number, _flag)

    def _below(self, value: int, number: int) -> int:
        """Where value < number."""
        low, high = self.bounds[value]
        if high < number or low >= number:
            return self.constant(int(high < number))
        kind, left, right = self.made[value] or _INPUT
        if kind == ADD_NUMBER:
            return self._below(left, number - right)
        if kind == TIMES_NUMBER:
            return self._below(left, -(-number // right)) if right > 0 else self._above(left, -number // -right)
        return self._apply(BELOW_NUMBER, value, number, _flag)

    def _apply(self, kind: int, left: int, right: int, of: Callable[[_Bounds, _Bounds], _Bounds]) -> int:
        """The value of an instruction; `of` gives its bounds from those of its sides. Raises TooLarge."""
        wanted = (kind, left, right)
        if wanted not in self._known:
            low, high = of(self.bounds[left], self.bounds[right] if kind <= AND_NOT else (right, right))
            if low < -_LIMIT or high > _LIMIT:
                raise TooLarge
            self._known[wanted] = self.constant(low) if low == high else self._new(low, high, wanted)
        return self._known[wanted]

    def _new(self, low: int, high: int, made: tuple[int, int, int] | None) -> int:
        self.bounds.append((low, high))
        self.made.append(made)
        return len(self.bounds) - 1


def _flag(_: _Bounds, __: _Bounds) -> _Bounds:
    return 0, 1


def _added(a: _Bounds, b: _Bounds) -> _Bounds:
    return a[0] + b[0], a[1] + b[1]


def _multiplied(a: _Bounds, b: _Bounds) -> _Bounds:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


def _divided(a: _Bounds, b: _Bounds) -> _Bounds:
    ends = [x // max(y, 1) for x in a for y in b]
    return min(ends), max(ends)
