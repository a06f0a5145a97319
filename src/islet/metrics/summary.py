"""Where glucose lies and how wide it spreads, from the readings as they are (no grid, no time)."""

from typing import Final

import numpy as np

from islet.metrics.columns import Floats, deviations, means, ratio
from islet.metrics.people import People

MAD_SCALE: Final = 1.4826
"""Makes the median absolute deviation of normally distributed values their standard deviation."""


def mean_mg_dl(people: People) -> Floats:
    """Mean glucose (p,) in mg/dL; NaN without readings.

    >>> mean_mg_dl(every(5, [100.0, 110.0])).tolist()
    [105.0]
    """
    return means(people.glucose_mg_dl, people.offsets)


def sd_mg_dl(people: People) -> Floats:
    """Standard deviation of glucose (p,) in mg/dL, of a sample (n - 1); NaN with fewer than two readings.

    >>> sd_mg_dl(every(5, [100.0, 110.0, 120.0])).tolist()
    [10.0]
    """
    return deviations(people.glucose_mg_dl, people.offsets)


def cv_percent(people: People) -> Floats:
    """Coefficient of variation (p,): 100 SD / mean. The consensus aims at 36 % or less (doi:10.2337/dc17-1600).

    >>> cv_percent(every(5, [90.0, 100.0, 110.0])).tolist()
    [10.0]
    """
    return 100.0 * ratio(sd_mg_dl(people), mean_mg_dl(people))


def quantile_mg_dl(people: People, share: float) -> Floats:
    """The glucose (p,) in mg/dL below which a share (0 to 1) of readings lies; linear between readings (Hyndman and
    Fan's type 7, doi:10.1080/00031305.1996.10473566, as R, NumPy and Excel have it). NaN without readings.

    >>> quantile_mg_dl(every(5, [100.0, 110.0, 130.0, 90.0]), 0.5).tolist()
    [105.0]
    """
    out = np.full(len(people), np.nan)
    some = people.counts > 0
    first, place = people.offsets[:-1][some], (people.counts[some] - 1) * share
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, people.counts[some] - 1)
    low, high = people.ascending[first + below], people.ascending[first + above]
    out[some] = low + (place - below) * (high - low)
    return out


def median_mg_dl(people: People) -> Floats:
    """Median glucose (p,) in mg/dL; NaN without readings."""
    return quantile_mg_dl(people, 0.5)


def iqr_mg_dl(people: People) -> Floats:
    """Interquartile range (p,) in mg/dL; NaN without readings.

    >>> iqr_mg_dl(every(5, [100.0, 110.0, 120.0])).tolist()
    [10.0]
    """
    return quantile_mg_dl(people, 0.75) - quantile_mg_dl(people, 0.25)


def range_mg_dl(people: People) -> Floats:
    """Highest minus least reading (p,) in mg/dL; NaN without readings."""
    return quantile_mg_dl(people, 1.0) - quantile_mg_dl(people, 0.0)


def mad_mg_dl(people: People) -> Floats:
    """Median absolute deviation from the median (p,) in mg/dL, times MAD_SCALE; NaN without readings.

    >>> mad_mg_dl(every(5, [100.0, 110.0, 140.0])).round(3).tolist()
    [14.826]
    """
    out = np.full(len(people), np.nan)
    for index, (rows, middle) in enumerate(zip(people.slices(), median_mg_dl(people), strict=True)):
        if people.counts[index]:
            out[index] = MAD_SCALE * np.median(np.abs(people.glucose_mg_dl[rows] - middle))
    return out
