"""ROUND, FLOOR, CEIL and the remainder of a division, exactly: a scalar that is whole, or has so many decimals.

ROUND takes a half away from zero, and a remainder has the sign of what is divided, as DuckDB and Spark have it (so does
the standard). Where an engine divides in floats first, its result may lie beside a half that is one here.
"""

from fractions import Fraction

from islet.engine.code import Code
from islet.engine.scalars import Scalar, added, constant, multiplied, positive


def floored(code: Code, value: Scalar) -> Scalar:
    """The greatest whole number that is not above the value. Raises TooLarge, as all of these."""
    value = positive(code, value)
    return Scalar(code.divided_by(value.number, _below(code, value)), missing=value.missing)


def ceiled(code: Code, value: Scalar) -> Scalar:
    """The least whole number that is not below the value."""
    return _turned(code, floored(code, _turned(code, value)))


def rounded(code: Code, value: Scalar, decimals: int) -> Scalar:
    """To so many decimals (tens, hundreds … below 0); a half is rounded away from zero."""
    ten = Fraction(10) ** decimals
    scaled = multiplied(code, value, constant(code, ten))
    half = constant(code, Fraction(1, 2))
    whole = floored(code, added(code, _without_sign(code, scaled), half))
    return multiplied(code, _with_sign(code, value, whole), constant(code, 1 / ten))


def remainder(code: Code, value: Scalar, by: Fraction) -> Scalar:
    """What is left of the value when `by`, which is not 0, is taken away as often as it goes; with the value's sign."""
    size = _without_sign(code, value)
    step = constant(code, abs(by))
    times = floored(code, multiplied(code, size, constant(code, 1 / abs(by))))
    left = added(code, size, multiplied(code, times, step), minus=True)
    code.within(left.number, 0, _most(left, abs(by), code))
    return _with_sign(code, value, left)


def _below(code: Code, value: Scalar) -> int:
    """What a scalar's number is divided by."""
    per = code.constant(value.per)
    return per if value.over is None else code.multiply(value.over, per)


def _most(value: Scalar, limit: Fraction, code: Code) -> int:
    """The greatest number of a scalar that is less than the limit."""
    over = 1 if value.over is None else code.bounds[value.over][1]
    return -(-limit * value.per * over // 1) - 1


def _without_sign(code: Code, value: Scalar) -> Scalar:
    return Scalar(code.absolute(value.number), value.per, value.over, value.missing)


def _with_sign(code: Code, sign: Scalar, size: Scalar) -> Scalar:
    """`size`, which is never negative, below 0 where `sign` is."""
    below = code.greater(code.constant(0), sign.number)
    factor = code.subtract(code.constant(1), code.multiply(below, code.constant(2)))
    return Scalar(code.multiply(size.number, factor), size.per, size.over, size.missing)


def _turned(code: Code, value: Scalar) -> Scalar:
    return Scalar(code.multiply(value.number, code.constant(-1)), value.per, value.over, value.missing)
