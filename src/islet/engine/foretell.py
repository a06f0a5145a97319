"""What a value will be in a while, as the values so far foretell it: the baseline that every forecaster has to beat.

Persistence plus a damped slope. The slope b is that of the least-squares line through the values of the last 20
minutes; it goes on, but ever less, so that in h it makes what it would undamped make in h' = h * d / (h + d), with
d = 30 min:

    forecast(h) = value + b * h'      rounded down, in whole numbers throughout, from 0 to 65,535

With fewer than three values, or all of them within four minutes, the value stays what it is. Slopes persist about
that long in people; d is our choice.
"""

from typing import Final

import numpy as np

from islet.engine.kernel import Int, part
from islet.engine.series import MOST_VALUE, Entries
from islet.model.time import MINUTE_US, SECOND_US

LOOKS_BACK_US: Final = 20 * MINUTE_US
_LEAST_SPAN_S: Final = 240
_LEAST_VALUES: Final = 3
_DAMPED_S: Final = 1_800


@part
def slope(entries: Entries, end: Int) -> tuple[Int, Int]:
    """The slope per second at the last entry before place `end`, by the entries of the 20 minutes before it, as a
    fraction: what is above the line and, positive, what is below it."""
    now_us = entries.times_us[np.uint64(end - 1)]
    value = entries.values[np.uint64(end - 1)]
    from_us = now_us - LOOKS_BACK_US
    begin = end
    while begin > 0 and entries.times_us[np.uint64(begin - 1)] >= from_us:
        begin -= 1
    n = end - begin
    if n < _LEAST_VALUES or now_us - entries.times_us[np.uint64(begin)] < _LEAST_SPAN_S * SECOND_US:
        return 0, 1
    x, y, xx, xy = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for k in range(np.uint64(begin), np.uint64(end)):
        age = np.int64(np.uint64(now_us - entries.times_us[k]) // np.uint64(SECOND_US))
        more = entries.values[k] - value
        x += age
        y += more
        xx += age * age
        xy += age * more
    return x * y - n * xy, n * xx - x * x


def undamped_s(ahead_us: int) -> int:
    """How long a slope would have to go on undamped to make what it makes that far ahead."""
    ahead_s = ahead_us // SECOND_US
    return ahead_s * _DAMPED_S // (ahead_s + _DAMPED_S)


@part
def foretold(value: Int, above: Int, below: Int, goes_on_s: Int) -> Int:
    """The value after a slope from it has gone on for so long."""
    return min(max(value + above * goes_on_s // below, 0), MOST_VALUE)
