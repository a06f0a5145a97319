"""What mean glucose says about HbA1c, in the percent of NGSP. Both are guesses at a laboratory value, never it."""

import numpy as np

from islet.metrics.columns import Floats
from islet.metrics.people import People
from islet.metrics.sufficiency import sufficiency
from islet.metrics.summary import mean_mg_dl


def gmi_percent(people: People) -> Floats:
    """Glucose management indicator (p,): 3.31 + 0.02392 · mean in mg/dL; NaN without readings.

    For any amount of readings; what is shown to people is `told_gmi_percent`. Source: Bergenstal 2018,
    doi:10.2337/dc18-1581.

    >>> gmi_percent(every(5, [150.0] * 12)).round(3).tolist()
    [6.898]
    """
    return 3.31 + 0.02392 * mean_mg_dl(people)


def told_gmi_percent(people: People) -> Floats:
    """The glucose management indicator (p,) where there is enough to tell it; else NaN: below 14 days worn, or below
    70 % of the readings of the last 14 days.

    >>> told_gmi_percent(every(5, [150.0] * 12)).tolist(), told_gmi_percent(every(5, [150.0] * 4032)).round(3).tolist()
    ([nan], [6.898])
    """
    return np.where(sufficiency(people).enough, gmi_percent(people), np.nan)


def ea1c_percent(people: People) -> Floats:
    """Estimated HbA1c (p,): (mean in mg/dL + 46.7) / 28.7; NaN without readings. Source: Nathan 2008 (ADAG),
    doi:10.2337/dc08-0545; made for means of three months.

    >>> ea1c_percent(every(5, [154.0] * 12)).round(3).tolist()
    [6.993]
    """
    return (mean_mg_dl(people) + 46.7) / 28.7
