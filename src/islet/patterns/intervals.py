"""How sure a number is: 90 % intervals, and what is called high, moderate or low confidence."""

from collections.abc import Callable
from functools import lru_cache
from math import comb, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.patterns.findings import Confidence, Figure

LEAST: Final = 5
"""Fewer occasions are too few for an interval, and for saying anything of an effect."""
_TAIL: Final = 0.05
_Z: Final = 1.6449  # of a normal distribution, one in twenty above it
_EXACT: Final = 200
_MANY: Final = 14
_SOME: Final = 7
_DRAWS: Final = 400
_SEED: Final = 7  # the same data always give the same interval


def median_figure(name: str, values: NDArray[np.float64], unit: str) -> Figure:
    """The median of values (n,), n at least 1, with its distribution-free interval (order statistics: Conover, Practical
    Nonparametric Statistics, section 3.2), none below LEAST.

    >>> figure = median_figure("rise_mg_dl", np.array([10.0, 30.0, 20.0, 50.0, 40.0]), "mg/dL")
    >>> figure.value, figure.low, figure.high
    (30.0, 10.0, 50.0)
    """
    ascending = np.sort(values)
    middle = round(float(np.median(ascending)), 2)
    if len(ascending) < LEAST:
        return Figure(name=name, value=middle, unit=unit)
    cut = _cut(len(ascending))
    low, high = float(ascending[cut - 1]), float(ascending[len(ascending) - cut])
    return Figure(name=name, value=middle, unit=unit, low=round(low, 2), high=round(high, 2))


@lru_cache(maxsize=1_000)
def _cut(n: int) -> int:
    """The greatest k, at least 1, for which the chance that fewer than k of n values lie below the median is 5 %."""
    if n > _EXACT:
        return max(1, int((n - _Z * sqrt(n)) / 2.0))
    below, k = 0.0, 0
    while below + comb(n, k) / 2.0**n <= _TAIL:
        below += comb(n, k) / 2.0**n
        k += 1
    return max(1, k)


def share_figure(name: str, seen: int, of: int) -> Figure:
    """seen / of in percent, with Wilson's interval (doi:10.1080/01621459.1927.10502953).

    >>> share_figure("nights_percent", 5, 10).value
    50.0
    """
    share, z2 = seen / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Figure(name=name, value=round(100 * share, 1), unit="%", low=round(100 * low, 1), high=round(100 * high, 1))


def days_figure(
    name: str, days: NDArray[np.float64], of: Callable[[NDArray[np.float64]], NDArray[np.float64]], unit: str
) -> Figure:
    """A number that `of` makes out of sums over days, with the interval of drawing whole days again (a bootstrap, since
    readings of a day are alike). days (d, k); `of` takes (…, k) sums and gives (…,). No interval below LEAST days."""
    value = round(float(of(days.sum(axis=0))), 2)
    if len(days) < LEAST:
        return Figure(name=name, value=value, unit=unit)
    drawn = np.random.default_rng(_SEED).multinomial(len(days), np.full(len(days), 1.0 / len(days)), _DRAWS)
    low, high = np.nanquantile(of(drawn @ days), (_TAIL, 1.0 - _TAIL))
    return Figure(name=name, value=value, unit=unit, low=round(float(low), 2), high=round(float(high), 2))


def confidence(occasions: int, *, clear: bool = True) -> Confidence:
    """From how many occasions were looked at, and whether the interval is `clear` (of zero, or of the goal).

    >>> confidence(4), confidence(6), confidence(10), confidence(14)
    ('not_enough', 'low', 'moderate', 'high')
    """
    if occasions < LEAST:
        return "not_enough"
    if occasions < _SOME or not clear:
        return "low"
    return "high" if occasions >= _MANY else "moderate"
