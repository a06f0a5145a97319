"""Glooko's CSV files: line 1 names the person and the range of dates, line 2 is the header, one file a kind of data.

What a file holds is told by its headings. Times are local, in the order of the account; the range in line 1 decides an
order that the times alone leave open.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import BinaryIO, Final, Literal

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.local_times import date_order, in_zone, local_time
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Insulin, Meal, Note

_RANGE: Final = re.compile(r"Date Range:\s*(\d{4}-\d\d-\d\d)\s*-\s*(\d{4}-\d\d-\d\d)")
_KINDS: Final[Mapping[str, Literal["bolus", "basal"]]] = {
    "rapid": "bolus",
    "bolus": "bolus",
    "basal": "basal",
    "long": "basal",
}

Heads = Mapping[str, int]


def looks(head: Sequence[Row]) -> bool:
    """Whether the first rows of a table are Glooko's."""
    if len(head) < 2 or not cells.text(head[0].cell(0)).startswith("Name:"):
        return False
    return cells.text(head[1].cell(0)).lower() == "timestamp"


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of one of Glooko's files."""
    table = list(rows(stream))
    if not looks(table):
        raise BadInput("lines 1 and 2: expected Name:…, Date Range:… and a header with Timestamp", reason="format")
    heads = {cells.text(cell).lower(): column for column, cell in enumerate(table[1].cells)}
    glucose = next((name for name in heads if "glucose" in name and ("value" in name or "blood" in name)), None)
    unit = cells.unit_of(glucose, choices.unit) if glucose else ""
    body = table[2:]
    order = date_order(
        ((row.line, cells.text(row.cell(0))) for row in body), choices.date_order, within=_range(table[0])
    )
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in body:
        local = local_time(row.cell(0), order, row.line, "Timestamp")
        event = _glucose(row, heads, glucose, unit, local) if glucose else _event(row, heads, local)
        if event is None:
            skipped.append(Skipped(row.line, "a row without a value"))
        else:
            meter = "meter" if glucose and "blood" in glucose else ""
            device = device_name("glooko", cells.text(row.cell(heads.get("serial number"))), meter)
            found.append(Found(row.line, device, event))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _range(preamble: Row) -> tuple[date, date] | None:
    found = _RANGE.search(",".join(cells.text(cell) for cell in preamble.cells))
    try:
        return (date.fromisoformat(found[1]), date.fromisoformat(found[2])) if found else None
    except ValueError:
        return None


def _glucose(row: Row, heads: Heads, glucose: str, unit: str, local: datetime) -> AnyEvent | None:
    method: Literal["cgm", "capillary"] = "capillary" if "blood" in glucose else "cgm"
    event = cells.reading(row.cell(heads[glucose]), unit, cells.DEXCOM[unit], row.line, glucose, method)
    return None if event is None else structs.replace(event, time=local)


def _event(row: Row, heads: Heads, local: datetime) -> AnyEvent | None:
    def of(*names: str) -> int | None:
        return next((column for head, column in heads.items() if head.startswith(names)), None)

    dose = of("dose (units)", "insulin delivered")
    if dose is not None:
        return _insulin(
            row, cells.number(row.cell(dose), row.line, "Dose"), cells.text(row.cell(of("insulin type"))), local
        )
    carbs = of("carbohydrates (grams)", "carbs")
    if carbs is not None:
        words = cells.text(row.cell(of("food description", "name"))), cells.text(row.cell(of("meal type")))
        carbs_g = cells.number(row.cell(carbs), row.line, "Carbohydrates")
        return None if carbs_g is None else Meal(time=local, carbs_g=carbs_g, text=", ".join(filter(None, words)))
    alarm = cells.text(row.cell(of("alarm/event")))
    return Note(time=local, text=f"Alarm of the device: {alarm}") if alarm else None


def _insulin(row: Row, dose_u: float | None, name: str, local: datetime) -> Insulin | None:
    kind = next((kind for word, kind in _KINDS.items() if word in name.lower()), None) or "unknown"
    return None if dose_u is None else Insulin(time=local, dose_u=dose_u, kind=kind, name=name)
