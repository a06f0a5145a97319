"""Older one-number indices from the readings as they are: J, M, hypo- and hyperglycaemic index, IGC, COGI."""

from typing import Final

import numpy as np

from islet.metrics.columns import Floats, means
from islet.metrics.people import People
from islet.metrics.ranges import below_percent, in_range_percent
from islet.metrics.summary import mean_mg_dl, sd_mg_dl

M_REFERENCE_MG_DL: Final = 90.0


def j_index(people: People) -> Floats:
    """0.001 (mean + SD)² (p,) in mg/dL; NaN with fewer than two readings. Source: Wojcicki 1995,
    doi:10.1055/s-2007-979906.

    >>> j_index(every(5, [90.0, 100.0, 110.0])).round(3).tolist()
    [12.1]
    """
    return 0.001 * (mean_mg_dl(people) + sd_mg_dl(people)) ** 2


def m_value(people: People, *, reference_mg_dl: float = M_REFERENCE_MG_DL) -> Floats:
    """Mean of 1000 |log10(g / reference)|³ (p,); NaN without readings.

    Source: Schlichtkrull 1965, doi:10.1111/j.0954-6820.1965.tb01810.x, with 120 mg/dL and, for few values, a term of
    their range; Rodbard and iglu take 90, without it.

    >>> m_value(every(5, [900.0])).tolist()
    [1000.0]
    """
    return means(1000.0 * np.abs(np.log10(people.glucose_mg_dl / reference_mg_dl)) ** 3, people.offsets)


def hypo_index(people: People, *, below_mg_dl: float = 80.0, power: float = 2.0, scale: float = 30.0) -> Floats:
    """Mean of (threshold - g)^power / scale over all readings, of which those above add 0 (p,); NaN without readings.
    Source: Rodbard 2009, doi:10.1089/dia.2008.0132.

    >>> hypo_index(every(5, [50.0, 100.0])).tolist()
    [15.0]
    """
    return means(np.maximum(below_mg_dl - people.glucose_mg_dl, 0.0) ** power / scale, people.offsets)


def hyper_index(people: People, *, above_mg_dl: float = 140.0, power: float = 1.1, scale: float = 30.0) -> Floats:
    """Mean of (g - threshold)^power / scale over all readings, of which those below add 0 (p,); NaN without readings.
    Source: Rodbard 2009, doi:10.1089/dia.2008.0132.

    >>> hyper_index(every(5, [141.0, 100.0]), power=1.0).round(4).tolist()
    [0.0167]
    """
    return means(np.maximum(people.glucose_mg_dl - above_mg_dl, 0.0) ** power / scale, people.offsets)


def igc(people: People) -> Floats:
    """Index of glycaemic control (p,): hypo plus hyper index. Source: Rodbard 2009, doi:10.1089/dia.2008.0132.

    >>> igc(every(5, [50.0, 100.0])).tolist()
    [15.0]
    """
    return hypo_index(people) + hyper_index(people)


def cogi(people: People) -> Floats:
    """Continuous glucose monitoring index (p,), 0 to 100: half from time in range 70 to 180, 35 % from time below 70
    (none from 15 % on), 15 % from SD (all to 18, none from 108 mg/dL on). NaN with fewer than two readings.
    Source: Leelarathna 2020, doi:10.1177/1932296819838525.

    >>> cogi(every(5, [100.0, 101.0])).tolist()
    [100.0]
    """
    in_range = in_range_percent(people, 70.0, 180.0) / 100.0
    below = np.maximum(0.0, 1.0 - below_percent(people, 70.0) / 15.0)
    steady = np.clip((108.0 - sd_mg_dl(people)) / 90.0, 0.0, 1.0)
    return 100.0 * (0.5 * in_range + 0.35 * below + 0.15 * steady)
