"""Numbers of a rule while it is planned: exact fractions of int64, NULL kept apart.

A scalar is number / (per * over), or its square root: `per` is a positive constant, `over` a value that is positive
wherever the scalar is not NULL. Comparisons multiply crosswise instead of dividing, so nothing is ever rounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import zip_longest
from math import gcd
from typing import Final

from islet.engine.code import Code, TooLarge

_BASE: Final = 2**31
"""Two digits' product, and what is carried from the place below, have room in int64."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """`missing`: a flag that is true where the scalar is NULL; None: it never is. `zero_if_missing`: the number is 0
    there. `root`: the square root is meant. `never_zero`: where it is not NULL, it is not 0."""

    number: int
    per: int = 1
    over: int | None = None
    missing: int | None = None
    zero_if_missing: bool = False
    root: bool = False
    never_zero: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """Three-valued truth: where it is true, and where it is false; `no` None: wherever it is not true."""

    yes: int
    no: int | None = None


Above = Callable[[Code, Scalar, Scalar], Flag]
"""`greater`, `at_least`, or one of them with the sides exchanged."""


def constant(code: Code, value: Fraction) -> Scalar:
    return Scalar(code.constant(value.numerator), value.denominator)


def null(code: Code) -> Scalar:
    """The scalar that is always NULL."""
    return Scalar(code.constant(0), missing=code.constant(1))


def constant_of(code: Code, scalar: Scalar) -> Fraction | None:
    """The fraction that a scalar always is; None where it varies."""
    number = code.number(scalar.number)
    fixed = number is not None and scalar.over is None and scalar.missing is None
    return Fraction(number, scalar.per) if fixed and number is not None else None


def added(code: Code, left: Scalar, right: Scalar, *, minus: bool = False) -> Scalar:
    a, b, per, over = _common(code, left, right)
    number = code.subtract(a, b) if minus else code.add(a, b)
    return Scalar(number, per, over, any_missing(code, left, right))


def multiplied(code: Code, left: Scalar, right: Scalar) -> Scalar:
    missing = any_missing(code, left, right)
    over = left.over if right.over is None else right.over
    if left.over is not None and right.over is not None:
        over = code.multiply(left.over, right.over)
    factor = constant_of(code, right)
    if factor is not None:  # reduced, so that multiples and parts of one thing stay the same thing
        shared = gcd(factor.numerator, left.per)
        number = code.multiply(left.number, code.constant(factor.numerator // shared))
        return Scalar(number, left.per // shared * factor.denominator, over, missing)
    return Scalar(code.multiply(left.number, right.number), left.per * right.per, over, missing)


def can_be_zero(code: Code, value: Scalar) -> bool:
    low, high = code.bounds[value.number]
    return low <= 0 <= high and not value.never_zero


def divided(code: Code, left: Scalar, right: Scalar) -> Scalar:
    """left / right, where that cannot be 0; of a root by what is never negative. Raises TooLarge."""
    if left.root:
        return replace(divided(code, replace(left, root=False), _squared(code, right)), root=True)
    below = code.greater(code.constant(0), right.number)
    sign = code.subtract(code.constant(1), code.multiply(below, code.constant(2)))
    number = code.multiply(code.multiply(left.number, code.constant(right.per)), sign)
    number = number if right.over is None else code.multiply(number, right.over)
    over = code.absolute(right.number)
    over = over if left.over is None else code.multiply(over, left.over)
    return Scalar(number, left.per, over, any_missing(code, left, right))


def absolute(code: Code, value: Scalar) -> Scalar:
    return replace(value, number=code.absolute(value.number))


def chosen(code: Code, flag: int, one: Scalar, other: Scalar) -> Scalar:
    """`one` where the flag is true, `other` elsewhere."""
    one, other = positive(code, one), positive(code, other)
    a, b, per, over = _common(code, one, other)
    number = code.add(b, code.multiply(flag, code.subtract(a, b)))
    ends = [*code.bounds[a], *code.bounds[b]]
    if code.number(number) is None:
        code.within(number, min(ends), max(ends))
    left, right = one.missing, other.missing
    if left is None and right is None:
        return Scalar(number, per, over)
    no = code.constant(0)
    missing = code.either(
        code.both(flag, no if left is None else left), code.but_not(no if right is None else right, flag)
    )
    return Scalar(number, per, over, missing)


def filled(code: Code, value: Scalar, other: Scalar) -> Scalar:
    """`other` where the value is NULL."""
    if value.missing is None:
        return value
    if value.zero_if_missing and constant_of(code, other) == 0:
        return replace(value, missing=None)
    return chosen(code, value.missing, other, replace(positive(code, value), missing=None))


def greater(code: Code, left: Scalar, right: Scalar) -> Flag:
    """left > right."""
    if left.root or right.root:
        return _of_roots(code, left, right, equal=False)
    return known_where(code, _above(code, left, right, equal=False), any_missing(code, left, right))


def at_least(code: Code, left: Scalar, right: Scalar) -> Flag:
    """left >= right."""
    if left.root or right.root:
        return _of_roots(code, left, right, equal=True)
    return known_where(code, _above(code, left, right, equal=True), any_missing(code, left, right))


def of_ratio(code: Code, left: Scalar, right: Scalar, other: Scalar, above: Above) -> Flag:
    """`above` of left / right, where right cannot be 0, and of the other, by multiplying instead of dividing."""
    product = multiplied(code, other, right)
    flag = above(code, left, product)
    low, high = code.bounds[right.number]
    if low >= 0:
        return flag
    turned = above(code, product, left)
    if high <= 0:
        return turned
    positive = greater(code, right, constant(code, Fraction(0)))
    return either(code, both(code, positive, flag), both(code, negated(code, positive), turned))


def equal(code: Code, left: Scalar, right: Scalar) -> Flag:
    a, b, _, _ = _common(code, left, right)
    return known_where(code, code.equal(a, b), any_missing(code, left, right))


def any_missing(code: Code, left: Scalar, right: Scalar) -> int | None:
    """The flag that is true where one of the two is NULL."""
    if left.missing is None or right.missing is None:
        return right.missing if left.missing is None else left.missing
    return code.either(left.missing, right.missing)


def known_where(code: Code, flag: int, missing: int | None) -> Flag:
    """The flag, neither true nor false where something is missing."""
    if missing is None:
        return Flag(flag)
    return Flag(code.but_not(flag, missing), code.but_not(code.negated(flag), missing))


def negated(code: Code, flag: Flag) -> Flag:
    return Flag(false_of(code, flag), None if flag.no is None else flag.yes)


def both(code: Code, left: Flag, right: Flag) -> Flag:
    yes = code.both(left.yes, right.yes)
    if left.no is None and right.no is None:
        return Flag(yes)
    return Flag(yes, code.either(false_of(code, left), false_of(code, right)))


def either(code: Code, left: Flag, right: Flag) -> Flag:
    yes = code.either(left.yes, right.yes)
    if left.no is None and right.no is None:
        return Flag(yes)
    return Flag(yes, code.both(false_of(code, left), false_of(code, right)))


def false_of(code: Code, flag: Flag) -> int:
    """Where the flag is false."""
    return code.negated(flag.yes) if flag.no is None else flag.no


def positive(code: Code, value: Scalar) -> Scalar:
    """The same scalar with an `over` that is positive even where it is NULL, and something else is chosen."""
    if value.over is None or value.missing is None:
        return value
    return replace(value, over=code.add(value.over, value.missing))


def _of_roots(code: Code, left: Scalar, right: Scalar, *, equal: bool) -> Flag:
    """left > right, or left >= right, where one side or both are square roots."""
    missing = any_missing(code, left, right)
    one, other = _squared(code, left), _squared(code, right)
    flag = _above(code, one, other, equal=equal)
    zero = code.constant(0)
    if left.root and not right.root:
        flag = code.either(code.greater(zero, right.number), flag)
    if right.root and not left.root:
        flag = code.but_not(flag, code.greater(zero, left.number))
    return known_where(code, flag, missing)


def _squared(code: Code, value: Scalar) -> Scalar:
    """What a square root is the root of; the square of anything else."""
    if value.root:
        return replace(value, root=False)
    square = multiplied(code, value, value)
    code.within(square.number, 0, code.bounds[square.number][1])
    return replace(square, never_zero=value.never_zero)


def _above(code: Code, left: Scalar, right: Scalar, *, equal: bool) -> int:
    """Where left > right, or left >= right, of scalars that are no roots. Raises TooLarge."""
    try:
        a, b, _, _ = _common(code, left, right)
        return code.at_least(a, b) if equal else code.greater(a, b)
    except TooLarge:
        return _above_in_digits(code, left, right, equal=equal)


def _above_in_digits(code: Code, left: Scalar, right: Scalar, *, equal: bool) -> int:
    """The same where int64 has no room for what is compared: what is not negative is above what is, of two that are not
    the one with the higher digits, of two that are the one with the lower ones."""
    shared = gcd(left.per, right.per)
    one = _times(code, left.number, right.per // shared, right.over)
    other = _times(code, right.number, left.per // shared, left.over)
    zero = code.constant(0)
    negative, other_negative = code.greater(zero, left.number), code.greater(zero, right.number)
    higher = code.but_not(_higher(code, one, other, equal=equal), code.either(negative, other_negative))
    lower = code.both(_higher(code, other, one, equal=equal), code.both(negative, other_negative))
    return code.either(code.but_not(other_negative, negative), code.either(higher, lower))


def _higher(code: Code, one: Sequence[int], other: Sequence[int], *, equal: bool) -> int:
    flag = code.constant(int(equal))
    for a, b in zip_longest(one, other, fillvalue=code.constant(0)):  # a higher place decides before a lower one
        flag = code.either(code.greater(a, b), code.both(code.equal(a, b), flag))
    return flag


def _times(code: Code, number: int, times: int, over: int | None) -> list[int]:
    """The digits of |number| * times * over, where `times` is a constant. Raises TooLarge."""
    digits = _digits(code, code.absolute(number))
    for factor in [code.constant(times), *([] if over is None else [over])]:
        digits = _multiplied(code, digits, _digits(code, factor))
    return digits


def _digits(code: Code, value: int) -> list[int]:
    """Of what is never negative, to the base _BASE, the lowest first."""
    if (number := code.number(value)) is not None:
        return [code.constant(number % _BASE), code.constant(number // _BASE)] if number >= _BASE else [value]
    if code.bounds[value][1] < _BASE:
        return [value]
    return [code.remainder(value, _BASE), code.divided(value, _BASE)]


def _multiplied(code: Code, digits: Sequence[int], others: Sequence[int]) -> list[int]:
    """The digits of a product, as one does it by hand. Raises TooLarge."""
    if len(others) == 1 and code.number(others[0]) == 1:
        return list(digits)
    product = [code.constant(0)] * (len(digits) + len(others))
    for low, factor in enumerate(others):
        carry = code.constant(0)
        for place, digit in enumerate(digits, low):
            whole = code.add(code.add(code.multiply(digit, factor), product[place]), carry)
            product[place], carry = code.remainder(whole, _BASE), code.divided(whole, _BASE)
        product[low + len(digits)] = carry
    return product


def _common(code: Code, left: Scalar, right: Scalar) -> tuple[int, int, int, int | None]:
    """The numbers of both over one denominator: (left, right, per, over)."""
    shared = gcd(left.per, right.per)
    a = code.multiply(left.number, code.constant(right.per // shared))
    b = code.multiply(right.number, code.constant(left.per // shared))
    over = left.over if right.over is None else right.over
    if left.over != right.over:
        a = a if right.over is None else code.multiply(a, right.over)
        b = b if left.over is None else code.multiply(b, left.over)
        if left.over is not None and right.over is not None:
            over = code.multiply(left.over, right.over)
    return a, b, left.per // shared * right.per, over
