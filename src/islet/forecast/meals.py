"""What somebody has just eaten adds to the forecast: how far glucose will rise beyond what its trace shows already.

Of a meal the trace shows nothing at first, and after three quarters of an hour nearly all that helps to foretell an
hour. So only carbs of the last hour count, by how long ago they were eaten (weights for each step ahead), and each
further gram counts for less: g grams for g / (g + HALF_G). Whatever was entered, nothing is added beyond the greatest
weight. Insulin, what is on board, and exercise took nothing more off the errors of people who were held out
(docs/decisions/0064-meals-raise-forecasts.md).

It is one-sided. The middle of the forecast and what lies above it rise, and the risks of going above a line with them;
the lower quantiles and the risks of going below stay, so that no entry silences a warning of a low.
"""

from typing import Final

import numpy as np

from islet.forecast.network import MEDIAN, Array
from islet.forecast.windows import HORIZON
from islet.model.ahead import EATEN_POINTS

HALF_G: Final = 30.0
"""So much counts for half of what any amount could."""


def no_meals() -> Array:
    """Weights (EATEN_POINTS, HORIZON) of a model that has not learnt from meals: it adds nothing."""
    return np.zeros((EATEN_POINTS, HORIZON), np.float32)


def added(weights: Array, eaten: Array) -> Array:
    """mg/dL (n, HORIZON) by which what was eaten (n, EATEN_POINTS) raises the forecast."""
    found: Array = (eaten / (eaten.sum(axis=1, keepdims=True) + np.float32(HALF_G))) @ weights
    return found


def raised(quantiles: Array, added_mg_dl: Array) -> Array:
    """Quantiles (n, HORIZON, 5) in mg/dL after meals that add (n, HORIZON): the middle and those above it."""
    out = quantiles.copy()
    out[:, :, MEDIAN:] += added_mg_dl[:, :, None]
    return out
