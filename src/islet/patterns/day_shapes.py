"""The usual course of a person's day."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.hours import HOURS, Hours

SHAPE_DAYS: Final = 14
"""Days that make a shape; a fortnight predicts three months (doi:10.2337/dci19-0028)."""
LEAST_DAYS: Final = 5
"""An hour of the clock is known when it has a reading on so many of them."""
LONGEST_GAP_H: Final = 2
"""So many unknown hours in a row are drawn over; more of them, and there is no shape."""


def day_shape(hours: Hours, last: int) -> NDArray[np.float64] | None:
    """Glucose (24,) in mg/dL at each hour of the person's clock, from the fortnight that ends with the day `last`.

    Of each hour of the clock the median of the days' means, smoothed around the clock with weights 1-4-1 (as the
    percentile profiles of clinics are); None where too much of the day is unknown.
    """
    medians = _hourly_medians(hours, last)
    unknown = np.isnan(medians)
    if _longest_run(unknown) > LONGEST_GAP_H:
        return None
    if unknown.any():
        known = np.flatnonzero(~unknown)
        medians = np.interp(np.arange(HOURS), known, medians[known], period=HOURS)
    return (np.roll(medians, 1) + 4.0 * medians + np.roll(medians, -1)) / 6.0


def _hourly_medians(hours: Hours, last: int) -> NDArray[np.float64]:
    """The median over days of the means of each hour of the clock, (24,); NaN where LEAST_DAYS do not have it."""
    table = np.full((SHAPE_DAYS, HOURS), np.inf)
    row = hours.day - (last - SHAPE_DAYS + 1)
    kept = (row >= 0) & (row < SHAPE_DAYS)
    table[row[kept], hours.hour[kept] % HOURS] = (hours.sum_tenths / (10.0 * hours.readings))[kept]
    table.sort(axis=0)  # what is missing comes last
    count = np.isfinite(table).sum(axis=0)
    middle = np.maximum(count, 1)
    clock = np.arange(HOURS)
    medians = (table[(middle - 1) // 2, clock] + table[middle // 2, clock]) / 2.0
    return np.where(count >= LEAST_DAYS, medians, np.nan)


def _longest_run(mask: NDArray[np.bool_]) -> int:
    """The longest run of True around the clock."""
    if mask.all():
        return len(mask)
    longest = run = 0
    start = int(np.argmin(mask))  # a False, so that no run is cut in two
    for true in np.roll(mask, -start).tolist():
        run = run + 1 if true else 0
        longest = max(longest, run)
    return longest
