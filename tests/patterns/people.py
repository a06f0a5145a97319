"""Days of people who do not exist, from seeds."""

from math import erf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from islet.model.hours import HOURS, Hours, hours_of
from islet.patterns.days import SUFFICIENT_H, Days

FIRST_DAY = 20_000


def days_of(mean_mg_dl: NDArray[np.float64], **more: Any) -> Days:
    """Days with this mean; the rest steady unless it is given."""
    n = len(mean_mg_dl)
    steady = {"cv_percent": 30.0, "tir_percent": 70.0, "tbr_percent": 2.0, "worn_h": 24.0}
    columns = {name: np.full(n, value) for name, value in steady.items()} | more
    worn = columns["worn_h"]
    for name in ("cv_percent", "tir_percent", "tbr_percent"):
        columns[name] = np.where(worn >= SUFFICIENT_H, columns[name], np.nan)
    mean = np.where(worn >= SUFFICIENT_H, mean_mg_dl, np.nan)
    return Days(first=FIRST_DAY, mean_mg_dl=mean, **columns)


def stationary(seed: int, n: int, *, alike: float = 0.0) -> Days:
    """A person whose days only vary: heavy tails, days that resemble their neighbours (AR(1) with `alike`), days without
    a sensor; shares of time as they follow from the day's mean and spread."""
    rng = np.random.default_rng(seed)

    def noise() -> NDArray[np.float64]:
        e = rng.standard_t(5, n) / sqrt(5 / 3)
        for i in range(1, n):
            e[i] = alike * e[i - 1] + sqrt(1 - alike**2) * e[i]
        return e

    mean = rng.uniform(110, 190) + rng.uniform(8, 22) * noise()
    cv = np.clip(rng.uniform(22, 40) + 4 * noise(), 8, 70)
    below = [
        np.array([(1 + erf((limit - m) / (m * c / 100) / sqrt(2))) / 2 for m, c in zip(mean, cv, strict=True)])
        for limit in (70, 180)
    ]
    tbr = 100 * np.clip(below[0] * np.exp(0.6 * noise()), 0, 1)
    tir = 100 * np.clip(below[1] - below[0] + 0.04 * noise(), 0, 1)
    missing = (rng.random(n) < 0.06) * rng.uniform(2, 24, n)
    worn = np.round(np.clip(24 - np.abs(rng.normal(0, 1.2, n)) - missing, 0, 24))
    return days_of(mean, cv_percent=cv, tir_percent=tir, tbr_percent=tbr, worn_h=worn)


def up_to(days: Days, end: int, length: int) -> Days:
    """What is known on the evening of day number `end` (from 0): the last `length` days."""
    start = max(0, end + 1 - length)
    columns = {name: getattr(days, name)[start : end + 1] for name in Days.__slots__ if name != "first"}
    return Days(first=days.first + start, **columns)


def hours_from(table: NDArray[np.float64], first_day: int = FIRST_DAY) -> Hours:
    """Hours (one reading each) from a table (days, 24) of mg/dL, NaN where there is none."""
    flat = table.ravel()
    hour = first_day * HOURS + np.arange(flat.size)
    tenths = np.round(flat * 10)
    rows = np.column_stack([hour, np.ones(flat.size), tenths, tenths**2, flat < 70, flat > 180])
    return hours_of(rows[~np.isnan(flat)].astype(np.int64))
