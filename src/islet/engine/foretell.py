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
def foretell(entries: Entries, end: Int, ahead_us: Int) -> Int:
    """The value that far ahead of the last entry before place `end`, by the entries of the 20 minutes before it."""
    now_us = entries.times_us[end - 1]
    value = entries.values[end - 1]
    n, x, y, xx, xy = 0, 0, 0, 0, 0
    k = end
    while k > 0 and entries.times_us[k - 1] >= now_us - LOOKS_BACK_US:
        k -= 1
        age = (now_us - entries.times_us[k]) // SECOND_US
        n += 1
        x += age
        y += entries.values[k] - value
        xx += age * age
        xy += age * (entries.values[k] - value)
    if n < _LEAST_VALUES or (now_us - entries.times_us[k]) // SECOND_US < _LEAST_SPAN_S:
        return np.int64(value)
    ahead = ahead_us // SECOND_US
    gained = (x * y - n * xy) * (ahead * _DAMPED_S // (ahead + _DAMPED_S)) // (n * xx - x * x)
    return np.int64(min(max(value + gained, 0), MOST_VALUE))
