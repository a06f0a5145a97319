"""How far the forecasts miss at present, model by model and sensor by sensor, and which model should serve.

The error is that of the middle quantile 30 minutes ahead, in mg/dL, in a mean that forgets half of what it knows in
twelve hours. Sensors are told apart by how often they read, which is what their traces differ by most.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.forecast.forecaster import Reason
from islet.forecast.grid import LOOKS_BACK, STEP_MIN
from islet.forecast.network import MEDIAN, Array
from islet.forecast.serving import DAMPED_SLOPE, SHIPPED, Choice, DampedSlope, Served, shipped
from islet.model.time import HOUR_US, MINUTE_US

STATE: Final = "forecast_errors"
"""Under which name `Errors` are kept, among the log's states."""
PERSISTENCE: Final = "persistence"
"""Nothing moves: what every forecast has to beat."""
AHEAD_MIN: Final = 30
INTERVALS_MIN: Final = (1, 5, 15)
LEAST: Final = 200.0
"""Forecasts that have come due before anything is concluded."""
_HALF_LIFE_US: Final = 12 * HOUR_US
_BETTER: Final = 0.97  # of persistence's error, before a model serves again: else it would come and go
_STEP: Final = AHEAD_MIN // STEP_MIN - 1
_MODELS: Final[tuple[Served, ...]] = (DampedSlope(),)


class Error(Struct, frozen=True, kw_only=True):
    """A rolling mean error. `weight`: how many forecasts it is made of, older ones counting less."""

    model: str
    interval_min: int
    weight: float
    mean_mg_dl: float


class Errors(Struct, frozen=True, kw_only=True):
    """All of them, as they were at an instant."""

    at_us: int = 0
    errors: tuple[Error, ...] = ()

    def of(self, model: str) -> tuple[float, float]:
        """Mean (mg/dL) and weight of a model over all sensors; the mean of nothing is NaN."""
        own = [one for one in self.errors if one.model == model]
        weight = sum(one.weight for one in own)
        return (sum(one.mean_mg_dl * one.weight for one in own) / weight if weight else float("nan")), weight


def errors_in(blob: bytes | None) -> Errors:
    """What was kept; nothing before the first look."""
    return Errors() if blob is None else msgspec.json.decode(blob, type=Errors)


def missed(history: Array, minute: Array, came: Array) -> dict[str, Array]:
    """By how much (n,) mg/dL each model missed what came 30 minutes after history (n, points); NaN without a forecast."""
    found = {}
    for model in (shipped(), *_MODELS):
        said = model.forecast(history[:, -LOOKS_BACK:], minute)
        path = said.quantiles[:, _STEP, MEDIAN]
        found[model.name] = np.abs(np.where(said.reason == Reason.FORECAST, path, np.nan) - came)
    found[PERSISTENCE] = np.abs(np.where(np.isnan(found[SHIPPED]), np.nan, history[:, -1]) - came)
    return found


def rolled(before: Errors, found: dict[str, Array], intervals_min: Sequence[int], at_us: int) -> Errors:
    """The errors with what was found (n,) by model, of sensors that read every so many minutes (n,)."""
    left = 0.5 ** (max(at_us - before.at_us, 0) / _HALF_LIFE_US)
    sums = {(one.model, one.interval_min): (left * one.weight, one.mean_mg_dl) for one in before.errors}
    sensors = np.array(intervals_min, np.int64)
    for model, errors in found.items():
        for interval in INTERVALS_MIN:
            own = errors[(sensors == interval) & ~np.isnan(errors)]
            if len(own):
                weight, mean = sums.get((model, interval), (0.0, 0.0))
                total = weight + len(own)
                sums[model, interval] = total, (weight * mean + float(own.sum())) / total
    return Errors(
        at_us=at_us,
        errors=tuple(
            Error(model=model, interval_min=interval, weight=weight, mean_mg_dl=mean)
            for (model, interval), (weight, mean) in sorted(sums.items())
        ),
    )


def verdict(now: Choice, errors: Errors) -> Choice | None:
    """Who should serve instead of who does now; None: it may stay. What an administrator chose stays."""
    (model, weight), (persistence, _) = errors.of(SHIPPED), errors.of(PERSISTENCE)
    if now.by_hand or weight < LEAST:
        return None
    said = f"mean error at {AHEAD_MIN} min: {SHIPPED} {model:.1f}, {PERSISTENCE} {persistence:.1f} mg/dL"
    if now.model == SHIPPED and model > persistence:
        return Choice(model=DAMPED_SLOPE, why=said, since_us=errors.at_us)
    if now.model == DAMPED_SLOPE and model < _BETTER * persistence:
        return Choice(model=SHIPPED, why=said, since_us=errors.at_us)
    return None


def interval_of(time_us: NDArray[np.int64]) -> int:
    """The one of INTERVALS_MIN that is nearest, as ratios go, to how far readings (n,) usually are apart."""
    apart_min = float(np.median(np.diff(time_us))) / MINUTE_US if len(time_us) > 1 else INTERVALS_MIN[1]
    return min(INTERVALS_MIN, key=lambda one: abs(np.log(max(apart_min, 0.1) / one)))
