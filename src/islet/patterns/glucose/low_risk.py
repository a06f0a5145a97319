"""The chance of a low in a night or a day to come, from those that were seen: hidden risk, also where there was no low yet."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from islet.patterns.course import Course, Floats

_PRIOR: Final = 4.0
"""So many nights (or days) does it weigh how near to the threshold all of them came, beside the lows that were counted."""
_NOISE_MG_DL: Final = 7.0
"""How far a sensor may err at the threshold (logistic scale; a standard deviation of 12 mg/dL). Our choice, not fitted."""


def low_night_chance(course: Course) -> float:
    """The chance of a value below the range from 00:00 to 06:00, 0 to 1; NaN without a night."""
    return _chance([values for _, _, values in course.nights()], course.goals.low_mg_dl)


def low_day_chance(course: Course) -> float:
    """The chance of a value below the range within a day, 0 to 1; NaN without a full day."""
    days = (day[np.isfinite(day)] for day in course.by_day[course.full_days])
    return _chance(list(days), course.goals.low_mg_dl)


def _chance(stretches: Sequence[Floats], threshold_mg_dl: float) -> float:
    """The share of stretches with a low, drawn to the mean of how near each came: one at 72 mg/dL says more than one at
    120, though neither was low."""
    if not stretches:
        return float("nan")
    lowest = np.array([_lowest(values) for values in stretches])
    near = 1.0 / (1.0 + np.exp(np.clip((lowest - threshold_mg_dl) / _NOISE_MG_DL, -30.0, 30.0)))
    lows = float(np.count_nonzero(lowest < threshold_mg_dl))
    return (lows + _PRIOR * float(near.mean())) / (len(lowest) + _PRIOR)


def _lowest(values: Floats) -> float:
    """The lowest glucose that two points in a row have not exceeded: one alone may be noise."""
    return float(np.maximum(values[:-1], values[1:]).min()) if len(values) > 1 else float(values[0])
