"""How much insulin is still to act, and how much acts, at any instant: doses added up by the curves of their classes."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.events import Insulin
from islet.model.insulins import MEALTIME, InsulinClass, insulin_parts
from islet.model.time import HOUR_US, MINUTE_US, to_us
from islet.patterns.course import Floats
from islet.patterns.insulin.curves import CURVES, activity_per_min, left_share

LONGER: Final = frozenset(CURVES) - MEALTIME
"""What acts for most of a day or longer."""
LONGEST_US: Final = round(max(curve.duration_min for curve in CURVES.values()) * MINUTE_US)
"""A dose of longer ago has acted."""


def on_board_u(
    at_us: NDArray[np.int64], doses: Sequence[Insulin], classes: Collection[InsulinClass] = MEALTIME
) -> Floats:
    """Insulin in U (n,) of these classes that is still to act at instants (n,) in µs, of doses up to then; of premixed
    insulin the parts that are of them. Doses of a class that is not known are left out."""
    total = np.zeros(len(at_us))
    for dose in doses:
        minutes = _minutes(at_us, dose)
        for kind, share in insulin_parts(dose):
            if kind in classes:
                total += dose.dose_u * share * left_share(minutes, CURVES[kind]) * (minutes >= 0.0)
    return total


def activity_u_per_h(at_us: NDArray[np.int64], doses: Sequence[Insulin]) -> Floats:
    """Insulin in U per hour (n,) that acts at instants (n,) in µs, of all doses of a known class."""
    total = np.zeros(len(at_us))
    for dose in doses:
        minutes = _minutes(at_us, dose)
        for kind, share in insulin_parts(dose):
            total += dose.dose_u * share * activity_per_min(minutes, CURVES[kind]) * (HOUR_US / MINUTE_US)
    return total


def _minutes(at_us: NDArray[np.int64], dose: Insulin) -> Floats:
    """Since the dose."""
    return np.asarray((at_us - to_us(dose.time)) / MINUTE_US, np.float64)
