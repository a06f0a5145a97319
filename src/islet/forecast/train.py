"""Training of the network: AdamW on the pinball loss, seeded, in NumPy. A minute of one core for all of GlucoBench."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from islet.forecast.features import features, unit
from islet.forecast.network import (
    OUTPUTS,
    RISK_STEPS,
    RISKS,
    Array,
    Network,
    forward,
    gradients,
    initial,
    loss,
)
from islet.forecast.windows import Windows

Progress = Callable[[float], None]
"""Told the share that is done, from 0 to 1."""

_FIRST_MOMENT: Final = 0.9
_SECOND_MOMENT: Final = 0.999
_WARM_UP: Final = 200  # steps
_CHUNK: Final = 32_768


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How to train; the defaults were chosen on the validation parts of GlucoBench's seed 0."""

    hidden: tuple[int, int] = (192, 96)
    epochs: float = 12.0
    batch: int = 1024
    rate: float = 2e-3
    decay: float = 1e-3
    dropout: float = 0.1
    risk_weight: float = 0.3
    cut_share: float = 0.15  # of rows whose history is cut short, and of rows whose time of day is hidden


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What training takes of windows: x (n, f) features; moves (n, 12) in the row's unit; happened (n, 8) 0, 1, NaN."""

    x: Array
    moves: Array
    happened: Array

    def __len__(self) -> int:
        return len(self.x)


def rows(windows: Windows) -> Rows:
    """Features and targets of windows, chunk by chunk."""
    chunks = [
        features(windows.history[k : k + _CHUNK], windows.minute[k : k + _CHUNK])
        for k in range(0, len(windows), _CHUNK)
    ]
    x = np.concatenate(chunks)
    now = windows.history[:, -1:]
    return Rows(x=x, moves=(windows.target - now) / unit(x), happened=happened(windows.target, now[:, 0]))


def joined(some: list[Rows]) -> Rows:
    """One after the other."""
    return Rows(
        x=np.concatenate([r.x for r in some]),
        moves=np.concatenate([r.moves for r in some]),
        happened=np.concatenate([r.happened for r in some]),
    )


def happened(target: Array, now: Array) -> Array:
    """(n, 8): whether glucose went below or above each line of RISKS within each of RISK_STEPS; NaN if it was there before.

    target (n, 12) and now (n,) are mg/dL. The order is risk by risk, the shorter time first.
    """
    columns = []
    for side, line in RISKS:
        there = now < line if side == "below" else now > line
        for steps in RISK_STEPS:
            came = target[:, :steps] < line if side == "below" else target[:, :steps] > line
            columns.append(np.where(there, np.nan, came.any(axis=1)))
    return np.column_stack(columns).astype(np.float32)


def shortened(windows: Windows, share: float, seed: int) -> Windows:
    """The same windows, some with less of a past and some without a time of day: so that a new sensor gets its forecast."""
    rng = np.random.default_rng(seed)
    history, minute = windows.history.copy(), windows.minute.copy()
    points = history.shape[1]
    cut = np.flatnonzero(rng.random(len(history)) < share)
    first = points - rng.integers(6, points, len(cut))
    history[cut] = np.where(np.arange(points) < first[:, None], np.nan, history[cut])
    minute[rng.random(len(minute)) < share] = np.nan
    return Windows(history=history, minute=minute, target=windows.target, part=windows.part, origin=windows.origin)


