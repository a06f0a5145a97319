"""People side by side: the table of everybody's last two weeks, in an order that the reader chooses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from msgspec import structs

from islet.model.people import Patient
from islet.model.translated import mark as _
from islet.patterns.summaries import Summaries, Summary
from islet.store.base import Registry
from islet.web.languages import Words
from islet.web.nights import found, shown

SHOWN_ROWS: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A number of everybody: its title, and whether those with the most of it come first, as they may need a look."""

    field: str
    name: str
    most_first: bool


COLUMNS: Final = {
    "tir": Column(field="tir_percent", name=_("Time in range"), most_first=False),
    "tbr": Column(field="tbr_percent", name=_("Time below range"), most_first=True),
    "mean": Column(field="mean_mg_dl", name=_("Mean glucose"), most_first=True),
    "cv": Column(field="cv_percent", name=_("Variability (CV)"), most_first=True),
    "worn": Column(field="worn_percent", name=_("Hours with readings"), most_first=False),
}
"""By what one asks for; the first is the order when nothing is asked for."""
LINE_WIDTH: Final = 96
LINE_HEIGHT: Final = 24
_LOWEST_MG_DL: Final = 40.0
_HIGHEST_MG_DL: Final = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A column's title, what to ask for to have its order, and which that is (`aria-sort`)."""

    by: str
    name: str
    order: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One person's numbers as texts; `line` is the SVG path of the two-day moving average, `latest` its last value, ""
    where that is not known."""

    patient: Patient
    numbers: Sequence[str]
    line: str
    latest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """`middle`: the median of each column over all of the reader's patients."""

    by: str
    heads: Sequence[Head]
    middle: Sequence[str]
    rows: Sequence[Row]
    more: int


def comparison(registry: Registry, people: Mapping[str, Patient], spoken: Words, unit: str, by: str) -> Comparison:
    """The reader's patients in the order of the column `by` (anything else is the first), with values in `unit`."""
    by = by if by in COLUMNS else next(iter(COLUMNS))
    everybody = found(registry, "summaries", Summaries)[0].people
    sign = -1.0 if COLUMNS[by].most_first else 1.0
    mine = sorted((sign * getattr(one, COLUMNS[by].field), id) for id, one in everybody.items() if id in people)
    return Comparison(
        by=by,
        heads=[_head(name, column, spoken) for name, column in COLUMNS.items()],
        middle=_numbers(_medians([everybody[id] for _, id in mine]), unit) if mine else (),
        rows=[_row(people[id], everybody[id], unit) for _, id in mine[:SHOWN_ROWS]],
        more=max(0, len(mine) - SHOWN_ROWS),
    )


def _head(by: str, column: Column, spoken: Words) -> Head:
    return Head(by=by, name=spoken.text(column.name), order="descending" if column.most_first else "ascending")


def _medians(some: Sequence[Summary]) -> dict[str, float]:
    return {column.field: median(getattr(one, column.field) for one in some) for column in COLUMNS.values()}


def _numbers(values: Mapping[str, float], unit: str) -> list[str]:
    return [
        f"{shown(unit, value)} {unit}" if field == "mean_mg_dl" else f"{value:.0f} %"
        for field, value in ((column.field, values[column.field]) for column in COLUMNS.values())
    ]


def _row(patient: Patient, one: Summary, unit: str) -> Row:
    latest = one.moving_mg_dl[-1]
    return Row(
        patient=patient,
        numbers=_numbers(structs.asdict(one), unit),
        line=" ".join(_line(one.moving_mg_dl)),
        latest="" if latest is None else f"{shown(unit, latest)} {unit}",
    )


def _line(values: Sequence[float | None]) -> Iterator[str]:
    """Path commands on one scale for all people; days that are not known are gaps."""
    pen = "M"
    for i, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        share = (min(max(value, _LOWEST_MG_DL), _HIGHEST_MG_DL) - _LOWEST_MG_DL) / (_HIGHEST_MG_DL - _LOWEST_MG_DL)
        x, y = 2 + (LINE_WIDTH - 4) * i / max(len(values) - 1, 1), LINE_HEIGHT - 2 - (LINE_HEIGHT - 4) * share
        yield f"{pen}{x:.1f} {y:.1f}{'h.1' if pen == 'M' else ''}"
        pen = "L"
