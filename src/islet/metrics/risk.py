"""Kovatchev's blood glucose risk: low and high index, and the average daily risk range.

f = 1.509 (ln(g)^1.084 - 5.381) with g in mg/dL, 0 near 112.5; risk is 10 f². Sources: doi:10.2337/diacare.20.11.1655
(the function), doi:10.2337/dc06-1085 (ADRR). iglu rounds 10 · 1.509² = 22.7708… to 22.77, so that its values are
0.004 % less.
"""

import numpy as np

from islet.metrics.columns import Floats, means
from islet.metrics.people import DAY_US, People


def lbgi(people: People) -> Floats:
    """Low blood glucose index (p,): mean of 10 f² where f is below 0; NaN without readings. Up to 1.1 minimal, 2.5
    low, 5 moderate, above high.

    >>> lbgi(every(5, [60.0, 200.0])).round(3).tolist()
    [6.785]
    """
    return means(_risk(np.minimum(_f(people.glucose_mg_dl), 0.0)), people.offsets)


def hbgi(people: People) -> Floats:
    """High blood glucose index (p,): mean of 10 f² where f is above 0; NaN without readings. Up to 4.5 low, 9
    moderate, above high.

    >>> hbgi(every(5, [60.0, 200.0])).round(3).tolist()
    [5.802]
    """
    return means(_risk(np.maximum(_f(people.glucose_mg_dl), 0.0)), people.offsets)


def adrr(people: People) -> Floats:
    """Average daily risk range (p,): the greatest low risk plus the greatest high risk of each calendar day with
    readings, then the mean of days; NaN without readings. Below 20 low, to 40 moderate, above high. Days are those of
    the wall clock, however few readings they have.

    >>> adrr(every(5, [60.0, 200.0])).round(3).tolist()
    [25.175]
    """
    if len(people.glucose_mg_dl) == 0:
        return np.full(len(people), np.nan)
    f = _f(people.glucose_mg_dl)
    day = people.clock_us // DAY_US
    new = np.ones(len(day), np.bool_)
    new[1:] = (day[1:] != day[:-1]) | (people.owner[1:] != people.owner[:-1])
    begins = np.flatnonzero(new)
    low = _risk(np.minimum(np.minimum.reduceat(f, begins), 0.0))
    high = _risk(np.maximum(np.maximum.reduceat(f, begins), 0.0))
    days = np.concatenate(([0], np.cumsum(np.bincount(people.owner[begins], minlength=len(people)))))
    return means(low + high, days.astype(np.int64))


def _f(glucose_mg_dl: Floats) -> Floats:
    """The risk function; below 1 mg/dL its power has no value, and sensors know nothing there."""
    return np.asarray(1.509 * (np.log(np.maximum(glucose_mg_dl, 1.0)) ** 1.084 - 5.381))


def _risk(f: Floats) -> Floats:
    return 10.0 * f * f
