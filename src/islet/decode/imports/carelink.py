"""Medtronic CareLink's CSV (Guardian and MiniMed): sections, each with a line of hyphens and a header of its own.

Columns are found by their headings, anew in each section. Times are local, in two columns. "-------" stands for nothing.
A bolus is logged when it is selected and when it is delivered: only what was delivered counts; what a closed loop gives by
itself is basal insulin. Carbohydrates are what the bolus wizard was told. Sections of sums of days ("Aggregated …") are left out.
Tables of one kind, as researchers part them, have no line of hyphens. Written after descriptions of the format; no file
of a real person was at hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Final, Literal

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.local_times import date_order, in_zone, local_time
from islet.decode.imports.tables import Cell, Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Insulin, Meal, Method, Reading

_HYPHENS: Final = "-------"
_BY_ITSELF: Final = "MICRO_BOLUS"
_HEAD: Final = 40
Heads = Mapping[str, int]


def looks(head: Sequence[Row]) -> bool:
    """Whether the first rows of a table are CareLink's."""
    headers = [row for row in head[:_HEAD] if _is_header(row)]
    alone = any(cells.text(row.cell(3)).lower() == "new device time" for row in headers)
    return bool(headers) and (alone or any(_is_section(row) for row in head[:_HEAD]))


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of all sections."""
    sections = list(_sections(list(rows(stream))))
    if not sections:
        raise BadInput("expected a section with the columns Index, Date, Time", reason="format")
    texts = [(row.line, _when(row, heads)) for _, heads, row in sections]
    order = date_order(texts, choices.date_order)
    found: list[Found] = []
    skipped: list[Skipped] = []
    for device, heads, row in sections:
        if not cells.text(row.cell(heads["date"])):
            continue
        local = local_time(_when(row, heads), order, row.line, "Date and Time")
        items = list(_items(device, heads, row, local, choices.unit))
        found += items
        if not items:
            skipped.append(Skipped(row.line, "a row without a reading, a meal or a delivered bolus"))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _is_section(row: Row) -> bool:
    return cells.text(row.cell(0)).startswith(_HYPHENS)


def _is_header(row: Row) -> bool:
    return [cells.text(row.cell(column)).lower() for column in range(3)] == ["index", "date", "time"]


def _when(row: Row, heads: Heads) -> str:
    return f"{cells.text(row.cell(heads['date']))} {cells.text(row.cell(heads['time']))}"


def _sections(table: Sequence[Row]) -> Iterator[tuple[str, Heads, Row]]:
    """Each row with its section's device and columns."""
    device = ""
    heads: Heads | None = None
    sums = False
    for row in table:
        if _is_section(row):
            device, heads = cells.text(row.cell(1)), None
            sums = cells.text(row.cell(2)).startswith("Aggregated")
        elif _is_header(row):
            heads = {cells.text(cell).lower(): column for column, cell in enumerate(row.cells)}
        elif heads is not None and cells.text(row.cell(0)) and not sums:
            yield device, heads, row


def _items(device: str, heads: Heads, row: Row, local: datetime, chosen: str | None) -> Iterator[Found]:
    name = device_name("carelink", device)
    sensor = _glucose(heads, row, "sensor glucose", "cgm", chosen)
    if sensor is not None:
        yield Found(row.line, name, structs.replace(sensor, time=local))
    finger = _glucose(heads, row, "bg reading", "capillary", chosen)
    if finger is not None:
        yield Found(row.line, device_name(name, "meter"), structs.replace(finger, time=local))
    yield from (Found(row.line, name, event) for event in _events(heads, row, local))


def _glucose(heads: Heads, row: Row, start: str, method: Method, chosen: str | None) -> Reading | None:
    heading = next((head for head in heads if head.startswith(start)), None)
    if heading is None or _cell(row, heads, start) == "":
        return None
    unit = cells.unit_of(heading, chosen)
    return cells.reading(_cell(row, heads, start), unit, cells.DEXCOM[unit], row.line, heading, method)


def _events(heads: Heads, row: Row, local: datetime) -> Iterator[AnyEvent]:
    dose_u = cells.number(_cell(row, heads, "bolus volume delivered"), row.line, "Bolus Volume Delivered")
    if dose_u:
        alone = cells.text(_cell(row, heads, "bolus source")).endswith(_BY_ITSELF)
        kind: Literal["basal", "bolus"] = "basal" if alone else "bolus"
        yield Insulin(time=local, dose_u=dose_u, kind=kind, name="pump basal" if alone else "pump bolus")
    carbs_g = cells.number(_cell(row, heads, "bwz carb input (grams)"), row.line, "BWZ Carb Input")
    if carbs_g:
        yield Meal(time=local, carbs_g=carbs_g)
    yield from _marked(cells.text(_cell(row, heads, "event marker")), row, local)


def _marked(marker: str, row: Row, local: datetime) -> Iterator[AnyEvent]:
    """What a person entered: "Insulin: 27,00" or "Meal: 60,00grams"."""
    kind, _, amount = marker.partition(":")
    if kind not in ("Insulin", "Meal"):
        return
    value = cells.number(amount.replace("grams", "").strip(), row.line, "Event Marker")
    if value is not None:
        yield Insulin(time=local, dose_u=value) if kind == "Insulin" else Meal(time=local, carbs_g=value)


def _cell(row: Row, heads: Heads, start: str) -> Cell:
    place = next((column for head, column in heads.items() if head.startswith(start)), None)
    cell = row.cell(place)
    return "" if str(cell).startswith(_HYPHENS) else cell
