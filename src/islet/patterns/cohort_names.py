"""What a shape of day is called: by one rule, from its lowest and highest three hours and its mean."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

PARTS: Final = {"night": (0, 6), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}
"""Hours of the clock."""

LOW_MG_DL: Final = 85.0
"""Where three hours of the usual day are as low as this, single days go below 70."""
HIGH_MG_DL: Final = 180.0
GOAL_MG_DL: Final = 154.0
"""The goal for the mean that goes with 70 % of the time in range (doi:10.2337/dci19-0028: a GMI of 7 %)."""
RISE_MG_DL: Final = 20.0
"""What is so far from the day's mean stands out."""
STEADY_MG_DL: Final = 40.0
"""Between the highest and the lowest hour of a steady day."""

NAMES: Final = (
    *(f"{what}_{part}" for what in ("low", "high", "peak") for part in PARTS),
    "low_all_day",
    "high_all_day",
    "above_goal",
    "steady",
    "varied",
)


def shape_name(glucose_mg_dl: NDArray[np.float64]) -> str:
    """One of NAMES for a day shape (24,): lows before highs, a part of the day before the whole. A peak is what stands
    out and is not high.

    >>> shape_name(np.full(24, 120.0))
    'steady'
    """
    day = float(glucose_mg_dl.mean())
    three_hours = (np.roll(glucose_mg_dl, 1) + glucose_mg_dl + np.roll(glucose_mg_dl, -1)) / 3.0
    lowest, highest = int(np.argmin(three_hours)), int(np.argmax(three_hours))
    if three_hours[lowest] <= LOW_MG_DL:
        return f"low_{_part_of(lowest)}" if three_hours[lowest] <= day - RISE_MG_DL else "low_all_day"
    even = float(np.ptp(glucose_mg_dl)) <= STEADY_MG_DL
    if not even and three_hours[highest] >= day + RISE_MG_DL:
        return f"{'high' if three_hours[highest] > HIGH_MG_DL else 'peak'}_{_part_of(highest)}"
    if day > HIGH_MG_DL:
        return "high_all_day"
    if day > GOAL_MG_DL:
        return "above_goal"
    return "steady" if even else "varied"


def _part_of(hour: int) -> str:
    return next(part for part, (start, end) in PARTS.items() if start <= hour < end)
