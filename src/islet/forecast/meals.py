"""What somebody has just eaten adds to the forecast: how far glucose will rise beyond what its trace shows already.

Of a meal the trace shows nothing at first, and after three quarters of an hour nearly all that helps to foretell an
hour. So only carbs of the last hour count, by how long ago they were eaten (weights between KNOTS_MIN, straight lines
between them, for each step ahead), and each further gram counts for less: g grams for g / (g + HALF_G). Whatever was
entered, nothing is added beyond the greatest weight. Insulin by the same form, insulin and carbs on board, and steps
counted in exercise took nothing more off the error of people who were held out
(docs/decisions/0064-meals-raise-forecasts.md).

It is one-sided. The middle of the forecast and what lies above it rise, and the risks of going above a line with them;
the lower quantiles and the risks of going below stay, so that no entry silences a warning of a low.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.network import MEDIAN, Array
from islet.forecast.windows import HORIZON
from islet.model.ahead import EATEN_POINTS, STEP_MIN

HALF_G: Final = 30.0
"""So much counts for half of what any amount could."""
KNOTS_MIN: Final = (0, 10, 20, 30, 45, 60)
"""Minutes after the meal; the weight at the last is nought."""
_PENALTY: Final = 3_000.0
_ROUNDS: Final = 8
_LEAST_ERROR_MG_DL: Final = 3.0
_AGES_MIN: Final = STEP_MIN * (np.arange(EATEN_POINTS) + 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Eaten:
    """What meals teach: eaten (n, EATEN_POINTS) g, what the middle of the forecast missed (n, HORIZON) mg/dL, and who
    (n,) it was."""

    eaten: Array
    missed: Array
    person: NDArray[np.int64]


def no_meals() -> Array:
    """Weights (EATEN_POINTS, HORIZON) of a model that has not learnt from meals: it adds nothing."""
    return np.zeros((EATEN_POINTS, HORIZON), np.float32)


def eaten_before(at_min: NDArray[np.int64], meals: Sequence[tuple[int, float]]) -> Array:
    """Carbs in g (n, EATEN_POINTS) eaten in each STEP_MIN up to the minutes at_min (n,), the last one first."""
    out = np.zeros((len(at_min), EATEN_POINTS), np.float32)
    for minute, carbs_g in meals:
        step = (at_min - minute) // STEP_MIN
        some = np.flatnonzero((step >= 0) & (step < EATEN_POINTS))
        out[some, step[some]] += np.float32(carbs_g)
    return out


def added(weights: Array, eaten: Array) -> Array:
    """mg/dL (n, HORIZON) by which what was eaten (n, EATEN_POINTS) raises the forecast."""
    raised: Array = (eaten / (eaten.sum(axis=1, keepdims=True) + np.float32(HALF_G))) @ weights
    return raised


def raised(weights: Array, eaten: Array, quantiles: Array) -> Array:
    """Quantiles (n, HORIZON, 5) in mg/dL with what was eaten (n, EATEN_POINTS): the middle and those above it."""
    out = quantiles.copy()
    out[:, :, MEDIAN:] += added(weights, eaten)[:, :, None]
    return out


def fit_meals(data: Eaten) -> Array:
    """Weights (EATEN_POINTS, HORIZON) of the least absolute error, none below nought, by reweighted least squares.

    A person counts by the root of how many forecasts there are of them. Held towards nought by _PENALTY. Rows in
    which nothing was eaten teach nothing.
    """
    ate = data.eaten.sum(axis=1) > 0
    hats = np.stack([np.interp(_AGES_MIN, KNOTS_MIN, row) for row in np.eye(len(KNOTS_MIN))[:-1]], axis=1)
    eaten = data.eaten[ate].astype(np.float64)
    x = (eaten / (eaten.sum(axis=1, keepdims=True) + HALF_G)) @ hats
    _, who, count = np.unique(data.person[ate], return_inverse=True, return_counts=True)
    each = 1 / np.sqrt(count[who])
    lines = [_line(x, missed, each / each.mean()) for missed in data.missed[ate].astype(np.float64).T]
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
    return np.maximum(line, 0) / spread
