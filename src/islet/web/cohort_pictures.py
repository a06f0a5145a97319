"""A cohort's day as a small picture (SVG paths on one scale for all) and as the numbers in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from islet.model.hours import HOURS
from islet.patterns.cohort_names import PARTS
from islet.patterns.cohorts import Cohort
from islet.web.nights import shown

WIDTH: Final = 300
HEIGHT: Final = 140
LEFT: Final = 34
BOTTOM: Final = 20
TOP: Final = 8
LOWEST_MG_DL: Final = 40.0
HIGHEST_MG_DL: Final = 300.0
TARGET_MG_DL: Final = (70.0, 180.0)
"""The international consensus' range (doi:10.2337/dci19-0028); people of one cohort may have others of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """SVG paths in a box of WIDTH × HEIGHT, y of the target and its labels, x of the hours 0, 6 … 24; the rows of the
    table (hour, centre, lower, upper) and the means of the day's parts, as texts in the unit."""

    band: str
    line: str
    target: tuple[float, float]
    ticks_y: tuple[tuple[float, str], ...]
    ticks_x: tuple[tuple[float, str], ...]
    rows: tuple[tuple[str, str, str, str], ...]
    parts: dict[str, str]


def picture(cohort: Cohort, unit: str) -> Picture:
    """The picture of a cohort, with values in `unit`."""
    low, high = TARGET_MG_DL
    upper, lower = list(_points(cohort.upper)), list(_points(cohort.lower))
    return Picture(
        band=f"M{' L'.join([*upper, *reversed(lower)])}Z",
        line=f"M{' L'.join(_points(cohort.centroid))}",
        target=(_y(high), round(_y(low) - _y(high), 1)),
        ticks_y=tuple((_y(value), shown(unit, value)) for value in (low, high, 250.0)),
        ticks_x=tuple((_x(hour), f"{hour:02d}") for hour in range(0, HOURS + 1, 6)),
        rows=tuple(_rows(cohort, unit)),
        parts={part: shown(unit, _mean(cohort.centroid[start:end])) for part, (start, end) in PARTS.items()},
    )


def _points(values: Sequence[float]) -> Iterator[str]:
    """Each hour in its middle; the day is closed at midnight, where the last hour meets the first."""
    midnight = (values[-1] + values[0]) / 2.0
    yield f"{_x(0)} {_y(midnight)}"
    for hour, value in enumerate(values):
        yield f"{_x(hour + 0.5)} {_y(value)}"
    yield f"{_x(HOURS)} {_y(midnight)}"


def _rows(cohort: Cohort, unit: str) -> Iterator[tuple[str, str, str, str]]:
    columns = zip(cohort.centroid, cohort.lower, cohort.upper, strict=True)
    for hour, (centre, lower, upper) in enumerate(columns):
        yield f"{hour:02d}:00", shown(unit, centre), shown(unit, lower), shown(unit, upper)


def _x(hour: float) -> float:
    return round(LEFT + (WIDTH - LEFT - 6) * hour / HOURS, 1)


def _y(mg_dl: float) -> float:
    share = (min(max(mg_dl, LOWEST_MG_DL), HIGHEST_MG_DL) - LOWEST_MG_DL) / (HIGHEST_MG_DL - LOWEST_MG_DL)
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share, 1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
