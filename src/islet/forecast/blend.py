"""How much of each forecast goes into the blend, and the errors by which one judges."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 20  # of 0.05 each


def errors(forecast: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 2): mean squared and mean absolute error of each path (n, 12), in (mg/dL)² and mg/dL."""
    missed = forecast.astype(np.float64) - target
    return np.column_stack([(missed * missed).mean(axis=1), np.abs(missed).mean(axis=1)])


def figures(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,): MSE and MAE by the mean over windows, then by the median, which is GlucoBench's headline."""
    return np.concatenate([found.mean(axis=0), np.median(found, axis=0)])


def blend(
    members: Mapping[str, NDArray[np.float32]], target: NDArray[np.float32], reference: NDArray[np.float32]
) -> dict[str, float]:
    """Shares of the members that add up to 1, found step by step (Caruana et al. 2004, doi:10.1145/1015330.1015432).

    What is made small is the sum of the four figures, each as a share of the reference forecast's.
    """
    scale = figures(errors(reference, target))
    scale[[0, 2]] **= 0.5
    total: NDArray[np.float32] = np.zeros_like(target)
    taken = dict.fromkeys(members, 0)
    for step in range(1, _STEPS + 1):
        costs = {name: _cost((total + member) / np.float32(step), target, scale) for name, member in members.items()}
        best = min(costs, key=lambda name: costs[name])
        total = total + members[best]
        taken[best] += 1
    return {name: count / _STEPS for name, count in taken.items()}


def _cost(forecast: NDArray[np.float32], target: NDArray[np.float32], scale: NDArray[np.float64]) -> float:
    found = figures(errors(forecast, target))
    found[[0, 2]] **= 0.5
    return float((found / scale).sum())
