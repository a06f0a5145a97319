"""What a shape of day is called: by one rule, from its lowest hours and the means of its parts."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

PARTS: Final = {"night": (0, 6), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}
"""Hours of the clock."""

LOW_MG_DL: Final = 85.0
"""Where three hours of the usual day are as low as this, single days go below 70."""
HIGH_MG_DL: Final = 180.0
RISE_MG_DL: Final = 20.0
"""What is so far from the day's mean stands out."""
STEADY_MG_DL: Final = 40.0
"""Between the highest and the lowest hour of a steady day."""

NAMES: Final = (
    *(f"low_{part}" for part in PARTS),
    "low_all_day",
    *(f"high_{part}" for part in PARTS),
    "high_all_day",
    "steady",
    "varied",
)


def shape_name(glucose_mg_dl: NDArray[np.float64]) -> str:
    """One of NAMES for a day shape (24,): lows before highs, a part of the day before the whole.

    >>> shape_name(np.full(24, 120.0))
    'steady'
    """
    day = float(glucose_mg_dl.mean())
    three_hours = (np.roll(glucose_mg_dl, 1) + glucose_mg_dl + np.roll(glucose_mg_dl, -1)) / 3.0
    low_hour = int(np.argmin(three_hours))
    if three_hours[low_hour] <= LOW_MG_DL:
        return f"low_{_part_of(low_hour)}" if three_hours[low_hour] <= day - RISE_MG_DL else "low_all_day"
    means = {part: float(glucose_mg_dl[start:end].mean()) for part, (start, end) in PARTS.items()}
    highest = max(means, key=lambda part: means[part])
    if means[highest] >= day + RISE_MG_DL:
        return f"high_{highest}"
    if day > HIGH_MG_DL:
        return "high_all_day"
    return "steady" if float(np.ptp(glucose_mg_dl)) <= STEADY_MG_DL else "varied"


def _part_of(hour: int) -> str:
    return next(part for part, (start, end) in PARTS.items() if start <= hour < end)
