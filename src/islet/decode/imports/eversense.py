"""Eversense's workbook: a row a reading, newest first, each with its own unit; the local time in two columns."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name
from islet.decode.imports.local_times import date_order, in_zone, local_time
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.units import glucose_unit

_HEADS: Final = ("EventDateStr", "EventTimeStr", "Value", "UnitMeasureVal", "SensorID")
_LIMITS: Final = {"mg/dL": (40.0, 400.0), "mmol/L": (2.2, 22.2)}


def looks(head: Sequence[Row]) -> bool:
    """Whether the first row of a table is Eversense's."""
    return bool(head) and tuple(cells.text(cell) for cell in head[0].cells[:5]) == _HEADS


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of an Eversense export. Raises UnknownUnit for a row without a unit."""
    table = list(rows(stream))
    if not looks(table):
        raise BadInput(f"line 1: expected {', '.join(_HEADS)}", reason="format")
    times = [f"{cells.text(row.cell(0))} {cells.text(row.cell(1))}" for row in table[1:]]
    order = date_order(((row.line, text) for row, text in zip(table[1:], times, strict=True)), choices.date_order)
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row, text in zip(table[1:], times, strict=True):
        unit = glucose_unit(cells.text(row.cell(3)))
        local = local_time(text, order, row.line, "EventDateStr and EventTimeStr")
        event = cells.reading(row.cell(2), unit, _LIMITS[unit], row.line, "Value")
        if event is None:
            skipped.append(Skipped(row.line, "a reading without a value"))
        else:
            device = device_name("eversense", cells.text(row.cell(4)))
            found.append(Found(row.line, device, structs.replace(event, time=local)))
    yield from in_zone(found, choices.zone)
    yield from skipped
