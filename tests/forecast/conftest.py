"""Recordings that are made up: slow waves, meals, noise. Never the ground of a claim about accuracy."""

import numpy as np
import pytest

from islet.forecast.fit import People, divide, fit_model
from islet.forecast.grid import Segment, segments
from islet.forecast.model import Model
from islet.forecast.train import Recipe

SMALL = Recipe(hidden=(16, 8), epochs=2.0, batch=256)


def recording(person: str, days: float, seed: int) -> Segment:
    """A person's glucose every 5 min: an autoregression of second order around their own level, between 45 and 350."""
    rng = np.random.default_rng(seed)
    n = int(days * 288)
    noise = rng.normal(0, 2.2, n)
    values = np.zeros(n)
    for k in range(2, n):
        values[k] = 1.75 * values[k - 1] - 0.765 * values[k - 2] + noise[k]
    level = rng.uniform(95, 150)
    glucose = np.clip(level + values, 45, 350).round().astype(np.float32)
    minutes = 28_000_000 + 5 * np.arange(n, dtype=np.int64)
    return segments(person, minutes, glucose, gap_min=45, least=12)[0]


@pytest.fixture(scope="session")
def people() -> People:
    """Twenty people of whom sixteen teach and four judge."""
    return divide([recording(f"made up/{k:02}", 1.5, k) for k in range(20)], 1)


@pytest.fixture(scope="session")
def model(people: People) -> Model:
    """A small model of them."""
    return fit_model(people, SMALL, 3, stride=4)
