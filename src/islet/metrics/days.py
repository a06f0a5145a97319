"""Variation within and between days, and the mean from the area under the curve, on the even grid.

A day is a row of the grid, 00:00 to 24:00 of the wall clock. Points without a value are left out of each mean and
deviation; a deviation of fewer than two values is none, and none is left out of the next mean. NaN where nothing is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats
from islet.metrics.grid import Grid
from islet.model.compiled import making_kernel


@dataclass(frozen=True, kw_only=True, slots=True)
class DaySpread:
    """Rodbard's standard deviations (p,) in mg/dL, doi:10.1089/dia.2009.0015, and the daily coefficients of variation
    (p,) in percent, doi:10.1016/j.amjms.2018.09.010.

    within_days: mean of the SD of each day (SDw). of_profile: SD of the mean at each time of day (SDhh:mm).
    within_hour: mean of the SD of each window of one hour (SDws h). of_day_means (SDdm). between_days: mean of the SD
    across days at each time of day (SDb). between_days_levelled: the same less each day's mean (SDb//dm).
    cv_mean_percent, cv_sd_percent: mean and SD of each day's coefficient of variation.
    """

    within_days: Floats
    of_profile: Floats
    within_hour: Floats
    of_day_means: Floats
    between_days: Floats
    between_days_levelled: Floats
    cv_mean_percent: Floats
    cv_sd_percent: Floats


def day_spread(grid: Grid) -> DaySpread:
    """All eight of each person.

    >>> day_spread(day_grid(every(20, [90.0] * 73 + [110.0] * 72))).of_day_means.round(3).tolist()
    [14.142]
    """
    out = np.full((8, len(grid)), np.nan)
    _spreads(grid.glucose_mg_dl, grid.offsets, grid.step_min, out)
    return DaySpread(
        within_days=out[0],
        of_profile=out[1],
        within_hour=out[2],
        of_day_means=out[3],
        between_days=out[4],
        between_days_levelled=out[5],
        cv_mean_percent=out[6],
        cv_sd_percent=out[7],
    )


def auc_mg_dl(grid: Grid) -> Floats:
    """Area under the curve over time (p,) in mg/dL (as others say, mg·h/dL per hour): the trapezoids between points of
    a day over the hours they take, then the mean of days, of which a short one weighs as much as a long one.

    This is iglu's own definition; its R code puts points into wrong days (values differ by about 1 %), iglu-python
    pools all days.

    >>> auc_mg_dl(day_grid(every(5, [100.0, 100.0, 110.0, 110.0]))).round(6).tolist()
    [107.5]
    """
    out = np.full(len(grid), np.nan)
    _areas(grid.glucose_mg_dl, grid.offsets, grid.step_min, out)
    return out


@making_kernel
def _mean_and_sd(values: Floats) -> tuple[float, float]:
    """Of those that are not NaN; NaN where there are too few."""
    number, total = 0, 0.0
    for value in values:
        if not np.isnan(value):
            number += 1
            total += value
    if number == 0:
        return np.nan, np.nan
    mean, squares = total / number, 0.0
    for value in values:
        if not np.isnan(value):
            squares += (value - mean) ** 2
    return mean, np.sqrt(squares / (number - 1)) if number > 1 else np.nan


@making_kernel
def _spreads(
    values: Floats, offsets: NDArray[np.int64], steps_min: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    for person in range(len(steps_min)):
        if steps_min[person] == 0:
            continue
        columns = 1440 // steps_min[person]
        points = values[offsets[person] : offsets[person + 1]]
        days = len(points) // columns
        day_means, day_sds, day_cvs = np.empty(days), np.empty(days), np.empty(days)
        for day in range(days):
            mean, sd = _mean_and_sd(points[day * columns : (day + 1) * columns])
            day_means[day], day_sds[day], day_cvs[day] = mean, sd, 100.0 * sd / mean
        clock_means, clock_sds, levelled_sds = np.empty(columns), np.empty(columns), np.empty(columns)
        for column in range(columns):
            at_time = points[column::columns]
            clock_means[column], clock_sds[column] = _mean_and_sd(at_time)
            levelled_sds[column] = _mean_and_sd(at_time - day_means)[1]
        hour = round(60 / steps_min[person])
        windows = np.full(max(1, len(points) - hour + 1), np.nan)
        for begin in range(len(points) - hour + 1):
            windows[begin] = _mean_and_sd(points[begin : begin + hour])[1]
        out[0, person] = _mean_and_sd(day_sds)[0]
        out[1, person] = _mean_and_sd(clock_means)[1]
        out[2, person] = _mean_and_sd(windows)[0]
        out[3, person] = _mean_and_sd(day_means)[1]
        out[4, person] = _mean_and_sd(clock_sds)[0]
        out[5, person] = _mean_and_sd(levelled_sds)[0]
        out[6, person], out[7, person] = _mean_and_sd(day_cvs)


@making_kernel
def _areas(values: Floats, offsets: NDArray[np.int64], steps_min: NDArray[np.int64], out: Floats) -> None:
    for person in range(len(steps_min)):
        if steps_min[person] == 0:
            continue
        columns = 1440 // steps_min[person]
        total, days = 0.0, 0
        for begin in range(offsets[person], offsets[person + 1], columns):
            area, number = 0.0, 0
            for point in range(begin + 1, begin + columns):
                pair = values[point] + values[point - 1]
                if not np.isnan(pair):
                    area += pair / 2.0
                    number += 1
            if number > 0:
                total += area / number
                days += 1
        if days > 0:
            out[person] = total / days
