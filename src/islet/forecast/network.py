"""The multi-quantile network: a forward pass in NumPy, and its gradient.

features -> 192 -> 96 -> 12 steps x 5 quantiles of what glucose will move, in the row's own unit (features.unit), and
8 logits of risk; with a linear way past the hidden layers, so that it can do no worse than a line.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.windows import HORIZON

Array = NDArray[np.float32]

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
MEDIAN: Final = QUANTILES.index(0.5)
RISKS: Final = (("below", 70.0), ("below", 54.0), ("above", 180.0), ("above", 250.0))
RISK_STEPS: Final = (6, 12)  # within 30 and within 60 min
PATH: Final = HORIZON * len(QUANTILES)
OUTPUTS: Final = PATH + len(RISKS) * len(RISK_STEPS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """centre and scale (f,) standardize the features; weights are W1 b1 W2 b2 W3 b3 and the linear way, all float32."""

    centre: Array
    scale: Array
    weights: tuple[Array, ...]

    def standardized(self, features: Array) -> Array:
        """(n, f) as the layers want them; clipped, so that nothing unheard of comes far."""
        out: Array = np.clip((features - self.centre) / self.scale, -8.0, 8.0)
        return out

    def outputs(self, features: Array) -> Array:
        """(n, OUTPUTS): moves in the row's own unit, then logits of risk."""
        return forward(self.weights, self.standardized(features))


def forward(weights: tuple[Array, ...], x: Array) -> Array:
    """Outputs (n, OUTPUTS) of standardized features (n, f)."""
    w1, b1, w2, b2, w3, b3, way = weights
    first: Array = x @ w1
    first += b1
    np.maximum(first, 0, out=first)
    second: Array = first @ w2
    second += b2
    np.maximum(second, 0, out=second)
    out: Array = second @ w3
    out += x @ way
    out += b3
    return out


def initial(width: int, hidden: tuple[int, int], rng: np.random.Generator) -> tuple[Array, ...]:
    """He's initialization, small at the last layer; the linear way begins at nought."""
    layers = [(width, hidden[0], 1.0), (hidden[0], hidden[1], 1.0), (hidden[1], OUTPUTS, 0.1)]
    made: list[Array] = []
    for fan_in, fan_out, gain in layers:
        made.append((gain * np.sqrt(2 / fan_in) * rng.standard_normal((fan_in, fan_out))).astype(np.float32))
        made.append(np.zeros(fan_out, np.float32))
    return (*made, np.zeros((width, OUTPUTS), np.float32))


def loss(outputs: Array, moves: Array, happened: Array, risk_weight: float) -> tuple[float, Array]:
    """Mean pinball loss of the quantiles plus the weighted cross-entropy of the risks, and its gradient (n, OUTPUTS).

    moves (n, HORIZON) in the row's unit; happened (n, 8) 0 or 1, NaN where it is no question, as it has happened already.
    """
    n = len(outputs)
    taus = np.array(QUANTILES, np.float32)
    error = moves[:, :, None] - outputs[:, :PATH].reshape(n, HORIZON, len(QUANTILES))
    over = error > 0
    value = float(np.where(over, taus, taus - 1).__mul__(error).sum() / n)
    gradient = np.empty_like(outputs)
    gradient[:, :PATH] = np.where(over, -taus, 1 - taus).reshape(n, PATH)
    chance = 1 / (1 + np.exp(-outputs[:, PATH:]))
    asked = ~np.isnan(happened)
    did = np.where(asked, happened, 0)
    entropy = -np.where(asked, did * np.log(chance + 1e-7) + (1 - did) * np.log(1 - chance + 1e-7), 0).sum()
    gradient[:, PATH:] = np.where(asked, chance - did, 0) * np.float32(risk_weight)
    gradient /= np.float32(n)
    return value + risk_weight * float(entropy) / n, gradient


def gradients(weights: tuple[Array, ...], x: Array, out_gradient: Array, *, first: Array, second: Array) -> list[Array]:
    """Gradients of all weights, given that of the outputs and the hidden layers (after ReLU and, in training, dropout)."""
    _, _, w2, _, w3, _, _ = weights
    at_second = (out_gradient @ w3.T) * (second > 0)
    at_first = (at_second @ w2.T) * (first > 0)
    return [
        x.T @ at_first,
        at_first.sum(axis=0),
        first.T @ at_second,
        at_second.sum(axis=0),
        second.T @ out_gradient,
        out_gradient.sum(axis=0),
        x.T @ out_gradient,
    ]
