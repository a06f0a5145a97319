"""The network's gradient, its training, and its quantiles."""

from dataclasses import replace
from typing import Any

import numpy as np

from islet.forecast.features import WIDTH
from islet.forecast.network import OUTPUTS, PATH, gradients, initial, loss
from islet.forecast.train import Recipe, Rows, train


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(4)
    weights: list[Any] = [w.astype(np.float64) for w in initial(WIDTH, (7, 5), rng)]
    for w in weights:
        w += rng.normal(0, 0.05, w.shape)
    x: Any = rng.normal(0, 1, (6, WIDTH))
    moves: Any = rng.normal(0, 1, (6, 12))
    did: Any = rng.integers(0, 2, (6, OUTPUTS - PATH)).astype(float)
    did[0, 0] = np.nan

    def value() -> tuple[float, Any, Any, Any]:
        first = np.maximum(x @ weights[0] + weights[1], 0)
        second = np.maximum(first @ weights[2] + weights[3], 0)
        total, out = loss(second @ weights[4] + x @ weights[6] + weights[5], moves, did, 0.3)
        return total, out, first, second

    _, out, first, second = value()
    found = gradients(tuple(weights), x, out, first=first, second=second)
    for w, gradient in zip(weights, found, strict=True):
        for _ in range(8):
            place = tuple(int(rng.integers(k)) for k in w.shape)
            kept, step = w[place], 1e-6
            w[place] = kept + step
            above = value()[0]
            w[place] = kept - step
            below = value()[0]
            w[place] = kept
            assert abs((above - below) / (2 * step) - gradient[place]) < 1e-4


def _rows(n: int) -> Rows:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 10, (n, WIDTH)).astype(np.float32)
    moves = (0.05 * x[:, :12] + rng.normal(0, 1, (n, 12))).astype(np.float32)
    return Rows(x=x, moves=moves, happened=np.full((n, 8), np.nan, np.float32))


def test_the_same_rows_and_seed_give_the_same_network_and_another_seed_another() -> None:
    recipe = Recipe(hidden=(8, 4), epochs=1.0, batch=64)
    one, same, other = (train(_rows(512), recipe, seed).weights[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_training_learns_the_quantiles_of_noise_around_a_line() -> None:
    recipe = Recipe(hidden=(8, 4), epochs=20.0, batch=64, rate=1e-2, dropout=0.0, decay=0.0, cut_share=0.0)
    data = _rows(2048)
    out = train(data, recipe, 1).outputs(data.x)[:, :PATH].reshape(-1, 12, 5)
    shares = (data.moves[:, :, None] <= out).mean(axis=(0, 1))
    assert np.abs(shares - [0.05, 0.25, 0.5, 0.75, 0.95]).max() < 0.03
    assert np.abs(out[:, :, 2] - 0.05 * data.x[:, :12]).mean() < 0.2


def test_a_recipe_says_all_that_training_depends_on() -> None:
    recipe = Recipe(hidden=(8, 4), epochs=1.0, batch=64)
    one, other = (train(_rows(256), r, 1).weights[0] for r in (recipe, replace(recipe, rate=1e-3)))
    assert not np.array_equal(one, other)
