"""What meals add, learnt from recordings of people who wrote down when they ate how many carbs; and how much it helps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.errors import BadInput
from islet.forecast.calibration import coverage
from islet.forecast.fit import live_windows
from islet.forecast.forecaster import Forecaster, Reason
from islet.forecast.grid import STEP_MIN, Segment
from islet.forecast.meals import HALF_G, added, no_meals, raised
from islet.forecast.model import Model
from islet.forecast.network import MEDIAN, Array
from islet.model.ahead import EATEN_POINTS

Meals = Mapping[str, Sequence[tuple[int, float]]]
"""Person -> minute (of their own clock, since 1970) and carbs in g."""

LEAST_PEOPLE: Final = 5
KNOTS_MIN: Final = (0, 10, 20, 30, 45, 60)
"""Minutes after a meal, between which weights lie on straight lines; at the last nothing is left."""
_FOLDS: Final = 13
_PENALTY: Final = 3_000.0
_ROUNDS: Final = 8
_LEAST_ERROR_MG_DL: Final = 3.0
_DRAWS: Final = 2_000
_AT: Final = {30: 5, 60: 11}
_AGES_MIN: Final = STEP_MIN * (np.arange(EATEN_POINTS) + 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Eaten:
    """Forecasts (n,) of people who write meals down: what was eaten (n, EATEN_POINTS) g, what was foretold without
    knowing (n, 12, 5) and what came (n, 12), mg/dL, and who (n,) it was."""

    eaten: Array
    quantiles: Array
    target: Array
    person: NDArray[np.str_]

    def some(self, chosen: NDArray[np.bool_]) -> "Eaten":
        """Those that are chosen (n,)."""
        columns = (self.eaten, self.quantiles, self.target)
        eaten, quantiles, target = (column[chosen] for column in columns)
        return Eaten(eaten=eaten, quantiles=quantiles, target=target, person=self.person[chosen])


def forecasts_of(model: Model, found: Sequence[Segment], meals: Meals) -> Eaten:
    """The model's forecasts, as they would have been live without meals, of those of whom there are meals. Raises
    BadInput with fewer than LEAST_PEOPLE."""
    forecaster = Forecaster(model=replace(model, meals=no_meals()))
    parts = [_of_one(forecaster, one, meals[one.person]) for one in found if meals.get(one.person)]
    people = {str(part.person[0]) for part in parts if len(part.person)}
    if len(people) < LEAST_PEOPLE:
        raise BadInput(f"meals of at least {LEAST_PEOPLE} people are needed, got {len(people)}", reason="data")
    return Eaten(
        eaten=np.concatenate([part.eaten for part in parts]),
        quantiles=np.concatenate([part.quantiles for part in parts]),
        target=np.concatenate([part.target for part in parts]),
        person=np.concatenate([part.person for part in parts]),
    )


def _of_one(forecaster: Forecaster, one: Segment, meals: Sequence[tuple[int, float]]) -> Eaten:
    seen = live_windows([one], 1)
    said = forecaster.forecast(seen.history, seen.minute)
    told = said.reason == Reason.FORECAST
    at_min = one.start_min + STEP_MIN * seen.origin[told]
    return Eaten(
        eaten=eaten_before(at_min, meals),
        quantiles=said.quantiles[told],
        target=seen.target[told],
        person=np.full(len(at_min), one.person),
    )


def eaten_before(at_min: NDArray[np.int64], meals: Sequence[tuple[int, float]]) -> Array:
    """Carbs in g (n, EATEN_POINTS) eaten in each STEP_MIN up to the minutes at_min (n,), the last one first."""
    out = np.zeros((len(at_min), EATEN_POINTS), np.float32)
    for minute, carbs_g in meals:
        step = (at_min - minute) // STEP_MIN
        some = np.flatnonzero((step >= 0) & (step < EATEN_POINTS))
        out[some, step[some]] += np.float32(carbs_g)
    return out


def fit_meals(data: Eaten) -> Array:
    """Weights (EATEN_POINTS, 12) of the least absolute error, none below nought, by reweighted least squares.

    A person counts by the root of how many forecasts there are of them. Held towards nought by _PENALTY. Forecasts
    before which nothing was eaten teach nothing.
    """
    data = data.some(data.eaten.sum(axis=1) > 0)
    hats = np.stack([np.interp(_AGES_MIN, KNOTS_MIN, row) for row in np.eye(len(KNOTS_MIN))[:-1]], axis=1)
    eaten = data.eaten.astype(np.float64)
    x = (eaten / (eaten.sum(axis=1, keepdims=True) + HALF_G)) @ hats
    _, who, count = np.unique(data.person, return_inverse=True, return_counts=True)
    each = 1 / np.sqrt(count[who])
    missed = (data.target - data.quantiles[:, :, MEDIAN]).astype(np.float64)
    lines = [_line(x, column, each / each.mean()) for column in missed.T]
    return np.asarray(hats @ np.stack(lines, axis=1), np.float32)


def _line(x: NDArray[np.float64], y: NDArray[np.float64], each: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights (k,) of x (n, k) for y (n,); one that would be below nought is nought, and the others are found anew."""
    spread = x.std(axis=0) + 1e-9
    z, line = x / spread, np.zeros(x.shape[1])
    used = np.ones(len(line), bool)
    for _ in range(len(line)):
        line = np.zeros(len(line))
        for _ in range(_ROUNDS):
            near = each / np.maximum(np.abs(y - z @ line), _LEAST_ERROR_MG_DL)
            weighted = z[:, used] * near[:, None]
            held = _PENALTY * near.mean() * np.eye(int(used.sum()))
            line[used] = np.linalg.solve(weighted.T @ z[:, used] + held, weighted.T @ y)
        if (line >= 0).all():
            break
        used &= line > 0
    return np.asarray(np.maximum(line, 0) / spread, np.float64)


