"""What makes intervals true, margins by conformal shifts, and how true intervals and risks are."""

from typing import Final

import numpy as np

from islet.forecast.features import unit
from islet.forecast.network import MEDIAN, QUANTILES, Array
from islet.forecast.windows import HORIZON

_BINS: Final = 10


def margins(plain: Array, x: Array, moves_mg_dl: Array) -> Array:
    """(12, 5) in the row's unit: what has to be added to each quantile but the median so that its share lies below it.

    Split conformal, one side and one horizon at a time (doi:10.48550/arXiv.1905.03222, asymmetric): on rows that the
    model was not fitted to, the (n + 1) tau / n quantile of what is left. plain (n, 12, 5) is what it says of the rows
    without margins, moves (n, 12) what came, both from the newest value.
    """
    left = (moves_mg_dl[:, :, None] - plain) / unit(x)[:, :, None]
    n = len(x)
    out = np.zeros((HORIZON, len(QUANTILES)), np.float32)
    for k, tau in enumerate(QUANTILES):
        if k != MEDIAN:
            share = min(1.0, (n + 1) * tau / n) if tau > 0.5 else max(0.0, ((n + 1) * tau - 1) / n)
            out[:, k] = np.quantile(left[:, :, k], share, axis=0)
    return out


def coverage(quantiles: Array, target: Array) -> dict[int, float]:
    """Share of the targets (n, 12) inside of the middle 50 and 90 % of quantiles (n, 12, 5)."""
    return {
        50: float(((target >= quantiles[:, :, 1]) & (target <= quantiles[:, :, 3])).mean()),
        90: float(((target >= quantiles[:, :, 0]) & (target <= quantiles[:, :, 4])).mean()),
    }


def reliability(risk: Array, happened: Array) -> list[tuple[int, float, float]]:
    """For each tenth of probability that is used: how many, what was said on average, what came. NaN is not asked."""
    asked = ~np.isnan(happened)
    said, did = risk[asked], happened[asked]
    place = np.minimum((said * _BINS).astype(int), _BINS - 1)
    return [
        (int((place == k).sum()), float(said[place == k].mean()), float(did[place == k].mean()))
        for k in range(_BINS)
        if (place == k).any()
    ]


def calibration_error(table: list[tuple[int, float, float]]) -> float:
    """Expected calibration error: the mean distance between said and came, by how many (doi:10.1609/aaai.v29i1.9602)."""
    total = sum(n for n, _, _ in table)
    return sum(n * abs(said - came) for n, said, came in table) / total if total else 0.0
