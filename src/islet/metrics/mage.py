"""Mean amplitude of glycaemic excursions, by two moving averages.

Service's excursions (1970, doi:10.2337/diab.19.9.644) are drawn by hand; of the programs that imitate it, Fernandes's
(2022, doi:10.1177/19322968211061165, iglu's algorithm "ma") comes nearest to hand. On the grid of 5 min, trimmed to
its first and last value and cut where more than 180 min are missing, each segment of at least 32 points goes through:

1. Trailing means over 5 and 32 points (25 and 160 min), of what is there; before they are full, their first full value.
2. Where the short one crosses the long one, a stretch of maximum becomes one of minimum, or the other way round.
3. Turning points: the highest or lowest point from the last turning point to the next crossing.
4. MAGE+ (nadir to peak): walk along the turning points until one is at least one standard deviation of the segment
   above an earlier one; follow it to its highest point, until a fall of more than one standard deviation or the end.
   Go on from there. MAGE- mirrors it.
5. A segment's MAGE+ and MAGE- are the means of its excursions; "service" is the one whose excursion comes first.

Segments are weighted by their time. MAGE is not one number: name the kind and "two moving averages" where it is shown.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats, ratio, sums
from islet.metrics.grid import day_grid
from islet.metrics.people import People
from islet.model.compiled import making_kernel

STEP_MIN: Final = 5
SHORT_POINTS: Final = 5
LONG_POINTS: Final = 32
_SPLIT_POINTS: Final = 36  # more points than these missing in a row (180 min) part two segments


@dataclass(frozen=True, kw_only=True, slots=True)
class Mage:
    """MAGE (p,) in mg/dL of each kind; NaN where there is none.

    plus, minus: NaN also where a segment has excursions of the other direction only, as in iglu. average: over all
    that segments have. service: in each segment that of the first excursion. greatest: in each segment that has both,
    the greater one.
    """

    plus: Floats
    minus: Floats
    average: Floats
    service: Floats
    greatest: Floats


def mage(people: People) -> Mage:
    """All five kinds; NaN where no segment is long enough or nothing rises or falls by a standard deviation.

    >>> import numpy as np
    >>> wave = 150.0 + 60.0 * np.sin(np.arange(576) * 2.0 * np.pi / 288.0)
    >>> mage(every(5, wave.tolist())).minus.round(6).tolist()
    [120.0]
    """
    grid = day_grid(people, step_min=STEP_MIN)
    begins, ends, owner = _segments(grid.glucose_mg_dl, grid.offsets)
    plus, minus = np.full(len(begins), np.nan), np.full(len(begins), np.nan)
    plus_first = np.zeros(len(begins), np.bool_)
    _excursions(grid.glucose_mg_dl, begins, ends, plus, minus, plus_first)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=len(people))))).astype(np.int64)
    weight = (ends - begins - 1).astype(np.float64)
    told = ~(np.isnan(plus) & np.isnan(minus))
    both = ~(np.isnan(plus) | np.isnan(minus))
    twice = np.where(plus == minus, 2.0, 1.0)  # equal ones are both the greatest, and count as two segments
    return Mage(
        plus=_weighted(plus, weight * told, offsets),
        minus=_weighted(minus, weight * told, offsets),
        average=_weighted(
            np.nan_to_num(plus) + np.nan_to_num(minus),
            weight * told,
            offsets,
            shares=(~np.isnan(plus)).astype(np.float64) + ~np.isnan(minus),
        ),
        service=_weighted(np.where(plus_first, plus, minus), weight * told, offsets),
        greatest=_weighted(np.fmax(plus, minus), weight * both * twice, offsets),
    )


def naive_mage_mg_dl(people: People, *, multiple: float = 1.0) -> Floats:
    """The "naive" algorithm (p,) in mg/dL: the mean distance from the mean of those readings that are more than
    `multiple` standard deviations away from it. It looks at no order in time; for comparison with old values only.
    """
    out = np.full(len(people), np.nan)
    for index, rows in enumerate(people.slices()):
        values = people.glucose_mg_dl[rows]
        if len(values) > 1:
            distance = np.abs(values - values.mean())
            far = distance > multiple * values.std(ddof=1)
            out[index] = distance[far].mean() if far.any() else np.nan
    return out


def _weighted(values: Floats, weight: Floats, offsets: NDArray[np.int64], *, shares: Floats | float = 1.0) -> Floats:
    """The mean of segments' values by weight (p,). A value counts `shares` times (values are sums of so many)."""
    counted = np.where(weight > 0.0, values * weight, 0.0)
    return ratio(sums(counted, offsets), sums(weight * shares, offsets))