def held_out(data: Eaten, learn: NDArray[np.bool_]) -> Array:
    """mg/dL (n, 12) that weights of other people add, everybody held out whole in turn. learn (n,): who teaches."""
    people = np.unique(data.person)
    fold = np.random.default_rng(0).permutation(len(people)) % _FOLDS
    own = fold[np.searchsorted(people, data.person)]
    out = np.zeros_like(data.target)
    for k in range(_FOLDS):
        if (own == k).any():
            out[own == k] = added(fit_meals(data.some(learn & (own != k))), data.eaten[own == k])
    return out


def meals_figures(data: Eaten, added_mg_dl: Array) -> dict[str, dict[str, float]]:
    """Errors in mg/dL without and with what is added (n, 12), in the hour after a meal and over all; what share that
    takes off, and between which two it lies for 95 of 100 draws of such people; coverage of the intervals (shares)."""
    ate = data.eaten.sum(axis=1) > 0
    return {
        name: _figures(data.some(chosen), added_mg_dl[chosen])
        for name, chosen in (("the hour after a meal", ate), ("all forecasts", np.ones(len(ate), bool)))
    }


def _figures(data: Eaten, added_mg_dl: Array) -> dict[str, float]:
    people, who = np.unique(data.person, return_inverse=True)
    out: dict[str, float] = {"people": len(people), "forecasts": len(who)}
    missed = data.target - data.quantiles[:, :, MEDIAN]
    drawn = np.random.default_rng(0).integers(0, len(people), (_DRAWS, len(people)))
    for minutes, step in _AT.items():
        errors = (np.abs(missed[:, step]), np.abs(missed[:, step] - added_mg_dl[:, step]))
        plain, known = (np.bincount(who, one.astype(np.float64)) for one in errors)
        gains = 1 - known[drawn].sum(axis=1) / plain[drawn].sum(axis=1)
        out |= {f"mae_{minutes}": plain.sum() / len(who), f"mae_{minutes}_known": known.sum() / len(who)}
        out |= {f"gain_{minutes}": 1 - known.sum() / plain.sum(), f"worst_{minutes}": float((1 - known / plain).min())}
        out |= {
            f"gain_{minutes}_{k}": float(q)
            for k, q in zip(("low", "high"), np.quantile(gains, (0.025, 0.975)), strict=True)
        }
    for name, quantiles in (("", data.quantiles), ("_known", raised(data.quantiles, added_mg_dl))):
        out |= {f"covered_{k}{name}": float(v) for k, v in coverage(quantiles, data.target).items()}
    return out
