"""Whether there are enough readings to say something: days worn, and the share of them with readings.

The consensus asks for 14 days with at least 70 % of readings (doi:10.2337/dci19-0028, table 2).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats, ratio, sums
from islet.metrics.grid import steps_min
from islet.metrics.people import DAY_US, MINUTE_US, People

WINDOW_DAYS: Final = 14
WARM_UP_DAYS: Final = 2.0 / 24.0
"""A sensor gives no readings while it warms up (Libre 1 h, Dexcom G6 2 h): so much of its 14 days may be missing."""

ENOUGH_ACTIVE_PERCENT: Final = 70.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sufficiency:
    """readings (p,); step_min (p,): the median distance of readings, 0 with fewer than two. days_worn (p,): from the
    first reading to the end of the last one's step, in days. active_percent (p,): share of expected readings that are
    there, from first to last. window_active_percent (p,): the same share of the 14 days that end with the last
    reading. NaN with fewer than two readings. enough (p,): at least 14 days, less a warm-up, of which the last 14
    are at least 70 % active.
    """

    readings: NDArray[np.int64]
    step_min: NDArray[np.int64]
    days_worn: Floats
    active_percent: Floats
    window_active_percent: Floats
    enough: NDArray[np.bool_]


def sufficiency(people: People) -> Sufficiency:
    """How much there is of each person's glucose."""
    step = steps_min(people)
    days = _span_us(people) / DAY_US + step * MINUTE_US / DAY_US
    days = np.where(step > 0, days, np.nan)
    window = window_active_percent(people)
    with np.errstate(invalid="ignore"):
        enough = (days >= WINDOW_DAYS - WARM_UP_DAYS) & (window >= ENOUGH_ACTIVE_PERCENT)
    return Sufficiency(
        readings=people.counts,
        step_min=step,
        days_worn=days,
        active_percent=active_percent(people),
        window_active_percent=window,
        enough=enough,
    )


def active_percent(people: People) -> Floats:
    """Share (p,) in percent of the readings that a sensor at the median distance would have made from the first to
    the last: those expected, less what fits into gaps longer than that distance. Conventions of iglu's active_percent
    (doi:10.2337/dc17-1600), but with each person's own distance. NaN with fewer than two readings.

    >>> active_percent(every(5, [100.0, 100.0, float("nan"), 100.0, 100.0, 100.0])).round(1).tolist()
    [83.3]
    """
    step = steps_min(people)
    minutes = np.diff(people.clock_us) / MINUTE_US
    same = people.owner[1:] == people.owner[:-1]
    long = np.zeros(len(people.clock_us), np.bool_)
    long[1:] = same & (np.round(minutes) > step[people.owner[1:]])
    distance = np.zeros(len(people.clock_us))
    distance[1:] = minutes
    gap_minutes, gaps = sums(np.where(long, distance, 0.0), people.offsets), sums(long, people.offsets)
    each = np.where(step > 0, step, np.nan)
    expected = np.round(np.round(_span_us(people) / MINUTE_US) / each) + 1.0
    missing = np.round((gap_minutes - gaps * each) / each)
    return 100.0 * (expected - missing) / expected


def window_active_percent(people: People, *, days: int = WINDOW_DAYS) -> Floats:
    """Share (p,) in percent of the readings expected in the `days` that end with the last reading; a little over 100
    is possible, since both ends count. NaN with fewer than two readings.
    """
    step = steps_min(people)
    since = np.zeros(len(people), np.int64)
    some = people.counts > 0
    since[some] = people.clock_us[people.offsets[1:][some] - 1] - days * DAY_US
    inside = sums(people.clock_us >= since[people.owner], people.offsets)
    return np.where(step > 0, 100.0 * ratio(inside, days * 1440.0 / np.where(step > 0, step, 1)), np.nan)


def _span_us(people: People) -> Floats:
    """From first to last reading (p,) in µs; 0 without readings."""
    span = np.zeros(len(people))
    some = people.counts > 0
    last, first = people.offsets[1:][some] - 1, people.offsets[:-1][some]
    span[some] = people.clock_us[last] - people.clock_us[first]
    return span
