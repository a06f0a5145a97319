"""How much glucose changes from one time to another, on the even grid: MODD, CONGA, MAG, GVP, rate of change.

Gaps: a difference counts only where both of its points have a value. NaN where no difference is left (for standard
deviations: fewer than two), or the person has no grid.
"""

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats, ratio
from islet.metrics.grid import Grid
from islet.model.compiled import kernel

_DAY_MIN = 1440


def modd_mg_dl(grid: Grid, *, days: int = 1) -> Floats:
    """Mean of daily differences (p,) in mg/dL: the mean of |g(t) - g(t - days)|. Source: Service 1980,
    doi:10.2337/diacare.3.1.58 (Molnar 1972, doi:10.1007/BF01218495).

    >>> modd_mg_dl(day_grid(every(20, [100.0] * 72 + [110.0] * 72))).round(6).tolist()
    [10.0]
    """
    points = np.where(grid.step_min > 0, days * _DAY_MIN // np.maximum(grid.step_min, 1), 0)
    return _changes(grid, points, np.ones_like(points))[1]


def conga_mg_dl(grid: Grid, *, hours: int = 24) -> Floats:
    """Continuous overall net glycaemic action (p,) in mg/dL: the standard deviation of g(t) - g(t - hours). Always
    name the hours: 1, 2, 4 and 24 are in use. Source: McDonnell 2005, doi:10.1089/dia.2005.7.253.

    >>> conga_mg_dl(day_grid(every(20, [100.0, 100.0, 100.0, 100.0, 110.0, 120.0])), hours=1).round(3).tolist()
    [7.071]
    """
    points = np.where(grid.step_min > 0, np.round(60.0 / np.maximum(grid.step_min, 1)) * hours, 0).astype(np.int64)
    return _changes(grid, points, np.ones_like(points))[2]


def mag_mg_dl_per_h(grid: Grid, *, every_min: int | None = None) -> Floats:
    """Mean absolute change of glucose (p,) in mg/dL per hour: the sum of |Δg| from point to point over the hours that
    these take. Points are the grid's, or every `every_min` from the grid's first. Source: Hermanides 2010,
    doi:10.1097/CCM.0b013e3181cc4be9.

    >>> mag_mg_dl_per_h(day_grid(every(15, [100.0, 101.0, 100.0, 101.0]))).tolist()
    [4.0]
    """
    step = np.maximum(grid.step_min, 1)
    points = np.ones_like(step) if every_min is None else np.maximum(1, np.round(every_min / step)).astype(np.int64)
    points = np.where(grid.step_min > 0, points, 0)
    return np.asarray(_changes(grid, points, points)[1] / np.maximum(points * step / 60.0, 1e-9))


def rate_sd_mg_dl_per_min(grid: Grid, *, minutes: int = 15) -> Floats:
    """Standard deviation of the rate of change (p,) in mg/dL per minute, over `minutes` (or one step of the grid, if
    that is longer). Source: Clarke and Kovatchev 2009, doi:10.1089/dia.2008.0138.

    >>> rate_sd_mg_dl_per_min(day_grid(every(15, [100.0, 100.0, 115.0, 100.0]))).round(3).tolist()
    [1.414]
    """
    step = np.maximum(grid.step_min, 1)
    points = np.where(grid.step_min > 0, np.maximum(1, minutes // step), 0)
    return np.asarray(_changes(grid, points, np.ones_like(points))[2] / np.maximum(points * step, 1))


def gvp_percent(grid: Grid) -> Floats:
    """Glycaemic variability percentage (p,): how much longer the curve is than a flat one of the same time, with
    minutes and mg/dL as lengths; depends on the step. Source: Peyser 2018, doi:10.1089/dia.2017.0187.

    >>> gvp_percent(day_grid(every(3, [100.0, 104.0, 100.0, 104.0]))).round(3).tolist()
    [66.667]
    """
    lengths, steps = np.zeros(len(grid)), np.zeros(len(grid))
    _lengths(grid.glucose_mg_dl, grid.offsets, grid.step_min, lengths, steps)
    return 100.0 * (ratio(lengths, steps * grid.step_min) - 1.0)


def _changes(grid: Grid, lag: NDArray[np.int64], stride: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Count, mean of |Δ| and standard deviation of Δ (p,) over `lag` points, from every `stride`-th one."""
    count, absolute, deviation = (np.full(len(grid), np.nan) for _ in range(3))
    _gather(grid.glucose_mg_dl, grid.offsets, lag, stride, count, absolute, deviation)
    return count, absolute, deviation


@kernel
def _gather(
    values: Floats,
    offsets: NDArray[np.int64],
    lags: NDArray[np.int64],
    strides: NDArray[np.int64],
    count: Floats,
    absolute: Floats,
    deviation: Floats,
) -> None:
    for person in range(len(lags)):
        lag, stride = lags[person], strides[person]
        if lag == 0:
            continue
        number, total, size = 0, 0.0, 0.0
        for point in range(offsets[person], offsets[person + 1] - lag, stride):
            change = values[point + lag] - values[point]
            if not np.isnan(change):
                number += 1
                total += change
                size += abs(change)
        count[person] = number
        if number > 0:
            absolute[person] = size / number
        if number > 1:
            mean, squares = total / number, 0.0
            for point in range(offsets[person], offsets[person + 1] - lag, stride):
                change = values[point + lag] - values[point]
                if not np.isnan(change):
                    squares += (change - mean) ** 2
            deviation[person] = np.sqrt(squares / (number - 1))


@kernel
def _lengths(
    values: Floats, offsets: NDArray[np.int64], steps_min: NDArray[np.int64], lengths: Floats, steps: Floats
) -> None:
    for person in range(len(steps_min)):
        step = steps_min[person]
        for point in range(offsets[person] + 1, offsets[person + 1]):
            change = values[point] - values[point - 1]
            if not np.isnan(change):
                lengths[person] += np.sqrt(step * step + change * change)
                steps[person] += 1.0
