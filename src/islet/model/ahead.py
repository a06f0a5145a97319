"""What is foretold of glucose: the columns of the table `forecasts` that rules look at, and who fills them in.

A column is a whole number in tenths: of mg/dL for what glucose will be, of a percent for how likely something is.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

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
CORRECTION_SHAPE: Final = (6, 12)
"""Of a person's correction: so many inputs (`islet.forecast.personal.given`), and STEP_MIN ahead."""


class Corrections(NamedTuple):
    """Which rows are corrected by which person's lines. `lines` (m, *CORRECTION_SHAPE) in mg/dL, as float32; `place` (n,)
    among them of each row, -1 for a row that is not corrected."""

    lines: NDArray[np.float32]
    place: NDArray[np.int64]

    def of(self, rows: NDArray[np.integer]) -> "Corrections":
        """Of some of the rows, in another order or more than once."""
        return Corrections(self.lines, self.place[rows])


def corrections(lines: Sequence[bytes]) -> Corrections | None:
    """Of rows with these lines, little-endian float32 one after the other; empty for a row that has none. None where no
    row has any."""
    some = [place for place, own in enumerate(lines) if own]
    if not some:
        return None
    place = np.full(len(lines), -1, np.int64)
    place[some] = np.arange(len(some))
    table = np.frombuffer(b"".join(lines[k] for k in some), "<f4").reshape(len(some), *CORRECTION_SHAPE)
    return Corrections(table.astype(np.float32), place)


class Foreteller(Protocol):
    """Fills in the columns. Pure: the same history gives the same numbers, whatever else is asked with it."""

    @property
    def name(self) -> str:
        """Of the model, as people read it."""

    def __call__(
        self,
        history: NDArray[np.float32],
        minute: NDArray[np.float32],
        eaten: NDArray[np.float32],
        corrections: Corrections | None = None,
    ) -> NDArray[np.int32]:
        """Tenths (n, len(COLUMNS)), UNKNOWN where nothing is foretold.

        history (n, POINTS) mg/dL every STEP_MIN, the newest reading last, NaN unknown; the newest is -inf or inf where
        the sensor could only tell LOW or HIGH, from which nothing is foretold. minute (n,) of the local day.
        eaten (n, EATEN_POINTS): carbs in g that are known to have been eaten in each STEP_MIN, the last one first.
        corrections: of the rows, where any is corrected.
        """
