"""The percentile profile of the day: where glucose lies at each hour, over all days.

Not called "AGP", which is a licensed form; the method is the one common to such profiles, named here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats
from islet.metrics.people import HOUR_US, People

PERCENTILES: Final = (5, 25, 50, 75, 95)
HOURS: Final = 24
SMOOTHING: Final = "circular mean of each hour and its neighbours with weights 1, 4, 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Of p people: readings (p, 24) of each hour of the wall clock; measured_mg_dl (p, 24, 5): the PERCENTILES of all
    readings of that hour; smooth_mg_dl (p, 24, 5): after SMOOTHING, to be drawn at half past the hour. NaN for an hour
    without readings.
    """

    readings: NDArray[np.int64]
    measured_mg_dl: NDArray[np.float64]
    smooth_mg_dl: NDArray[np.float64]


def percentile_profile(people: People) -> Profile:
    """The profile of each person from all their readings, as they are (type-7 quantiles, no grid).

    An hour without readings stays empty, and its neighbours are smoothed with what is left, by its weight.

    >>> percentile_profile(every(5, [100.0, 110.0, 120.0])).measured_mg_dl[0, 0].tolist()
    [101.0, 105.0, 110.0, 115.0, 119.0]
    """
    readings = np.zeros((len(people), HOURS), np.int64)
    measured = np.full((len(people), HOURS, len(PERCENTILES)), np.nan)
    hours = people.clock_us // HOUR_US % HOURS
    for index, rows in enumerate(people.slices()):
        of_person, values = hours[rows], people.glucose_mg_dl[rows]
        for hour in range(HOURS):
            inside = values[of_person == hour]
            readings[index, hour] = len(inside)
            if len(inside):
                measured[index, hour] = np.percentile(inside, PERCENTILES)
    return Profile(readings=readings, measured_mg_dl=measured, smooth_mg_dl=_smoothed(measured))


def _smoothed(measured: Floats) -> Floats:
    """1-4-1 along the hours (p, 24, 5), round midnight."""
    total, weight = np.zeros_like(measured), np.zeros_like(measured)
    for shift, share in ((-1, 1.0), (0, 4.0), (1, 1.0)):
        moved = np.roll(measured, shift, axis=1)
        there = ~np.isnan(moved)
        total += np.where(there, moved, 0.0) * share
        weight += there * share
    return np.where(np.isnan(measured), np.nan, total / np.maximum(weight, 1.0))
