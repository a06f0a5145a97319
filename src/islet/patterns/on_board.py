"""What of a person's insulin and carbs is still to come, over time: an estimate of models, for pictures and words.

The one place where the portal, reports and programs take it from. It says nothing about what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.events import AnyEvent, Insulin, Meal
from islet.model.insulins import insulin_parts
from islet.model.time import to_us
from islet.patterns.course import Floats
from islet.patterns.diet.carbs_on_board import carbs_on_board_g
from islet.patterns.insulin.action import LONGER, LONGEST_US, activity_u_per_h, on_board_u

LOOKS_BACK_US: Final = LONGEST_US
"""How long before an instant an event can still count at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnBoard:
    """Columns (n,) at the instants asked for. mealtime_u: rapid analogues and regular insulin, of premixed insulin that
    part, without a pump's basal rate; longer_u: what acts for most of a day or longer. activity_u_per_h: of all of it.
    doses, meals: how many were counted; unknown: doses of no known class, and meals without carbs, which were not."""

    mealtime_u: Floats
    longer_u: Floats
    activity_u_per_h: Floats
    carbs_g: Floats
    doses: int
    meals: int
    unknown: int


def on_board(at_us: NDArray[np.int64], events: Iterable[AnyEvent]) -> OnBoard:
    """What is on board at instants (n,) in µs, ascending, of events in any order; those after an instant do not count at
    it. They have to reach back by LOOKS_BACK_US; what is older, or after the last instant, is not looked at."""
    since_us, until_us = int(at_us[0]) - LOOKS_BACK_US, int(at_us[-1])
    listed = [one for one in events if isinstance(one, Insulin | Meal) and since_us <= to_us(one.time) <= until_us]
    doses = [one for one in listed if isinstance(one, Insulin) and insulin_parts(one)]
    meals = [one for one in listed if isinstance(one, Meal) and one.carbs_g is not None]
    return OnBoard(
        mealtime_u=on_board_u(at_us, [one for one in doses if one.kind != "basal"]),
        longer_u=on_board_u(at_us, doses, LONGER),
        activity_u_per_h=activity_u_per_h(at_us, doses),
        carbs_g=carbs_on_board_g(at_us, meals),
        doses=len(doses),
        meals=len(meals),
        unknown=len(listed) - len(doses) - len(meals),
    )
