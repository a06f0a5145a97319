"""How much of what was eaten is still to come."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.events import Meal
from islet.model.time import MINUTE_US, to_us
from islet.patterns.course import Floats

ABSORPTION_MIN: Final = 180.0
"""How long carbs of a mixed meal take; 3 h is Loop's default for medium ones (github.com/LoopKit/LoopAlgorithm)."""
DELAY_MIN: Final = 10.0


def carbs_left_share(minutes: Floats, absorption_min: float = ABSORPTION_MIN) -> Floats:
    """The share of carbs (n,) that is not absorbed yet, so many minutes (n,) after a meal; 1 before it.

    Scheiner's parabola after a delay of 10 min: absorption speeds up to half of the time, and slows down again.

    >>> carbs_left_share(np.array([0.0, 10.0, 100.0, 190.0])).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    share = np.clip((minutes - DELAY_MIN) / absorption_min, 0.0, 1.0)
    early = 2.0 * share**2
    late = 1.0 - 2.0 * (1.0 - share) ** 2
    return np.asarray(1.0 - np.where(share < 0.5, early, late), np.float64)


def carbs_on_board_g(at_us: NDArray[np.int64], meals: Sequence[Meal]) -> Floats:
    """Carbs in g (n,) that are still to come at instants (n,) in µs, of meals up to then; without carbs a meal counts
    nothing."""
    total = np.zeros(len(at_us))
    for meal in meals:
        minutes = np.asarray((at_us - to_us(meal.time)) / MINUTE_US, np.float64)
        total += (meal.carbs_g or 0.0) * carbs_left_share(minutes) * (minutes >= 0.0)
    return total
