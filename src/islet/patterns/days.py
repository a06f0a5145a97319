"""A person's days in a few numbers each."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.hours import HOURS, Hours

SUFFICIENT_H: Final = 17
"""Hours of a day with a reading that make its glucose numbers count: 70 % (doi:10.2337/dci19-0028)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """Consecutive days of one person, from the first with a reading on; `first` is its day since 1970-01-01.

    mean_mg_dl, cv_percent, tir_percent (70 to 180 mg/dL) and tbr_percent (below 70), each (n,) float64, NaN on days
    with fewer than SUFFICIENT_H hours; worn_h (n,) float64, hours with a reading, 0 to 24.
    """

    first: int
    mean_mg_dl: NDArray[np.float64]
    cv_percent: NDArray[np.float64]
    tir_percent: NDArray[np.float64]
    tbr_percent: NDArray[np.float64]
    worn_h: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.worn_h)

    @property
    def last(self) -> int:
        """The newest day; one before `first` where there is none."""
        return self.first + len(self) - 1

    @property
    def sufficient(self) -> NDArray[np.bool_]:
        """Which days (n,) have glucose numbers."""
        return self.worn_h >= SUFFICIENT_H


def daily(hours: Hours, last: int) -> Days:
    """The days from the first reading to the day `last`, which has to be over. Percentages are of readings.

    The standard deviation within a day is the sample's (n - 1), as in the international consensus' CV.
    """
    kept = hours.day <= last
    if not kept.any():
        nothing = np.empty(0)
        return Days(
            first=last + 1,
            mean_mg_dl=nothing,
            cv_percent=nothing,
            tir_percent=nothing,
            tbr_percent=nothing,
            worn_h=nothing,
        )
    first = int(hours.day[0])
    place = hours.day[kept] - first

    def by_day(column: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(place, weights=column[kept], minlength=last - first + 1).astype(np.float64, copy=False)

    worn_h = np.minimum(np.bincount(place, minlength=last - first + 1), HOURS).astype(np.float64)
    n = by_day(hours.readings)
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = np.where(worn_h >= SUFFICIENT_H, n, np.nan)
        mean = by_day(hours.sum_tenths) / counted
        variance = np.maximum(by_day(hours.sum_squares) - counted * mean**2, 0.0) / (counted - 1)
        below, above = by_day(hours.below_70) / counted, by_day(hours.above_180) / counted
        return Days(
            first=first,
            mean_mg_dl=mean / 10.0,
            cv_percent=100.0 * np.sqrt(variance) / mean,
            tir_percent=100.0 * (1.0 - below - above),
            tbr_percent=100.0 * below,
            worn_h=worn_h,
        )
