"""Sums, means and deviations of each person's rows; NaN where a person has too few."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sums(values: NDArray[np.float64] | NDArray[np.bool_], offsets: NDArray[np.int64]) -> Floats:
    """The sum of each person's rows (p,); 0 where there are none. values (n,), offsets (p+1,)."""
    out = np.zeros(len(offsets) - 1)
    some = np.diff(offsets) > 0
    if some.any():
        out[some] = np.add.reduceat(values, offsets[:-1][some], dtype=np.float64)
    return out


def means(values: NDArray[np.float64] | NDArray[np.bool_], offsets: NDArray[np.int64]) -> Floats:
    """The mean of each person's rows (p,); NaN where there are none."""
    return ratio(sums(values, offsets), np.diff(offsets).astype(np.float64))


def deviations(values: Floats, offsets: NDArray[np.int64]) -> Floats:
    """The sample standard deviation (n - 1) of each person's rows (p,); NaN with fewer than two."""
    counts = np.diff(offsets)
    centred = values - np.repeat(means(values, offsets), counts)
    variances = ratio(sums(centred * centred, offsets), (counts - 1).astype(np.float64))
    return np.sqrt(np.where(counts > 1, variances, np.nan))


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below (p,); NaN where `below` is 0."""
    out = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out
