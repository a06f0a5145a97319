"""Sets of values, made of intervals: which values of a window fulfil a condition, and how many, and what they add up to.

An interval is what is at least each of some bounds and below each of others. A set is a sum of intervals, each taken so many
times (-1: away), in which every value is once or not at all. The kernel counts and adds up from a bound upwards, so that of
an interval it is a difference; where a bound is a patient's own, which of two is the higher is not known before.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

from islet.engine.code import Bound, Code

From = Callable[[Bound | None], int]
"""The value of the code that is made of what is at least a bound; None: of everything."""

_MOST: Final = 64


class TooMany(ValueError):
    """A set of more intervals than rules may ask for."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What is at least all of `lows`, and at least none of `ends`."""

    lows: frozenset[Bound] = frozenset()
    ends: frozenset[Bound] = frozenset()


EVERYTHING: Final = Interval()
Set = Mapping[Interval, int]
ALL: Final[Set] = {EVERYTHING: 1}
NONE: Final[Set] = {}


def from_to(low: Bound | None, end: Bound | None) -> Set:
    """What is at least `low` and below `end`; None: no such limit."""
    some = (frozenset() if one is None else frozenset([one]) for one in (low, end))
    return _without_empty({Interval(*some): 1})


def both(one: Set, other: Set) -> Set:
    found = Counter[Interval]()
    for a, times in one.items():
        for b, more in other.items():
            found[_narrowed(Interval(a.lows | b.lows, a.ends | b.ends))] += times * more
    return _without_empty(found)


def either(one: Set, other: Set) -> Set:
    return _added(_added(one, other), both(one, other), -1)


def all_but(one: Set) -> Set:
    return _added(ALL, one, -1)


def over(code: Code, interval: Interval, of: From, most: int) -> int:
    """The count or the sum over an interval, at most `most`, where `of` gives that of what is at least a bound: never
    more for a higher one."""
    low = reduce(lambda a, b: _least(code, a, b), [of(one) for one in _sorted(interval.lows)] or [of(None)])
    if not interval.ends:
        return low
    end = reduce(lambda a, b: _greatest(code, a, b), [of(one) for one in _sorted(interval.ends)])
    found = code.subtract(low, end)
    if interval.lows and not _in_order(interval):
        found = code.multiply(found, code.greater(found, code.constant(0)))
    return found if code.number(found) is not None else code.within(found, 0, most)


def _sorted(bounds: frozenset[Bound]) -> list[Bound]:
    return sorted(bounds)


def _added(one: Set, other: Set, times: int = 1) -> Set:
    found = Counter(dict(one))
    for interval, more in other.items():
        found[interval] += times * more
    return _without_empty(found)


def _without_empty(found: Set) -> Set:
    left = {one: times for one, times in found.items() if times and not _is_empty(one)}
    if len(left) > _MOST:
        raise TooMany
    return left


def _narrowed(one: Interval) -> Interval:
    """The same with at most one number on each side; the bounds of patients stay."""
    numbers, ends = ([b for b in some if not b.parameter] for some in (one.lows, one.ends))
    lows = frozenset(b for b in one.lows if b.parameter) | frozenset([max(numbers, key=_number)] if numbers else [])
    return Interval(
        lows, frozenset(b for b in one.ends if b.parameter) | frozenset([min(ends, key=_number)] if ends else [])
    )


def _is_empty(one: Interval) -> bool:
    lows, ends = ([_number(b) for b in some if not b.parameter] for some in (one.lows, one.ends))
    return bool(one.lows & one.ends) or (bool(lows) and bool(ends) and max(lows) >= min(ends))


def _in_order(one: Interval) -> bool:
    """Whether no end can be below a low."""
    return not any(bound.parameter for bound in one.lows | one.ends)


def _number(bound: Bound) -> int:
    return bound.plus // bound.per


def _least(code: Code, a: int, b: int) -> int:
    return code.add(b, code.multiply(code.greater(b, a), code.subtract(a, b)))


def _greatest(code: Code, a: int, b: int) -> int:
    return code.add(b, code.multiply(code.greater(a, b), code.subtract(a, b)))
