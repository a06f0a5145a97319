"""GRADE: glycaemic risk assessment diabetes equation, and how much of it comes from lows and highs."""

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats, means, ratio, sums
from islet.metrics.people import People


def grade_scores(glucose_mg_dl: Floats) -> Floats:
    """The score of each value (n,), 0 to 50: 425 (log10 log10 (g / 18) + 0.16)², at most 50.

    Source: Hill 2007, doi:10.1111/j.1464-5491.2007.02119.x. Values of 18 mg/dL and less score 50.
    """
    logarithm = np.log10(np.maximum(glucose_mg_dl / 18.0, 1.0 + 1e-9))
    return np.minimum(50.0, 425.0 * (np.log10(logarithm) + 0.16) ** 2)


def grade(people: People) -> Floats:
    """Mean score (p,); NaN without readings.

    >>> grade(every(5, [90.0])).round(3).tolist()
    [0.008]
    """
    return means(grade_scores(people.glucose_mg_dl), people.offsets)


def grade_hypo_percent(people: People, *, below_mg_dl: float = 80.0) -> Floats:
    """Share (p,) of the summed score that comes from values below a threshold, in percent.

    The defaults of the three shares are iglu's, and overlap: 70 to 80 mg/dL count as low and as normal.
    """
    return _share(people, people.judged_mg_dl < below_mg_dl)


def grade_eu_percent(people: People, *, low_mg_dl: float = 70.0, high_mg_dl: float = 140.0) -> Floats:
    """Share (p,) of the summed score that comes from values in a range, both ends included, in percent."""
    judged = people.judged_mg_dl
    return _share(people, (judged >= low_mg_dl) & (judged <= high_mg_dl))


def grade_hyper_percent(people: People, *, above_mg_dl: float = 140.0) -> Floats:
    """Share (p,) of the summed score that comes from values above a threshold, in percent.

    >>> grade_hyper_percent(every(5, [200.0, 200.0])).tolist()
    [100.0]
    """
    return _share(people, people.judged_mg_dl > above_mg_dl)


def _share(people: People, where: NDArray[np.bool_]) -> Floats:
    scores = grade_scores(people.glucose_mg_dl)
    return 100.0 * ratio(sums(np.where(where, scores, 0.0), people.offsets), sums(scores, people.offsets))
