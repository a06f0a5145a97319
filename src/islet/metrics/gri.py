"""Glycemia risk index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats
from islet.metrics.people import People
from islet.metrics.ranges import shares


@dataclass(frozen=True, kw_only=True, slots=True)
class Gri:
    """index (p,): 3.0 hypo_component + 1.6 hyper_component, at most 100. hypo_component (p,): very low + 0.8 low;
    hyper_component (p,): very high + 0.5 high, shares in percent. zone (p,): "A" (0 to 20) to "E" (over 80), "" for NaN.
    """

    index: Floats
    hypo_component: Floats
    hyper_component: Floats
    zone: NDArray[np.str_]


def gri(people: People) -> Gri:
    """The index of each person; NaN without readings. Source: Klonoff 2022, doi:10.1177/19322968221085273.

    >>> gri(every(5, [50.0, 60.0] + [100.0] * 18)).index.round(1).tolist()
    [27.0]
    """
    bands = shares(people)
    hypo = bands.very_low + 0.8 * bands.low
    hyper = bands.very_high + 0.5 * bands.high
    index = np.minimum(100.0, 3.0 * hypo + 1.6 * hyper)
    zone = np.array(["A", "B", "C", "D", "E"])[np.searchsorted((20.0, 40.0, 60.0, 80.0), np.nan_to_num(index))]
    return Gri(index=index, hypo_component=hypo, hyper_component=hyper, zone=np.where(np.isnan(index), "", zone))