@making_kernel
def _segments(
    values: Floats, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Begins, ends (exclusive) and owners (s,) of stretches that begin and end with a value and miss no more than
    _SPLIT_POINTS in a row."""
    most = len(values) // (_SPLIT_POINTS + 1) + len(offsets)
    begins, ends, owners = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    number = 0
    for person in range(len(offsets) - 1):
        last = -1
        for point in range(offsets[person], offsets[person + 1]):
            if np.isnan(values[point]):
                continue
            if last < 0 or point - last - 1 > _SPLIT_POINTS:
                begins[number], owners[number] = point, person
                number += 1
            ends[number - 1] = point + 1
            last = point
    return begins[:number].copy(), ends[:number].copy(), owners[:number].copy()


@making_kernel
def _trailing_mean(values: Floats, end: int, points: int) -> float:
    """The mean of those of the last `points` before `end` that have a value, in two passes; NaN where none has."""
    number, total = 0, 0.0
    for point in range(end - points, end):
        if not np.isnan(values[point]):
            number += 1
            total += values[point]
    if number == 0:
        return np.nan
    mean, rest = total / number, 0.0
    for point in range(end - points, end):
        if not np.isnan(values[point]):
            rest += values[point] - mean
    return mean + rest / number


@making_kernel
def _lead(values: Floats) -> Floats:
    """The short minus the long trailing mean at each point (n,); n is at least LONG_POINTS."""
    lead = np.empty(len(values))
    for point in range(len(values)):
        short = _trailing_mean(values, max(point + 1, SHORT_POINTS), SHORT_POINTS)
        lead[point] = short - _trailing_mean(values, max(point + 1, LONG_POINTS), LONG_POINTS)
    return lead


@making_kernel
def _turns(values: Floats) -> Floats:
    """The heights of the turning points (t,) of one segment, in order of time."""
    lead = _lead(values)
    crossings, up = np.empty(len(values) + 1, np.int64), np.empty(len(values) + 1, np.bool_)
    crossings[0] = 0
    up[0] = lead[0] > 0.0
    number = 1
    for point in range(1, len(values)):
        here, before = lead[point], lead[point - 1]
        if np.isnan(values[point]) or np.isnan(values[point - 1]) or np.isnan(here) or np.isnan(before):
            continue
        reference = before if here * before < 0.0 else lead[crossings[number - 1]]
        if here * reference < 0.0:  # since the last point, or, after a gap or a tie, since the last crossing
            crossings[number], up[number] = point, here > reference
            number += 1
    crossings[number] = len(values) - 1
    heights = np.empty(number)
    begin = 0
    for turn in range(number):
        best = begin
        for point in range(begin, crossings[turn + 1] + 1):
            value = values[point]
            if (up[turn] and value > values[best]) or (not up[turn] and value < values[best]):
                best = point
        heights[turn] = values[best]
        begin = best
    return heights


@making_kernel
def _climbs(heights: Floats, deviation: float) -> tuple[float, int, int]:
    """Mean height of the climbs (NaN without one), and the turning points at which the first begins and ends."""
    total, number, first_begin, first_end = 0.0, 0, -1, -1
    since = here = 0
    while here < len(heights):
        lowest = since
        for turn in range(since, here + 1):
            if heights[turn] < heights[lowest]:
                lowest = turn
        if heights[here] - heights[lowest] < deviation:
            here += 1
            continue
        for turn in range(here, len(heights)):
            if heights[turn] > heights[here]:
                here = turn
            if heights[turn] - heights[here] < -deviation or turn == len(heights) - 1:
                total += heights[here] - heights[lowest]
                number += 1
                if number == 1:
                    first_begin, first_end = lowest, here
                since = here = turn
                break
    return total / number if number else np.nan, first_begin, first_end


@making_kernel
def _excursions(
    values: Floats,
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    plus: Floats,
    minus: Floats,
    plus_first: NDArray[np.bool_],
) -> None:
    """MAGE+, MAGE- and which comes first, of each segment."""
    for segment in range(len(begins)):
        points = values[begins[segment] : ends[segment]]
        if len(points) < LONG_POINTS:
            continue
        deviation = np.nanstd(points)
        number = np.sum(~np.isnan(points))
        if number < 2 or deviation < 1e-6:  # flat but for rounding
            continue
        deviation *= np.sqrt(number / (number - 1.0))
        heights = _turns(points)
        plus[segment], _, peak = _climbs(heights, deviation)
        minus[segment], top, _ = _climbs(-heights, deviation)
        plus_first[segment] = peak >= 0 and (top < 0 or peak <= top)
