"""Forecasts as the engine's rules look at them: a model's quantiles and risks as whole numbers, column by column."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.forecast.baselines import ar2, damped_slope, persistence
from islet.forecast.features import filled
from islet.forecast.forecaster import Forecaster, Forecasts, Reason, reasons
from islet.forecast.grid import STEP_MIN
from islet.forecast.model import fingerprint
from islet.forecast.network import MEDIAN, QUANTILES, RISK_STEPS, RISKS, Array
from islet.forecast.shipped import shipped_model
from islet.forecast.windows import HORIZON
from islet.model.ahead import AHEAD_MIN, COLUMNS, GLUCOSE_COLUMNS, QUANTILES_PERCENT, UNKNOWN, Corrections

SHIPPED: Final = "pooled"
"""The network that comes with the package."""
PERSISTENCE: Final = "persistence"
"""Nothing moves: what every forecast has to beat."""
RIDGE: Final = "ridge"
"""The line through the network's features that was fitted beside it."""
PATHS: Final[dict[str, Callable[[Array], Array]]] = {
    "damped_slope": damped_slope,
    "ar2": ar2,
    PERSISTENCE: persistence,
}
SHADOWS: Final = (*PATHS, RIDGE)
"""Simple calculations, of which the best serves where the network does worse than if nothing moved."""

_TENTHS: Final = np.float32(10)
_PERMILLE: Final = np.float32(1000)
_STEPS: Final = [minutes // STEP_MIN - 1 for minutes in AHEAD_MIN]
_PLACES: Final = [QUANTILES.index(percent / 100) for percent in QUANTILES_PERCENT]


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Serves a trained model."""

    name: str
    forecaster: Forecaster
    fingerprint: str

    def forecast(
        self,
        history: Array,
        minute: Array,
        age_min: Array | None = None,
        eaten: Array | None = None,
        corrections: Corrections | None = None,
    ) -> Forecasts:
        """As `Forecaster.forecast`."""
        return self.forecaster.forecast(history, minute, age_min, eaten, corrections)

    def __call__(
        self, history: Array, minute: Array, eaten: Array, corrections: Corrections | None = None
    ) -> NDArray[np.int32]:
        """The columns (n, COLUMNS), as `islet.model.ahead.Foreteller`."""
        return columns(self.forecast(history, minute, eaten=eaten, corrections=corrections))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadow:
    """Serves one of SHADOWS, by name; it knows no quantiles but the middle one, and no risks.

    To rules it says the middle one for each of the others, so that those that look at another still warn.
    """

    name: str
    fingerprint: str = ""
    """Nobody's lines are learnt from it."""

    def forecast(
        self,
        history: Array,
        minute: Array,
        age_min: Array | None = None,
        eaten: Array | None = None,
        corrections: Corrections | None = None,
    ) -> Forecasts:
        """As `Forecaster.forecast`; the other quantiles and the risks are NaN, meals raise and lines correct nothing."""
        n = len(history)
        reason = reasons(history, np.zeros(n, np.float32) if age_min is None else age_min)
        quantiles = np.full((n, HORIZON, len(QUANTILES)), np.nan, np.float32)
        able = reason == Reason.FORECAST
        if able.any() and self.name == RIDGE:
            quantiles[able, :, MEDIAN] = _ridge().forecast(history[able], minute[able]).quantiles[:, :, MEDIAN]
        elif able.any():
            quantiles[able, :, MEDIAN] = np.maximum(PATHS[self.name](filled(history[able])), 0)
        return Forecasts(
            quantiles=quantiles, risks=np.full((n, len(RISKS), len(RISK_STEPS)), np.nan, np.float32), reason=reason
        )

    def __call__(
        self, history: Array, minute: Array, eaten: Array, corrections: Corrections | None = None
    ) -> NDArray[np.int32]:
        """The columns (n, COLUMNS), as `islet.model.ahead.Foreteller`."""
        return columns(self.forecast(history, minute))


Served = Network | Shadow


class Choice(Struct, frozen=True, kw_only=True):
    """Which model forecasts, as it is kept. `why`: what had it chosen, for people. `by_hand`: an administrator said so."""

    model: str
    why: str = ""
    by_hand: bool = False
    since_us: int = 0


def served(model: str) -> Served:
    """The model of that name; the shipped one for a name that this version does not know."""
    return Shadow(name=model) if model in SHADOWS else shipped()


@cache
def shipped() -> Network:
    """The model in the package, ready to serve."""
    model = shipped_model()
    return Network(name=SHIPPED, forecaster=Forecaster(model=model), fingerprint=fingerprint(model))


@cache
def _ridge() -> Forecaster:
    """The shipped model with its ridge alone for a path: row by row, as the network is worked out."""
    model = shipped_model()
    return Forecaster(model=replace(model, share=0.0, lines=model.ridge))


def columns(found: Forecasts) -> NDArray[np.int32]:
    """Tenths (n, COLUMNS) of forecasts of n rows, UNKNOWN where there are none."""
    out = np.empty((len(found), len(COLUMNS)), np.float32)
    wanted = found.quantiles[:, _STEPS][:, :, _PLACES]  # (n, minutes, quantiles)
    wanted = np.where(np.isnan(wanted), wanted[:, :, :1], wanted)
    out[:, : len(GLUCOSE_COLUMNS)] = wanted.transpose(0, 2, 1).reshape(len(found), -1) * _TENTHS
    out[:, len(GLUCOSE_COLUMNS) :] = found.risks.reshape(len(found), -1) * _PERMILLE
    whole = np.rint(out)
    whole[np.isnan(whole)] = UNKNOWN
    return whole.astype(np.int32)
