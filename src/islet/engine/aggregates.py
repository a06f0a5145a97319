"""Aggregates over windows, made of the sums that the kernel gathers.

An average stays a sum over a count, a variance and a slope stay fractions of sums; what has no value (the variance of
one reading, the slope within one instant, the average of no events) is NULL, as in SQL.
"""

from typing import Final

from islet.engine.code import Bound, Code, Gathered
from islet.engine.program import (
    AGES,
    AGES_SQUARED,
    AGES_VALUES,
    CONTEXT,
    CONTEXT_SCALE,
    COUNT,
    FIRST,
    LAST,
    MAX,
    MIN,
    PREVIOUS,
    PREVIOUS_AGE,
    SPAN,
    SQUARES,
    SUM,
    VALUE,
)
from islet.engine.scalars import Scalar
from islet.engine.sql_windows import Window
from islet.engine.tables import CONTEXT_HIGH, MOST_VALUES, Context, Named, Quantity
from islet.model.time import SECOND_US

_ONE_VALUE: Final = {"min": MIN, "max": MAX, "first": FIRST, "last": LAST}
_UNBOUND: Final = Bound()
_LONGEST_AGO_S: Final = 100 * 366 * 86_400


def write_window(window: Window, code: Code) -> Scalar:
    """The scalar of an aggregate. Raises TooLarge."""
    over = window.over
    if isinstance(over, Context):
        return _of_events(window, over, code)
    if over == Named("time_min"):
        return _minutes(window, code)
    if over is None or window.aggregate == "count":
        return Scalar(_count(window, code))
    assert isinstance(over, Quantity)
    low, high, scale = over.stream.low, over.stream.high, over.stream.scale
    if window.aggregate == "lag":
        none = code.equal(_age_of_previous(code), code.constant(-1))
        return Scalar(code.input(Gathered(VALUE, PREVIOUS, 0), low, high), scale, missing=none)
    if window.aggregate in _ONE_VALUE:
        aggregate = _ONE_VALUE[window.aggregate]
        one = code.input(Gathered(VALUE, aggregate, window.window_us), low, high)
        return Scalar(one, scale, missing=_none(window, code))
    total = feature(code, window, VALUE, SUM, 0, MOST_VALUES * high)
    if window.aggregate == "sum":
        return Scalar(total, scale, missing=_none(window, code), zero_if_missing=True)
    if window.aggregate == "avg":
        return Scalar(total, scale, _count(window, code), _none(window, code))
    if window.aggregate == "slope":
        return _slope(window, total, high, scale, code)
    return _variance(window, total, high, scale, code)


def feature(
    code: Code, window: Window, source: int, aggregate: int, low: int, high: int, bound: Bound = _UNBOUND
) -> int:
    """What is counted or added up over the window. Of one that ends before now it is what the window up to now has, without
    what is younger."""
    whole = code.input(Gathered(source, aggregate, window.window_us, bound), low, high)
    if not window.until_us:
        return whole
    younger = code.input(Gathered(source, aggregate, window.until_us - 1, bound), low, high)
    return code.within(code.subtract(whole, younger), 0, high)


def source_of(column: Quantity | Context) -> int:
    """Where a column's features come from."""
    return CONTEXT + column.place if isinstance(column, Context) else VALUE


def _count(window: Window, code: Code) -> int:
    return feature(code, window, VALUE, COUNT, 1, MOST_VALUES)


def _none(window: Window, code: Code) -> int | None:
    """The flag that is true where the window holds no value: one that ends now holds the newest."""
    return code.equal(_count(window, code), code.constant(0)) if window.until_us else None


def _variance(window: Window, total: int, high: int, scale: int, code: Code) -> Scalar:
    """(n Σv² - (Σv)²) / (n (n - 1)); NULL for one value."""
    count = _count(window, code)
    squares = feature(code, window, VALUE, SQUARES, 0, MOST_VALUES * high * high)
    spread = code.subtract(code.multiply(count, squares), code.multiply(total, total))
    code.within(spread, 0, MOST_VALUES * MOST_VALUES * high * high // 4)
    pairs = code.multiply(count, code.add(count, code.constant(-1)))
    alone = code.greater(code.constant(2), count)
    return Scalar(spread, scale * scale, pairs, alone, root=window.aggregate == "stddev_samp")


def _slope(window: Window, total: int, high: int, scale: int, code: Code) -> Scalar:
    """The least squares slope per minute; NULL where all values are of one instant.

    Over ages x in seconds, which run backwards: 60 (Σx Σv - n Σxv) / (n Σx² - (Σx)²).
    """
    longest = window.window_us // SECOND_US
    count = _count(window, code)
    ages = feature(code, window, VALUE, AGES, 0, MOST_VALUES * longest)
    squared = feature(code, window, VALUE, AGES_SQUARED, 0, MOST_VALUES * longest**2)
    products = feature(code, window, VALUE, AGES_VALUES, 0, MOST_VALUES * longest * high)
    spread = code.subtract(code.multiply(count, squared), code.multiply(ages, ages))
    code.within(spread, 0, MOST_VALUES**2 * longest**2 // 4)
    rise = code.subtract(code.multiply(ages, total), code.multiply(count, products))
    most = MOST_VALUES**2 * longest * high // 4
    code.within(rise, -most, most)
    shared = 10 if scale % 10 == 0 else 1
    number = code.multiply(rise, code.constant(60 // shared))
    return Scalar(number, scale // shared, spread, code.equal(spread, code.constant(0)))


def _minutes(window: Window, code: Code) -> Scalar:
    """Minutes since the first value of the window, or since the previous value."""
    if window.aggregate == "lag":
        age = _age_of_previous(code)
        return Scalar(age, 60, missing=code.equal(age, code.constant(-1)))
    longest = window.window_us // SECOND_US
    return Scalar(code.input(Gathered(VALUE, SPAN, window.window_us), 0, longest), 60)


def _age_of_previous(code: Code) -> int:
    return code.input(Gathered(VALUE, PREVIOUS_AGE, 0), -1, _LONGEST_AGO_S)


def _of_events(window: Window, over: Context, code: Code) -> Scalar:
    """An aggregate of the events of a window, of which there may be none."""
    source, most = source_of(over), CONTEXT_HIGH[over.place]
    count = feature(code, window, source, COUNT, 0, MOST_VALUES)
    if window.aggregate == "count":
        return Scalar(count)
    none = code.equal(count, code.constant(0))
    scale = CONTEXT_SCALE[over.place]
    if window.aggregate in ("sum", "avg"):
        total = feature(code, window, source, SUM, 0, most)
        average = window.aggregate == "avg"
        return Scalar(total, scale, count if average else None, none, zero_if_missing=not average)
    one = code.input(Gathered(source, _ONE_VALUE[window.aggregate], window.window_us), 0, most // MOST_VALUES)
    return Scalar(one, scale, missing=none)
