"""A person's last two weeks in a row of a table, to be put beside other people's."""

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.model.hours import HOURS, Hours
from islet.patterns.days import SUFFICIENT_H

SUMMARY_DAYS: Final = 14
MOVING_DAYS: Final = 2
"""Of the moving average; both are calendar days of the person's own clock."""
LEAST_HOURS: Final = 24
"""With fewer hours that have a reading there is no row."""


class Summary(Struct, frozen=True, kw_only=True):
    """Of all readings of SUMMARY_DAYS; `worn_percent` is the share of their hours that have one.

    `moving_mg_dl`: the mean of the readings of two days, for each but the first of the days, oldest first; None where
    fewer than SUFFICIENT_H hours a day have a reading.
    """

    mean_mg_dl: float
    cv_percent: float
    tir_percent: float
    tbr_percent: float
    worn_percent: float
    moving_mg_dl: tuple[float | None, ...]


class Summaries(Struct, frozen=True, kw_only=True):
    """By patient, up to their last day that was over."""

    people: dict[str, Summary] = {}


def summary(hours: Hours, last: int) -> Summary | None:
    """The two weeks that end with the day `last`; None with fewer than LEAST_HOURS. Percentages are of readings; the
    standard deviation is the sample's (n - 1)."""
    day = hours.day - (last - SUMMARY_DAYS + 1)
    kept = (day >= 0) & (day < SUMMARY_DAYS)
    worn = np.minimum(np.bincount(day[kept], minlength=SUMMARY_DAYS), HOURS)
    if worn.sum() < LEAST_HOURS:
        return None
    n, total, square, below, above = (
        int(column[kept].sum())
        for column in (hours.readings, hours.sum_tenths, hours.sum_squares, hours.below_70, hours.above_180)
    )
    variance = max(square - total * total / n, 0.0) / max(n - 1, 1)
    return Summary(
        mean_mg_dl=round(total / n / 10.0, 1),
        cv_percent=round(100.0 * variance**0.5 * n / total, 1),
        tir_percent=round(100.0 * (n - below - above) / n, 1),
        tbr_percent=round(100.0 * below / n, 1),
        worn_percent=round(100.0 * float(worn.sum()) / (SUMMARY_DAYS * HOURS), 1),
        moving_mg_dl=_moving(hours, day, kept, worn),
    )


def _moving(
    hours: Hours, day: NDArray[np.int64], kept: NDArray[np.bool_], worn: NDArray[np.int64]
) -> tuple[float | None, ...]:
    def two_days(of_days: NDArray[np.float64]) -> list[float]:
        sums: list[float] = np.convolve(of_days, np.ones(MOVING_DAYS), mode="valid").tolist()
        return sums

    total, n = (
        two_days(np.bincount(day[kept], weights=column[kept], minlength=SUMMARY_DAYS).astype(np.float64, copy=False))
        for column in (hours.sum_tenths, hours.readings)
    )
    enough = [worn_h >= MOVING_DAYS * SUFFICIENT_H for worn_h in two_days(worn.astype(np.float64))]
    return tuple(
        round(tenths / count / 10.0, 1) if sure else None for tenths, count, sure in zip(total, n, enough, strict=True)
    )
