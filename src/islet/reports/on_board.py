"""What of insulin and carbs was on board in each day of a period: for the pictures of days."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np

from islet.model.time import to_us
from islet.patterns.on_board import on_board
from islet.reports.document import Left
from islet.reports.recorded import Recorded

STEP_MIN: Final = 15
_STEPS: Final = 24 * 60 // STEP_MIN


def on_board_of(recorded: Recorded, days: Sequence[date]) -> dict[date, tuple[Left, ...]]:
    """Each day from midnight to midnight, every STEP_MIN of the wall clock; days on which nothing was on board are left
    out. Of the events of `recorded` those of the two days before count as well."""
    clocks = [
        datetime.combine(day, time(), recorded.zone) + timedelta(minutes=STEP_MIN * step)
        for day in days
        for step in range(_STEPS + 1)
    ]
    found = on_board(np.array([to_us(one) for one in clocks], np.int64), recorded.events)
    insulin_u = found.mealtime_u.round(2).reshape(len(days), -1)
    carbs_g = found.carbs_g.round(1).reshape(len(days), -1)
    return {
        day: tuple(
            Left(minute=STEP_MIN * step, insulin_u=u, carbs_g=g)
            for step, (u, g) in enumerate(zip(insulin_u[place].tolist(), carbs_g[place].tolist(), strict=True))
        )
        for place, day in enumerate(days)
        if insulin_u[place].any() or carbs_g[place].any()
    }
