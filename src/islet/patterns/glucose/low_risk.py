"""The chance of a low in a night to come, from the nights that were seen."""

from typing import Final

import numpy as np

from islet.patterns.course import Course, Floats

_PRIOR_NIGHTS: Final = 4.0
"""So many nights does what is usual for a person's lowest glucose at night weigh, beside the lows that were counted."""
_SPREAD_MG_DL: Final = 12.0
"""How far a night's lowest glucose may be from the one that was seen, and still be the same night: a sensor's error."""


def low_night_chance(course: Course) -> float:
    """Between 0 and 1; NaN without a night. The mean over nights of how near their lowest glucose (of two points
    in a row, since one alone may be noise) came to the threshold, so that a night at 72 mg/dL counts more than one at 120."""
    lowest = np.array([_lowest(values) for _, _, values in course.nights()])
    if not len(lowest):
        return float("nan")
    near = 1.0 / (1.0 + np.exp((lowest - course.goals.low_mg_dl) / (_SPREAD_MG_DL / 1.7)))
    low = lowest < course.goals.low_mg_dl
    return float((low.sum() + _PRIOR_NIGHTS * near.mean()) / (len(lowest) + _PRIOR_NIGHTS))


def _lowest(values: Floats) -> float:
    """The lowest glucose that two points in a row have not exceeded."""
    return float(np.maximum(values[:-1], values[1:]).min()) if len(values) > 1 else float(values[0])
