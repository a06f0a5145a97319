"""The forecasts that every other has to beat: persistence, a damped slope, AR2, and lines through the last values.

Each takes history (n, points) in mg/dL, the newest last and none missing, and gives (n, HORIZON) mg/dL.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.windows import HORIZON

_DAMPED_STEPS: Final = 6.0  # 30 min, as in engine/foretell.py
_SLOPE_POINTS: Final = 4
_AR2_CENTRE: Final = 140.0  # mg/dL
_AR2: Final = (-0.723, 1.716)  # Nightscout, lib/plugins/ar2.js


def persistence(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """The newest value stays."""
    return np.repeat(history[:, -1:], HORIZON, axis=1)


def damped_slope(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """The slope of the least-squares line through 20 minutes goes on, ever less: in h it makes h * d / (h + d), d = 30 min."""
    ahead = np.arange(1, HORIZON + 1)
    damped: NDArray[np.float32] = (ahead * _DAMPED_STEPS / (ahead + _DAMPED_STEPS)).astype(np.float32)
    path: NDArray[np.float32] = history[:, -1:] + _slope(history)[:, None] * damped
    return path


def extrapolated(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same slope goes on undamped: what most devices' predictive alarms are."""
    ahead: NDArray[np.float32] = np.arange(1, HORIZON + 1).astype(np.float32)
    path: NDArray[np.float32] = history[:, -1:] + _slope(history)[:, None] * ahead
    return path


def ar2(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """Nightscout's: an autoregression of second order on log(glucose / 140)."""
    before, now = (np.log(np.maximum(history[:, k], 1.0) / _AR2_CENTRE) for k in (-2, -1))
    path = np.empty((len(history), HORIZON), np.float32)
    for step in range(HORIZON):
        before, now = now, _AR2[0] * before + _AR2[1] * now
        path[:, step] = _AR2_CENTRE * np.exp(now)
    return path


def _slope(history: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.arange(_SLOPE_POINTS, dtype=np.float32) - (_SLOPE_POINTS - 1) / 2
    slope: NDArray[np.float32] = history[:, -_SLOPE_POINTS:] @ (weights / (weights @ weights)).astype(np.float32)
    return slope


def fit_ridge(features: NDArray[np.float32], target: NDArray[np.float32], penalty: float = 1.0) -> NDArray[np.float32]:
    """Weights (f + 1, k) of the lines from features (n, f) to target (n, k); the last row, the constant, is not held back."""
    n, width = features.shape
    moments = np.zeros((width + 1, width + 1))
    cross = np.zeros((width + 1, target.shape[1]))
    for begin in range(0, n, 65_536):
        x = np.column_stack([features[begin : begin + 65_536], np.ones(min(65_536, n - begin))]).astype(np.float64)
        moments += x.T @ x
        cross += x.T @ target[begin : begin + 65_536]
    held = np.full(width + 1, penalty)
    held[-1] = 0.0
    solved: NDArray[np.float64] = np.linalg.solve(moments + np.diag(held) + 1e-9 * np.eye(width + 1), cross)
    return solved.astype(np.float32)


def apply_lines(weights: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """features (n, f) through weights (f + 1, k): (n, k)."""
    out: NDArray[np.float32] = features @ weights[:-1] + weights[-1]
    return out
