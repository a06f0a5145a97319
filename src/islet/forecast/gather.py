"""Histories of many people at once, from the readings that each of them keeps: what the engine gives the forecaster.

The same as `grid.history` for each row, which is the reference; compiled, as it is met by every reading.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from islet.forecast.grid import LONGEST_GAP_MIN, LOOKS_BACK, STEP_US
from islet.model.time import MINUTE_US

_STEP_US: Final = np.int64(STEP_US)
_WIDEST_US: Final = np.int64(LONGEST_GAP_MIN * MINUTE_US)
_TENTH: Final = np.float64(0.1)


def histories(
    time_us: NDArray[np.int64], glucose_tenths: NDArray[np.int32], count: NDArray[np.int64], points: int = LOOKS_BACK
) -> NDArray[np.float32]:
    """(n, points) mg/dL, the newest reading last, NaN unknown, of the first `count` (n,) entries of each row (n, k),
    tenths of mg/dL. To the last bit what the engine gathers of the same readings.

    Entries of a row ascend in time, without doubles; of readings every minute, one in four or five is enough to keep.
    A row without entries is unknown throughout.
    """
    out = np.full((len(time_us), points), np.nan, np.float32)
    _gather(time_us, glucose_tenths, count, out)
    return out


def _gathered(time_us: Any, tenths: Any, count: Any, out: Any) -> None:
    for row in range(out.shape[0]):
        later = count[row] - 1  # the first entry at or after the point
        if later < 0:
            continue
        newest = time_us[row, later]
        for back in range(out.shape[1]):
            at = newest - back * _STEP_US
            while later > 0 and time_us[row, later - 1] >= at:
                later -= 1
            place = out.shape[1] - 1 - back
            value = np.float64(tenths[row, later])
            if time_us[row, later] == at:
                out[row, place] = np.float32(value * _TENTH)
                continue
            if later == 0:
                break
            gap = time_us[row, later] - time_us[row, later - 1]
            if gap <= _WIDEST_US:
                share = np.float64(at - time_us[row, later - 1]) / np.float64(gap)
                before = np.float64(tenths[row, later - 1])
                out[row, place] = np.float32((before + (value - before) * share) * _TENTH)


_gather = njit(cache=True)(_gathered)
