"""How far the forecasts miss at present, model by model and sensor by sensor, and which model should serve.

The error is that of the middle quantile 30 minutes ahead, in mg/dL, in a mean that forgets half of what it knows in
twelve hours. Sensors are told apart by their type where somebody has said it, else by how often they read, which is what
their traces differ by most.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.forecast.forecaster import Reason
from islet.forecast.grid import LOOKS_BACK, STEP_MIN
from islet.forecast.network import MEDIAN, Array
from islet.forecast.serving import PERSISTENCE, SHADOWS, SHIPPED, Choice, Served, Shadow, shipped
from islet.model.ahead import Corrections
from islet.model.time import HOUR_US, MINUTE_US

STATE: Final = "forecast_errors"
"""Under which name `Errors` are kept, among the log's states."""
AHEAD_MIN: Final = 30
INTERVALS_MIN: Final = (1, 5, 15)
LEAST: Final = 200.0
"""Forecasts that have come due before anything is concluded."""
_HALF_LIFE_US: Final = 12 * HOUR_US
MOST_TYPES: Final = 20
"""Of sensors that are told apart by type; those of another are told apart by how often they read."""
_CHANCE: Final = 2.0
"""Over the root of how many forecasts came due: by this share a model must do worse than no change. Two standard errors,
as one forecast's errors differ about as much as they are large."""
_BETTER: Final = 0.97  # of the other's error, before another model serves again: else they would come and go
_LEAST_WEIGHT: Final = 0.01
_STEP: Final = AHEAD_MIN // STEP_MIN - 1


class Sensor(NamedTuple):
    """Its type; "" where that is not known, and then one of INTERVALS_MIN, else 0."""

    type: str
    interval_min: int

    def __str__(self) -> str:
        return self.type or f"{self.interval_min} min"


class Error(Struct, frozen=True, kw_only=True):
    """A rolling mean error. `weight`: how many forecasts it is made of, older ones counting less."""

    model: str
    interval_min: int
    weight: float
    mean_mg_dl: float
    type: str = ""

    @property
    def sensor(self) -> Sensor:
        """Whose error it is."""
        return Sensor(self.type, self.interval_min)


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


def missed(
    history: Array, minute: Array, came: Array, eaten: Array | None = None, corrections: Corrections | None = None
) -> dict[str, Array]:
    """By how much (n,) mg/dL each model missed what came 30 minutes after history (n, points); NaN without a forecast.
    The arguments are those of `Forecaster.forecast`: each model is measured as it would be served."""
    found = {}
    models: list[Served] = [shipped(), *(Shadow(name=name) for name in SHADOWS)]
    for model in models:
        said = model.forecast(history[:, -LOOKS_BACK:], minute, None, eaten, corrections)
        path = said.quantiles[:, _STEP, MEDIAN]
        found[model.name] = np.abs(np.where(said.reason == Reason.FORECAST, path, np.nan) - came)
    return found


def rolled(before: Errors, found: dict[str, Array], sensors: Sequence[Sensor], at_us: int) -> Errors:
    """The errors with what was found (n,) by model, of these sensors (n,); what hardly counts any more is left out."""
    left = 0.5 ** (max(at_us - before.at_us, 0) / _HALF_LIFE_US)
    sums = {(one.model, one.sensor): (left * one.weight, one.mean_mg_dl) for one in before.errors}
    for sensor in set(sensors):
        mine = np.array([one == sensor for one in sensors])
        for model, errors in found.items():
            own = errors[mine & ~np.isnan(errors)]
            if len(own):
                weight, mean = sums.get((model, sensor), (0.0, 0.0))
                total = weight + len(own)
                sums[model, sensor] = total, (weight * mean + float(own.sum())) / total
    return Errors(
        at_us=at_us,
        errors=tuple(
            Error(model=model, type=sensor.type, interval_min=sensor.interval_min, weight=weight, mean_mg_dl=mean)
            for (model, sensor), (weight, mean) in sorted(sums.items())
            if weight >= _LEAST_WEIGHT
        ),
    )


def verdict(now: Choice, errors: Errors) -> Choice | None:
    """Who should serve instead of who does now; None: it may stay. What an administrator chose stays.

    The best of the SHADOWS serves instead of a network that does worse than no change by more than chance, until the network does clearly
    better than that, or another of them than the one that serves.
    """
    found = {name: errors.of(name) for name in (SHIPPED, *SHADOWS)}
    if now.by_hand or any(weight < LEAST for _, weight in found.values()):
        return None
    means = {name: mean for name, (mean, _) in found.items()}
    best = min(SHADOWS, key=lambda name: means[name])
    instead = now.model
    least = min(weight for _, weight in found.values())
    if now.model == SHIPPED and means[SHIPPED] > means[PERSISTENCE] * (1 + _CHANCE / least**0.5):
        instead = best
    elif now.model != SHIPPED and means[SHIPPED] < _BETTER * means[PERSISTENCE]:
        instead = SHIPPED
    elif now.model != SHIPPED and means[best] < _BETTER * means[now.model]:
        instead = best
    if instead == now.model:
        return None
    said = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items())
    return Choice(model=instead, why=f"mean error at {AHEAD_MIN} min: {said} mg/dL", since_us=errors.at_us)


def interval_of(time_us: NDArray[np.int64]) -> int:
    """The one of INTERVALS_MIN that is nearest, as ratios go, to how far readings (n,) usually are apart."""
    apart_min = float(np.median(np.diff(time_us))) / MINUTE_US if len(time_us) > 1 else INTERVALS_MIN[1]
    return min(INTERVALS_MIN, key=lambda one: abs(np.log(max(apart_min, 0.1) / one)))
