"""LibreView (FreeStyle Libre, 2, 3, Pro; LibreLink) in any language: columns by position.

No to three lines of preamble, then the header, then a row an event with its record type: 0 history, 1 scan, 2 strip,
3 ketone, 4 insulin, 5 food, 6 note. Times are local; their date order follows the account. Scans are a device of their
own beside the history of the same sensor: the two may tell one instant differently.

The program for a computer (FreeStyle Libre software) writes the same without device and portions of food, after an ID,
in a table parted by tabs. Other programs write the first columns only. English headings go before their places.

The unit: a translated heading still names it. Where none does, the rule is that of Tidepool's uploader
(lib/drivers/abbott/libreViewDriver.js): mmol/L, but mg/dL when any value is 40 or more. No sensor shows 40 mmol/L, and
a whole export below 40 mg/dL cannot be: Libre shows 40 at least.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import pairwise
from typing import BinaryIO, Final

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name, wrong
from islet.decode.imports.local_times import date_order, in_zone, local_time, written
from islet.decode.imports.tables import Cell, Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Insulin, Meal, Method, Note, Reading

_DEVICE, _SERIAL, _TIME, _TYPE, _HISTORIC, _SCAN, _RAPID_TICKED, _RAPID, _FOOD_TICKED, _CARBS = range(10)
_LONG_TICKED, _LONG, _NOTES, _STRIP, _KETONE, _MEAL_INSULIN, _CORRECTION, _CHANGE = range(11, 19)
_FEWEST: Final = 15
_FIRST_COLUMNS: Final = 5
_IN_ENGLISH: Final = (
    *("device", "serial number", "device timestamp", "record type", "historic glucose", "scan glucose"),
    *("non-numeric rapid-acting insulin", "rapid-acting insulin", "non-numeric food", "carbohydrates (grams)"),
    *("carbohydrates (servings)", "non-numeric long-acting insulin", "long-acting insulin", "notes", "strip glucose"),
    *("ketone", "meal insulin", "correction insulin", "user change insulin"),
)
"""How LibreView's headings begin, in the order of their places."""
_AS_LIBREVIEW: Final = (None, None, 1, 2, 3, 4, 5, 6, 7, 8, None, 9, 10, 11, 12, 13)
"""Of each place the column of the program for a computer."""
_RECORD: Final = re.compile("record|regist|enregist|aufzeich|记录")  # … type
_HEAD: Final = 6
_TYPES: Final = frozenset("0123456")
_GLUCOSE: Final = {"0": _HISTORIC, "1": _SCAN, "2": _STRIP}
_NAMES: Final = {_HISTORIC: "Historic Glucose", _SCAN: "Scan Glucose", _STRIP: "Strip Glucose"}


def looks(head: Sequence[Row]) -> bool:
    """Whether the first rows of a table are LibreView's."""
    return _header_place(head) is not None


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a LibreView export."""
    table = list(rows(stream))
    place = _header_place(table[: _HEAD + 1])
    if place is None:
        raise BadInput("expected LibreView's header within the first lines", reason="format")
    columns = _columns(_mended(table[place]))
    header, *body = (_placed(_mended(row), columns) for row in table[place:])
    unit = _unit(header, body, choices.unit)
    stated = (cells.text(cell) for row in table[:place] for cell in row.cells)
    dated = [(1, text) for text in stated] + [(row.line, cells.text(row.cell(_TIME))) for row in body]
    order = date_order(dated, choices.date_order)
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in body:
        items = list(_items(row, unit, local_time(row.cell(_TIME), order, row.line, "Device Timestamp")))
        found += items
        if not items:
            skipped.append(Skipped(row.line, "a record without a value"))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _header_place(head: Sequence[Row]) -> int | None:
    """Where the header is: the first row whose glucose columns hold words, before a row with a time and a record type."""
    for place, (row, after) in enumerate(pairwise(head[: _HEAD + 1])):
        header, columns = _mended(row), _columns(_mended(row))
        heads = [cells.text(cell) for cell in _placed(header, columns).cells]
        long = len(heads) >= _FEWEST and all(heads[:6]) and "mmol" in " ".join(heads).lower()
        short = len(heads) >= _FIRST_COLUMNS and cells.unit_in(heads[_HISTORIC]) is not None
        first = _placed(_mended(after), columns)
        timed = isinstance(first.cell(_TIME), datetime) or written(cells.text(first.cell(_TIME))) is not None
        if (long or short) and not heads[_TYPE].isdigit() and timed and cells.text(first.cell(_TYPE)) in _TYPES:
            return place
    return None


def _columns(header: Row) -> Sequence[int | None] | None:
    """Of each of LibreView's places the file's column, None where they are the same."""
    heads = [cells.text(cell).lower() for cell in header.cells]
    if heads[:1] == ["id"] and _RECORD.search(" ".join(heads[2:3])):
        return _AS_LIBREVIEW
    named = [next((column for column, head in enumerate(heads) if head.startswith(name)), None) for name in _IN_ENGLISH]
    return named if all(place is not None for place in named[_TIME : _HISTORIC + 1]) else None


def _placed(row: Row, columns: Sequence[int | None] | None) -> Row:
    return row if columns is None else Row(row.line, [row.cell(column) for column in columns])


def _mended(row: Row) -> Row:
    """A row as LibreView wrote it. Some spreadsheets tear a CSV at its blanks: the header stays in one cell, and a
    row's device has several, its time two."""
    first = cells.text(row.cell(0))
    alone = len(first.splitlines()) == 1 and not any(cells.text(cell) for cell in row.cells[1:])
    if alone and first.count(",") >= _FEWEST - 1:
        return Row(row.line, next(csv.reader([first])))
    days = [place for place, cell in enumerate(row.cells[:8]) if type(cell) is date]
    clock = row.cell(days[0] + 1) if days else ""
    if not days or days[0] < 2 or not isinstance(clock, time):
        return row
    day, at = row.cells[days[0]], days[0]
    assert isinstance(day, date)
    device = " ".join(cells.text(cell) for cell in row.cells[: at - 1])
    torn: list[Cell] = [device, row.cells[at - 1], datetime.combine(day, clock), *row.cells[at + 2 :]]
    return Row(row.line, torn)