def train(
    data: Rows, recipe: Recipe, seed: int, *, begin: Network | None = None, progress: Progress | None = None
) -> Network:
    """A network fitted to the rows; the same rows, recipe and seed give the same network. `begin` is tuned further.

    What is returned is the running mean of the weights, which is steadier than the last ones.
    """
    rng = np.random.default_rng(seed)
    if begin is None:
        centre, scale = data.x.mean(axis=0), data.x.std(axis=0) + np.float32(1e-3)
        begin = Network(centre=centre, scale=scale, weights=initial(data.x.shape[1], recipe.hidden, rng))
    weights = [w.copy() for w in begin.weights]
    steady = [w.copy() for w in weights]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    x_all = begin.standardized(data.x)
    batch = min(recipe.batch, len(data))
    steps = max(1, int(recipe.epochs * len(data) / batch))
    order, taken = rng.permutation(len(data)), 0
    for step in range(1, steps + 1):
        if taken + batch > len(data):
            order, taken = rng.permutation(len(data)), 0
        chosen = order[taken : taken + batch]
        taken += batch
        found = _gradients(tuple(weights), x_all[chosen], data.moves[chosen], data.happened[chosen], recipe, rng)
        rate = recipe.rate * min(1.0, step / _WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        keep = np.float32(min(0.999, (1 + step) / (10 + step)))
        for k, gradient in enumerate(found):
            first[k] += (1 - _FIRST_MOMENT) * (gradient - first[k])
            second[k] += (1 - _SECOND_MOMENT) * (gradient * gradient - second[k])
            size = np.sqrt(second[k] / (1 - _SECOND_MOMENT**step)) + 1e-8
            held = recipe.decay * weights[k] if weights[k].ndim > 1 else 0
            weights[k] -= np.float32(rate) * (first[k] / (1 - _FIRST_MOMENT**step) / size + held)
            steady[k] += (1 - keep) * (weights[k] - steady[k])
        if progress is not None and step % 20 == 0:
            progress(step / steps)
    return Network(centre=begin.centre, scale=begin.scale, weights=tuple(steady))


def _gradients(
    weights: tuple[Array, ...], x: Array, moves: Array, did: Array, recipe: Recipe, rng: np.random.Generator
) -> list[Array]:
    w1, b1, w2, b2, w3, b3, way = weights
    hidden = np.maximum(x @ w1 + b1, 0)
    if recipe.dropout:
        kept = rng.random(hidden.shape, dtype=np.float32) >= recipe.dropout
        hidden *= kept * np.float32(1 / (1 - recipe.dropout))
    deeper = np.maximum(hidden @ w2 + b2, 0)
    outputs = deeper @ w3 + x @ way + b3
    _, out_gradient = loss(outputs, moves, did, recipe.risk_weight)
    found = gradients(weights, x, out_gradient, first=hidden, second=deeper)
    if recipe.dropout:  # what was kept counts for more; what was not is nought in `hidden` already
        found[0] *= np.float32(1 / (1 - recipe.dropout))
        found[1] *= np.float32(1 / (1 - recipe.dropout))
    return found


def predict(network: Network, x: Array) -> Array:
    """(n, OUTPUTS) of features (n, f), chunk by chunk."""
    out = np.empty((len(x), OUTPUTS), np.float32)
    for k in range(0, len(x), _CHUNK):
        out[k : k + _CHUNK] = forward(network.weights, network.standardized(x[k : k + _CHUNK]))
    return out


def fit_least_absolute(data: Rows, weights: Array, *, rounds: int = 12, seed: int = 0) -> Array:
    """Lines (f + 1, 12) with the least absolute error, from those of `weights`, by reweighted least squares.

    Each round solves least squares with weights 1 / |error|; on at most 40,000 rows, which is enough for a line.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(data))[:40_000]
    x = np.column_stack([data.x[chosen], np.ones(len(chosen), np.float32)]).astype(np.float64)
    y = (data.moves[chosen] * unit(data.x[chosen])).astype(np.float64)
    lines = weights.astype(np.float64)
    held = np.full(x.shape[1], 1.0)
    held[-1] = 0.0
    for _ in range(rounds):
        near = 1 / np.maximum(np.abs(y - x @ lines), 1.0).mean(axis=1)  # one weight for the whole path of a row
        weighted = x * near[:, None]
        lines = np.linalg.solve(weighted.T @ x + np.diag(held) * near.mean(), weighted.T @ y)
    return lines.astype(np.float32)


assert len(RISKS) * len(RISK_STEPS) == 8
