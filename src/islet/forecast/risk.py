"""Risks from a forecast: what the network says of each, and where the quantiles lie, put together by a logistic line."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.features import NAMES
from islet.forecast.network import MEDIAN, RISK_STEPS, RISKS, Array
from islet.forecast.windows import HORIZON

INPUTS: Final = 6
"""The network's logit; how far the path goes past the line, at most, at the end, in the mean, and how far it is now, each
measured by how unsure the path is; 1."""

_LEVEL: Final = NAMES.index("level")
_LEVEL_CENTRE: Final = 120.0  # mg/dL, as features have it
_LEAST_WIDTH: Final = 2.0  # mg/dL
_FAR: Final = 6.0  # widths
_NEWTON_STEPS: Final = 30
_HELD: Final = 1.0
_SMALLEST: Final = 1e-7


def inputs(x: Array, moves: Array, logits: Array) -> Array:
    """(n, 8, INPUTS) for features (n, f), moves (n, 12, 5) in mg/dL from the newest value, and logits (n, 8)."""
    out = np.empty((len(x), len(RISKS) * len(RISK_STEPS), INPUTS), np.float32)
    now = x[:, _LEVEL] + np.float32(_LEVEL_CENTRE)
    path = moves[:, :, MEDIAN]
    k = 0
    for side, line in RISKS:
        if side == "below":
            width = np.maximum(path - moves[:, :, 0], _LEAST_WIDTH)
            past = (np.float32(line) - now)[:, None] - path
        else:
            width = np.maximum(moves[:, :, -1] - path, _LEAST_WIDTH)
            past = path - (np.float32(line) - now)[:, None]
        past = np.clip(past / width, -_FAR, _FAR)
        away = np.clip((past[:, 0] * width[:, 0]) / width[:, HORIZON // 2], -_FAR, _FAR)
        for steps in RISK_STEPS:
            out[:, k, 0] = logits[:, k]
            out[:, k, 1] = past[:, :steps].max(axis=1)
            out[:, k, 2] = past[:, steps - 1]
            out[:, k, 3] = past[:, :steps].mean(axis=1)
            out[:, k, 4] = away
            out[:, k, 5] = 1.0
            k += 1
    return out


def chances(lines: Array, found: Array) -> Array:
    """(n, 8) of lines (8, INPUTS) and inputs (n, 8, INPUTS)."""
    logit = np.einsum("nki,ki->nk", found, lines)
    out: Array = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return out


def plain_lines() -> Array:
    """The risks as the network says them."""
    out = np.zeros((len(RISKS) * len(RISK_STEPS), INPUTS), np.float32)
    out[:, 0] = 1.0
    return out


def fit_lines(found: Array, happened: Array) -> Array:
    """(8, INPUTS): lines by which inputs (n, 8, INPUTS) become true probabilities, by Newton's method.

    happened (n, 8) is 0, 1 or NaN (not asked). Platt's targets (1999) keep a risk that never came off nought.
    """
    out = np.empty((found.shape[1], INPUTS), np.float32)
    for k in range(found.shape[1]):
        asked = ~np.isnan(happened[:, k])
        out[k] = _line(found[asked, k].astype(np.float64), happened[asked, k].astype(np.float64))
    return out


def _line(design: NDArray[np.float64], did: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic line of least cross-entropy, held a little towards nought; a step that makes it worse is halved."""
    count, came = len(did), did.sum()
    goal = np.where(did > 0, (came + 1) / (came + 2), 1 / (count - came + 2))
    rate = float(goal.mean())
    line = np.zeros(INPUTS)
    line[-1] = np.log(rate / (1 - rate))
    held = np.full(INPUTS, _HELD)
    held[-1] = 0.0
    cost = _cost(design, goal, line, held)
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        slope = design.T @ (chance - goal) + held * line
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(held + 1e-9)
        step = np.linalg.solve(bend, slope)
        while (after := _cost(design, goal, line - step, held)) > cost and np.abs(step).max() > _SMALLEST:
            step = step / 2
        if np.abs(step).max() <= _SMALLEST:
            break
        line, cost = line - step, after
    return line


def _cost(
    design: NDArray[np.float64], goal: NDArray[np.float64], line: NDArray[np.float64], held: NDArray[np.float64]
) -> float:
    logit = design @ line
    return float((np.logaddexp(0, logit) - goal * logit).sum() + 0.5 * (held * line * line).sum())
