"""The compiled model beside the one in NumPy, from which it was trained."""

from dataclasses import replace

import numpy as np
import pytest

from islet.forecast.compiled import moves
from islet.forecast.features import features
from islet.forecast.grid import LOOKS_BACK
from islet.forecast.model import Model
from islet.forecast.network import Array
from islet.forecast.shipped import shipped_model
from islet.model.ahead import EATEN_POINTS


def pasts(n: int) -> tuple[Array, Array]:
    """Walks with gaps, with little known, flat and steep; minutes, of which some are unknown."""
    rng = np.random.default_rng(11)
    history = np.clip(150 + rng.normal(0, 5, (n, LOOKS_BACK)).cumsum(axis=1), 30, 500).astype(np.float32)
    history[rng.random(history.shape) < 0.1] = np.nan
    history[: n // 3, :-8] = np.nan
    history[0], history[1] = 100.0, np.linspace(400, 40, LOOKS_BACK)
    history[:, -1] = np.where(np.isnan(history[:, -1]), 90.0, history[:, -1])
    minute = rng.uniform(0, 1440, n).astype(np.float32)
    minute[3:5] = np.nan
    return history, minute


def hungry(n: int) -> Array:
    """Nothing eaten."""
    return np.zeros((n, EATEN_POINTS), np.float32)


@pytest.mark.parametrize("networks", [1, 2])
def test_the_compiled_model_says_what_the_one_in_numpy_says(networks: int) -> None:
    model: Model = replace(shipped_model(), networks=shipped_model().networks * networks)
    history, minute = pasts(300)
    found, risks = moves(model, history, minute, hungry(300))
    expected, chances = model.moves(features(history, minute))
    np.testing.assert_allclose(found, expected, atol=0.01)
    np.testing.assert_allclose(risks.reshape(len(risks), -1), chances, atol=1e-4)


def test_each_row_is_bit_for_bit_the_same_alone() -> None:
    history, minute = pasts(40)
    found, risks = moves(shipped_model(), history, minute, hungry(40))
    for k in range(len(history)):
        alone, chance = moves(shipped_model(), history[k : k + 1], minute[k : k + 1], hungry(1))
        assert alone[0].tobytes() == found[k].tobytes()
        assert chance[0].tobytes() == risks[k].tobytes()
