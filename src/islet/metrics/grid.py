"""Glucose at even steps of the clock: what metrics of change, of days and of episodes look at.

The conventions are iglu's (Broll 2021, doi:10.1371/journal.pone.0248560): the step is the median distance of
readings, rounded to a minute; where it does not divide a day it becomes 20 min if it is longer than that, else the
nearest multiple of 5. The grid begins one step after the midnight before the first reading, so that a day goes from
00:05 to 24:00 for a sensor of 5 min. It is linear between readings, and empty before the first, after the last, and
strictly within any gap of more than 45 min. A person whose readings are mostly more than 45 min apart has no grid.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.people import DAY_US, MINUTE_US, People
from islet.model.compiled import kernel

LONGEST_GAP_MIN: Final = 45
"""Over a longer gap nothing is interpolated."""

_DAY_MIN: Final = 1440


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Whole days of p people at even steps.

    step_min (p,): minutes between points; 0 for a person without a grid. offsets (p+1,): person i has points
    offsets[i]:offsets[i+1], whole days of 1440 / step_min[i] points. midnight_us (p,): the wall clock at the begin of
    their first day; point k is at midnight_us + (k + 1) steps. glucose_mg_dl (m,): NaN where there is no value.
    """

    step_min: NDArray[np.int64]
    offsets: NDArray[np.int64]
    midnight_us: NDArray[np.int64]
    glucose_mg_dl: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step_min)


def steps_min(people: People) -> NDArray[np.int64]:
    """The median distance of readings (p,) in whole minutes, halves to even; 0 with fewer than two readings."""
    steps = np.zeros(len(people), np.int64)
    for index, rows in enumerate(people.slices()):
        distances = np.diff(people.clock_us[rows])
        if len(distances):
            steps[index] = round(float(np.median(distances)) / MINUTE_US)
    return steps


def day_grid(people: People, *, step_min: int | None = None, gap_min: int = LONGEST_GAP_MIN) -> Grid:
    """The people's grids; at `step_min` where it is given (a divisor of 1440), else at each person's own step."""
    measured = steps_min(people)
    has_grid = (people.counts > 1) & (measured <= gap_min)
    steps = np.where(has_grid, even_steps_min(measured) if step_min is None else step_min, 0)
    midnights, days = np.zeros(len(people), np.int64), np.zeros(len(people), np.int64)
    for index, rows in enumerate(people.slices()):
        if steps[index]:
            clock = people.clock_us[rows]
            first, last = int(clock.min()), int(clock.max())
            midnights[index] = first // DAY_US * DAY_US
            days[index] = -((first - last) // DAY_US) + 1
    points = days * (_DAY_MIN // np.maximum(steps, 1))
    offsets = np.concatenate(([0], np.cumsum(points))).astype(np.int64)
    glucose = np.full(int(offsets[-1]), np.nan)
    gap_us = gap_min * MINUTE_US
    _fill(people.offsets, people.clock_us, people.glucose_mg_dl, steps * MINUTE_US, midnights, offsets, gap_us, glucose)
    return Grid(step_min=steps, offsets=offsets, midnight_us=midnights, glucose_mg_dl=glucose)


def even_steps_min(measured: NDArray[np.int64]) -> NDArray[np.int64]:
    """Steps (p,) that divide a day for measured ones; a step below a minute or of 0 is none, 0.

    >>> even_steps_min(np.array([1, 5, 7, 13, 15, 22, 45, 0])).tolist()
    [1, 5, 5, 15, 15, 20, 45, 0]
    """
    divides = (measured > 0) & (_DAY_MIN % np.maximum(measured, 1) == 0)
    near = np.where(measured % 5 > 2, measured + 5 - measured % 5, measured - measured % 5)
    return np.where(divides, measured, np.where(measured > 20, 20, near))


@kernel
def _fill(
    rows: NDArray[np.int64],
    clock: NDArray[np.int64],
    values: NDArray[np.float64],
    steps_us: NDArray[np.int64],
    midnights: NDArray[np.int64],
    points: NDArray[np.int64],
    gap_us: int,
    out: NDArray[np.float64],
) -> None:
    """Walk along the readings of each person once, and fill the points from each to the next."""
    for person in range(len(steps_us)):
        step = steps_us[person]
        if step == 0:
            continue
        first = points[person]
        left = rows[person]
        for right in range(rows[person], rows[person + 1]):
            if right > rows[person] and clock[right] <= clock[left]:
                continue  # the second pass of an hour that comes twice
            begin, end = clock[left], clock[right]
            point = (begin - midnights[person] + step - 1) // step - 1  # the first at or after the left reading
            at = midnights[person] + (point + 1) * step
            while at <= end and point < points[person + 1] - first:
                if point >= 0:
                    if at == end:
                        out[first + point] = values[right]
                    elif at == begin:
                        out[first + point] = values[left]
                    elif end - begin <= gap_us:
                        share = (at - begin) / (end - begin)
                        out[first + point] = values[left] + (values[right] - values[left]) * share
                point += 1
                at += step
            left = right
