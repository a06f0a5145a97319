"""Shares of readings in ranges, in percent, and the ranges and goals for different people.

Bounds as in the consensus (Battelino 2019, doi:10.2337/dci19-0028): in range is 70 to 180 mg/dL with both ends; very
low is below 54, low from 54 to below 70, high above 180 to 250, very high above 250. Values are taken as they are,
without rounding (others round to whole mg/dL first, which moves 69.6 into range). Values from mmol/L are judged by
the thresholds in mmol/L. Gaps count nowhere: a share is one of readings, not of the day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from islet.metrics.columns import Floats, means
from islet.metrics.people import People


def below_percent(people: People, threshold_mg_dl: float) -> Floats:
    """Share (p,) of readings below a threshold, in percent; NaN without readings.

    >>> below_percent(every(5, [69.0, 70.0, 100.0, 181.0]), 70.0).tolist()
    [25.0]
    """
    return 100.0 * means(people.judged_mg_dl < threshold_mg_dl, people.offsets)


def above_percent(people: People, threshold_mg_dl: float) -> Floats:
    """Share (p,) of readings above a threshold, in percent; NaN without readings.

    >>> above_percent(every(5, [69.0, 70.0, 180.0, 181.0]), 180.0).tolist()
    [25.0]
    """
    return 100.0 * means(people.judged_mg_dl > threshold_mg_dl, people.offsets)


def in_range_percent(people: People, low_mg_dl: float, high_mg_dl: float) -> Floats:
    """Share (p,) of readings from `low` to `high`, both included, in percent; NaN without readings.

    >>> in_range_percent(every(5, [69.0, 70.0, 180.0, 181.0]), 70.0, 180.0).tolist()
    [50.0]
    """
    judged = people.judged_mg_dl
    return 100.0 * means((judged >= low_mg_dl) & (judged <= high_mg_dl), people.offsets)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Shares (p,) in percent of the five bands, which add up to 100."""

    very_low: Floats
    low: Floats
    in_range: Floats
    high: Floats
    very_high: Floats


def shares(people: People, goals: "Goals | None" = None) -> Shares:
    """The five bands of a preset, STANDARD by default. With the tight range and in pregnancy `low` begins at 54 and
    `high` ends at 250 all the same.
    """
    chosen = goals or STANDARD
    very_low, very_high = below_percent(people, 54.0), above_percent(people, 250.0)
    return Shares(
        very_low=very_low,
        low=below_percent(people, chosen.low_mg_dl) - very_low,
        in_range=in_range_percent(people, chosen.low_mg_dl, chosen.high_mg_dl),
        high=above_percent(people, chosen.high_mg_dl) - very_high,
        very_high=very_high,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Goals:
    """A target range and what share of readings one aims at, in percent; None where the consensus names no goal."""

    name: str
    low_mg_dl: float
    high_mg_dl: float
    in_range_over: float | None
    below_low_under: float | None
    below_54_under: float | None
    above_high_under: float | None
    above_250_under: float | None


STANDARD: Final = Goals(
    name="standard",
    low_mg_dl=70.0,
    high_mg_dl=180.0,
    in_range_over=70.0,
    below_low_under=4.0,
    below_54_under=1.0,
    above_high_under=25.0,
    above_250_under=5.0,
)
"""Type 1 and type 2 diabetes; doi:10.2337/dci19-0028, table 3."""

TIGHT: Final = Goals(
    name="tight",
    low_mg_dl=70.0,
    high_mg_dl=140.0,
    in_range_over=None,
    below_low_under=4.0,
    below_54_under=1.0,
    above_high_under=None,
    above_250_under=None,
)
"""Time in tight range; doi:10.1016/S2213-8587(22)00319-9 defines it and names no goal."""

PREGNANCY: Final = Goals(
    name="pregnancy",
    low_mg_dl=63.0,
    high_mg_dl=140.0,
    in_range_over=70.0,
    below_low_under=4.0,
    below_54_under=1.0,
    above_high_under=25.0,
    above_250_under=None,
)
"""Type 1 diabetes in pregnancy; doi:10.2337/dci19-0028, table 3. For type 2 and gestational diabetes the range is the
same, and no shares are agreed."""

OLDER: Final = Goals(
    name="older",
    low_mg_dl=70.0,
    high_mg_dl=180.0,
    in_range_over=50.0,
    below_low_under=1.0,
    below_54_under=None,
    above_high_under=50.0,
    above_250_under=10.0,
)
"""Older people and those at high risk; doi:10.2337/dci19-0028, table 3."""

PRESETS: Final[Mapping[str, Goals]] = MappingProxyType(
    {goals.name: goals for goals in (STANDARD, TIGHT, PREGNANCY, OLDER)}
)
