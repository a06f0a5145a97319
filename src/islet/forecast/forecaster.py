"""Forecasts for a batch of people at once: quantiles of the next hour, risks, or the reason why there is none.

A pure function of what it is given: the same history gives the same forecast, however the batch is cut or ordered.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.compiled import correct, moves
from islet.forecast.grid import LOOKS_BACK, STEP_MIN
from islet.forecast.model import Model
from islet.forecast.network import QUANTILES, RISK_STEPS, RISKS, Array
from islet.forecast.windows import HORIZON
from islet.model.ahead import EATEN_POINTS, Corrections

LEAST_KNOWN: Final = 6  # points of the last hour, the newest included: 30 min of readings every 5 min
OLDEST_MIN: Final = 10.0  # a reading older than this is no base for what comes now
LOWEST: Final = 20.0  # mg/dL; below and above, a value is a fault or a marker, not glucose
HIGHEST: Final = 600.0
_BATCH: Final = 4096  # rows that stay in the cache
_HOUR: Final = 12


class Reason(IntEnum):
    """Why there is no forecast. A person reads `REASONS`, translated where it is shown."""

    FORECAST = 0
    NO_READING = 1
    TOO_OLD = 2
    TOO_LITTLE_HISTORY = 3
    OUT_OF_RANGE = 4


REASONS: Final = {
    Reason.FORECAST: "",
    Reason.NO_READING: "No forecast: there is no reading yet.",
    Reason.TOO_OLD: "No forecast: the last reading is more than 10 minutes old.",
    Reason.TOO_LITTLE_HISTORY: "No forecast: half an hour of readings within the last hour is needed.",
    Reason.OUT_OF_RANGE: "No forecast: the sensor shows LOW or HIGH, or a value that cannot be.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecasts:
    """quantiles (n, 12, 5) mg/dL for 5 to 60 min and QUANTILES; risks (n, 4, 2) for RISKS and within 30 and 60 min.

    Both are NaN where reason (n,) is not Reason.FORECAST. A risk of what is already there is NaN too: it is no question.
    """

    quantiles: Array
    risks: Array
    reason: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecaster:
    """Serves a model. Has no state; may be used by several threads."""

    model: Model

    def forecast(
        self,
        history: Array,
        minute: Array,
        age_min: Array | None = None,
        eaten: Array | None = None,
        corrections: Corrections | None = None,
    ) -> Forecasts:
        """What comes after the newest of history (n, points <= 144) mg/dL, on the grid of 5 min, NaN unknown.

        minute (n,) of the person's own day at the newest reading, NaN unknown; age_min (n,) how old that reading is,
        by default 0; eaten (n, EATEN_POINTS) carbs in g of the hour before it, by default none. Risk is said of values
        below 70 and 54 mg/dL and above 180 and 250. corrections: of the rows; they move all quantiles and no risk.
        """
        n = len(history)
        if eaten is None:
            eaten = np.zeros((n, EATEN_POINTS), np.float32)
        reason = reasons(history, np.zeros(n, np.float32) if age_min is None else age_min)
        quantiles = np.full((n, HORIZON, len(QUANTILES)), np.nan, np.float32)
        risks = np.full((n, len(RISKS), len(RISK_STEPS)), np.nan, np.float32)
        able = np.flatnonzero(reason == Reason.FORECAST)
        for begin in range(0, len(able), _BATCH):
            chosen = able[begin : begin + _BATCH]
            past = _padded(history[chosen])
            found, risks[chosen] = self._batch(past, minute[chosen], eaten[chosen])
            if corrections is not None:
                _corrected(past, minute[chosen], corrections.of(chosen), found)
            quantiles[chosen] = found
        return Forecasts(quantiles=quantiles, risks=risks, reason=reason)

    def _batch(self, history: Array, minute: Array, eaten: Array) -> tuple[Array, Array]:
        now = history[:, -1]
        found, risks = moves(self.model, history, minute, eaten)
        np.maximum(
            risks[:, :, 1], risks[:, :, 0], out=risks[:, :, 1]
        )  # within the hour is no less than within half of it
        for deeper, line in ((1, 0), (3, 2)):  # nor is the further line nearer
            np.minimum(risks[:, deeper], risks[:, line], out=risks[:, deeper])
        for k, (side, line_mg_dl) in enumerate(RISKS):
            risks[now < line_mg_dl if side == "below" else now > line_mg_dl, k] = np.nan
        return np.clip(found + now[:, None, None], LOWEST, HIGHEST), risks


def _corrected(history: Array, minute: Array, mine: Corrections, quantiles: Array) -> None:
    """Add to the quantiles (n, 12, 5) of each person what corrects them."""
    correct(history, minute.astype(np.float32, copy=False), mine.lines, mine.place, quantiles)
    np.clip(quantiles, LOWEST, HIGHEST, out=quantiles)


def reasons(history: Array, age_min: Array) -> NDArray[np.int8]:
    """Reason (n,) for or against a forecast of each row."""
    now = history[:, -1]
    known = (~np.isnan(history[:, -_HOUR:])).sum(axis=1)
    out = np.zeros(len(history), np.int8)
    out[known < LEAST_KNOWN] = Reason.TOO_LITTLE_HISTORY
    out[(now < LOWEST) | (now > HIGHEST)] = Reason.OUT_OF_RANGE
    out[age_min > OLDEST_MIN] = Reason.TOO_OLD
    out[np.isnan(now)] = Reason.NO_READING
    return out


def _padded(history: Array) -> Array:
    """(n, LOOKS_BACK): a shorter past has unknown points before it, of a longer one the newest are taken."""
    points = history.shape[1]
    if points >= LOOKS_BACK:
        return np.ascontiguousarray(history[:, -LOOKS_BACK:], np.float32)
    out = np.full((len(history), LOOKS_BACK), np.nan, np.float32)
    out[:, -points:] = history
    return out


assert STEP_MIN * _HOUR == 60
