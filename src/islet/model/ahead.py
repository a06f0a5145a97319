"""What is foretold of glucose: the columns of the table `forecasts` that rules look at, and who fills them in.

A column is a whole number in tenths: of mg/dL for what glucose will be, of a percent for how likely something is.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.model.time import MINUTE_US

AHEAD_MIN: Final = (10, 20, 30, 40, 50, 60)
QUANTILES_PERCENT: Final = (50, 5, 25, 75, 95)
"""The median first: it has the shortest name."""
RISKS: Final = (("below", 70), ("below", 54), ("above", 180), ("above", 250))
WITHIN_MIN: Final = (30, 60)

GLUCOSE_COLUMNS: Final = tuple(
    f"glucose_in_{minutes}_min_mg_dl" if percent == 50 else f"glucose_in_{minutes}_min_p{percent}_mg_dl"
    for percent in QUANTILES_PERCENT
    for minutes in AHEAD_MIN
)
RISK_COLUMNS: Final = tuple(
    f"risk_{side}_{line}_in_{minutes}_min_percent" for side, line in RISKS for minutes in WITHIN_MIN
)
COLUMNS: Final = (*GLUCOSE_COLUMNS, *RISK_COLUMNS)

UNKNOWN: Final = -1
"""Stands where nothing is foretold; NULL to a rule."""

POINTS: Final = 144
STEP_MIN: Final = 5
"""A history has that many points, so far apart."""
LOOKS_BACK_US: Final = POINTS * STEP_MIN * MINUTE_US
EATEN_POINTS: Final = 12
"""What was eaten is told for so many STEP_MIN before the newest reading."""
EATEN_US: Final = EATEN_POINTS * STEP_MIN * MINUTE_US


class Foreteller(Protocol):
    """Fills in the columns. Pure: the same history gives the same numbers, whatever else is asked with it."""

    @property
    def name(self) -> str:
        """Of the model, as people read it."""

    def __call__(
        self, history: NDArray[np.float32], minute: NDArray[np.float32], eaten: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Tenths (n, len(COLUMNS)), UNKNOWN where nothing is foretold.

        history (n, POINTS) mg/dL every STEP_MIN, the newest reading last, NaN unknown; the newest is -inf or inf where
        the sensor could only tell LOW or HIGH, from which nothing is foretold. minute (n,) of the local day.
        eaten (n, EATEN_POINTS): carbs in g that are known to have been eaten in each STEP_MIN, the last one first.
        """
