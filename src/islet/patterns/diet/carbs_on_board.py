"""How much of what was eaten is still to come."""

from typing import Final

import numpy as np

from islet.patterns.course import Floats

ABSORPTION_MIN: Final = 180.0
"""How long carbs of a mixed meal take; 3 h is Loop's default for medium ones (github.com/LoopKit/LoopAlgorithm)."""
_DELAY_MIN: Final = 10.0


def carbs_left_share(minutes: Floats, absorption_min: float = ABSORPTION_MIN) -> Floats:
    """The share of carbs (n,) that is not absorbed yet, so many minutes (n,) after a meal; 1 before it.

    Scheiner's parabola after a delay of 10 min: absorption speeds up to half of the time, and slows down again.

    >>> carbs_left_share(np.array([0.0, 10.0, 100.0, 190.0])).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    share = np.clip((minutes - _DELAY_MIN) / absorption_min, 0.0, 1.0)
    early = 2.0 * share**2
    late = 1.0 - 2.0 * (1.0 - share) ** 2
    return np.asarray(1.0 - np.where(share < 0.5, early, late), np.float64)


def carbs_on_board_g(at_min: Floats, meal_min: Floats, carbs_g: Floats) -> Floats:
    """Carbs in g that are still to come (n,) at times (n,), of meals (k,) with carbs (k,); minutes of one clock.

    >>> carbs_on_board_g(np.array([100.0]), np.array([0.0, 500.0]), np.array([60.0, 20.0])).tolist()
    [30.0]
    """
    since = at_min[:, None] - meal_min[None, :]
    left = np.where(since >= 0.0, carbs_left_share(since), 0.0)
    return np.asarray(left @ carbs_g, np.float64)