def _unit(header: Row, body: Sequence[Row], chosen: str | None) -> str:
    for column in (_HISTORIC, _SCAN, _STRIP):
        unit = cells.unit_in(cells.text(header.cell(column)))
        if unit:
            return unit
    if chosen:
        return chosen
    for row in body:
        for column in _GLUCOSE.values():
            value = row.cell(column)
            if not cells.is_beyond(value) and (cells.number(value, row.line, _NAMES[column]) or 0.0) >= 40.0:
                return "mg/dL"
    return "mmol/L"


def _items(row: Row, unit: str, local: datetime) -> Iterator[Found]:
    kind = cells.text(row.cell(_TYPE))
    if kind not in _TYPES:
        raise wrong(row.line, "Record Type", "0 to 6")
    device = device_name("libre", cells.text(row.cell(_SERIAL)))
    if kind in _GLUCOSE:
        event, suffix = _reading(row, kind, unit), {"0": "", "1": "scan", "2": "meter"}[kind]
        if event is not None:
            yield Found(row.line, device_name(device, suffix), structs.replace(event, time=local))
        return
    yield from (Found(row.line, device, event) for event in _events(row, local))


def _reading(row: Row, kind: str, unit: str) -> Reading | None:
    column = _GLUCOSE[kind]
    method: Method = "capillary" if kind == "2" else "cgm"
    return cells.reading(row.cell(column), unit, cells.LIBRE[unit], row.line, _NAMES[column], method)


def _events(row: Row, local: datetime) -> Iterator[AnyEvent]:
    rapid_u = cells.number(row.cell(_RAPID), row.line, "Rapid-Acting Insulin")
    parts = (_MEAL_INSULIN, _CORRECTION, _CHANGE)
    told = [cells.number(row.cell(column), row.line, "Meal or Correction Insulin") for column in parts]
    if rapid_u is None and any(dose is not None for dose in told):
        rapid_u = max(0.0, sum(dose or 0.0 for dose in told))
    if rapid_u is not None:
        yield Insulin(time=local, dose_u=rapid_u, kind="bolus", name="rapid-acting")
    long_u = cells.number(row.cell(_LONG), row.line, "Long-Acting Insulin")
    if long_u is not None:
        yield Insulin(time=local, dose_u=long_u, kind="basal", name="long-acting")
    carbs_g = cells.number(row.cell(_CARBS), row.line, "Carbohydrates")
    if carbs_g is not None or cells.text(row.cell(_FOOD_TICKED)):
        yield Meal(time=local, carbs_g=carbs_g)
    ketone = cells.number(row.cell(_KETONE), row.line, "Ketone")
    if ketone is not None:
        yield Note(time=local, text=f"Ketone {ketone:g} mmol/L")
    for ticked, dose, what in ((_RAPID_TICKED, rapid_u, "rapid-acting"), (_LONG_TICKED, long_u, "long-acting")):
        if cells.text(row.cell(ticked)) and dose is None:
            yield Note(time=local, text=f"Insulin, {what}, dose not recorded")
    note = cells.text(row.cell(_NOTES))
    if note:
        yield Note(time=local, text=note[:2000])
