"""Personal glycaemic state."""

import numpy as np

from islet.metrics.change import gvp_percent
from islet.metrics.columns import Floats
from islet.metrics.episodes import consensus_episodes, summarised
from islet.metrics.grid import day_grid
from islet.metrics.people import People
from islet.metrics.ranges import in_range_percent
from islet.metrics.summary import mean_mg_dl

_BEGIN_MIN, _END_MIN = 20, 30


def pgs(people: People) -> Floats:
    """The score (p,), about 4.6 (best) to 40; NaN without a grid.

    The sum of what variability (GVP), time in range, mean, and episodes a week below 54 and from 54 to 70 add.
    Episodes begin with 20 and end with 30 min. Source: Hirsch 2017, doi:10.1089/dia.2017.0080, with the constant
    0.81093 of R's iglu; iglu-python has 0.91093.

    >>> pgs(every(5, [110.0] * 288)).round(3).tolist()
    [4.913]
    """
    grid = day_grid(people.judged)
    found = consensus_episodes(grid, minutes=_BEGIN_MIN, end_minutes=_END_MIN)
    very_low = summarised(found.very_low, grid).per_day * 7.0
    low_only = summarised(found.low_only, grid).per_day * 7.0
    mean = mean_mg_dl(people)
    return (
        _rising(0.049 * (gvp_percent(day_grid(people)) - 65.47))
        + _rising(-0.0833 * (in_range_percent(people, 70.0, 180.0) - 55.04))
        + _rising(-0.1139 * (mean - 72.08))
        + _rising(0.09195 * (mean - 157.57))
        - 1.0  # both of the mean's together begin at 1
        + (0.5 + 4.5 * (1.0 - np.exp(-0.81093 * very_low)))
        + np.where(low_only <= 7.65, 0.5714 * low_only + 0.625, np.where(np.isnan(low_only), np.nan, 5.0))
    )


def _rising(x: Floats) -> Floats:
    """From 1 to 10 as x goes from far below 0 to far above it."""
    return np.asarray(1.0 + 9.0 / (1.0 + np.exp(-x)))
