"""A person's last days as they were met live: what was known at each reading, and what came of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.gather import histories
from islet.forecast.grid import LONGEST_GAP_MIN, LOOKS_BACK, STEP_US
from islet.forecast.network import Array
from islet.forecast.windows import HORIZON
from islet.model.series import Series
from islet.model.time import MINUTE_US

_WIDEST_US: Final = LONGEST_GAP_MIN * MINUTE_US


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """At instants (n,), ascending: history (n, LOOKS_BACK) mg/dL as the forecaster takes it, and what came (n, 12) mg/dL
    every five minutes after it, NaN where no two readings near enough say it."""

    time_us: NDArray[np.int64]
    history: Array
    came: Array

    def __len__(self) -> int:
        return len(self.time_us)


def replayed(series: Series, from_us: int, to_us: int) -> Replay:
    """The readings with from_us <= time < to_us, the last of each five minutes; the others are the past and what came.

    A reading that came late is known as if it had been in time. Linear in the readings.
    """
    time_us = series.time_us
    last = np.ones(len(series), bool)
    last[:-1] = np.diff(time_us // STEP_US) > 0
    chosen = np.flatnonzero(last & (time_us >= from_us) & (time_us < to_us))
    history = np.empty((len(chosen), LOOKS_BACK), np.float32)
    if len(chosen):
        shape = len(chosen), len(series)  # the same entries for every row, of which the first `count` are known
        history = histories(
            np.broadcast_to(time_us, shape), np.broadcast_to(series.glucose_tenths, shape), chosen.astype(np.int64) + 1
        )
    said = series.range[chosen]
    history[said != 0, -1] = np.inf * said[said != 0]  # as the engine says LOW and HIGH: nothing is foretold from them
    return Replay(time_us=time_us[chosen], history=history, came=_came(series, time_us[chosen]))


def _came(series: Series, after_us: NDArray[np.int64]) -> Array:
    """Linear in time between two readings, as between those of a history."""
    at_us = after_us[:, None] + STEP_US * np.arange(1, HORIZON + 1)
    if not len(series):
        return np.empty(at_us.shape, np.float32)
    later = np.minimum(np.searchsorted(series.time_us, at_us), len(series) - 1)
    gap_us = series.time_us[later] - series.time_us[np.maximum(later - 1, 0)]
    known = (at_us <= series.time_us[-1]) & ((gap_us <= _WIDEST_US) | (series.time_us[later] == at_us))
    came = np.interp(at_us, series.time_us, series.glucose_mg_dl)
    return np.where(known, came, np.nan).astype(np.float32)
