"""Dexcom Clarity, CSV and workbook, in any language: columns by position.

Readings are the rows of EGV; some languages translate it (EGW in German), then it is the kind of event that most rows
with glucose have, for calibrations are few. The header is row 1, and its second heading spells the time out to
hh:mm:ss; rows without a time describe the person and the alerts. Times are local. A sensor shows 40 to 400
mg/dL (2.2 to 22.2 mmol/L); beyond, the file says Low or High. BIG IDEAs (doi:10.13026/zthx-5212) has the same rows with
other headings and in mg/dL.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import BinaryIO, Final, Literal

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped, device_name, wrong
from islet.decode.imports.local_times import date_order, in_zone, local_time
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Note

_TIME, _KIND, _SUBTYPE, _SOURCE, _GLUCOSE, _INSULIN, _CARBS, _DURATION, _TRANSMITTER = 1, 2, 3, 6, 7, 8, 9, 10, 13
_FEWEST: Final = 11
_EGV: Final = "EGV"
_EXERCISE: Final = frozenset(
    ["Exercise", "Bewegung", "Training", "Sport", "Exercice", "Ejercicio", "Esercizio", "Beweging", "Lichaamsbeweging"]
)
_BIG_IDEAS: Final = ("index", "timestamp", "event_type")
_INSULINS: Final[dict[str, Literal["bolus", "basal"]]] = {"Fast-Acting": "bolus", "Long-Acting": "basal"}
_INTENSITIES: Final[dict[str, Literal["light", "moderate", "vigorous"]]] = {
    "Light": "light",
    "Medium": "moderate",
    "Heavy": "vigorous",
}


def looks(head: Sequence[Row]) -> bool:
    """Whether the first rows of a table are Clarity's."""
    if not head or len(head[0].cells) < _FEWEST:
        return False
    return _is_big_ideas(head[0]) or (
        cells.unit_in(cells.text(head[0].cell(_GLUCOSE))) is not None
        and ("hh:mm:ss" in cells.text(head[0].cell(_TIME)) or any(row.cell(_KIND) == _EGV for row in head[1:]))
    )


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a Clarity export."""
    table = rows(stream)
    header = next(table, None)
    if header is None or len(header.cells) < _FEWEST:
        raise BadInput(f"line 1: expected at least {_FEWEST} columns of Clarity's 14", reason="format")
    unit = "mg/dL" if _is_big_ideas(header) else cells.unit_of(cells.text(header.cell(_GLUCOSE)), choices.unit)
    timed = [row for row in table if row.cell(_TIME) != ""]
    order = date_order(((row.line, cells.text(row.cell(_TIME))) for row in timed), choices.date_order)
    sensor = _sensor_kind(timed)
    items = [_item(row, unit, sensor, local_time(row.cell(_TIME), order, row.line, "Timestamp")) for row in timed]
    yield from in_zone([item for item in items if isinstance(item, Found)], choices.zone)
    yield from (item for item in items if isinstance(item, Skipped))


def _is_big_ideas(header: Row) -> bool:
    return tuple(islice((cells.text(cell).lower() for cell in header.cells), 3)) == _BIG_IDEAS


def _sensor_kind(timed: Sequence[Row]) -> str:
    """What a sensor's reading is called: EGV, or in its stead what most rows with glucose are called that calibrate nothing
    (which has these letters in all languages of the west)."""
    named = (cells.text(row.cell(_KIND)) for row in timed if cells.text(row.cell(_GLUCOSE)))
    kinds = Counter(kind for kind in named if "alib" not in kind)
    return _EGV if _EGV in kinds or not kinds else kinds.most_common(1)[0][0]


def _item(row: Row, unit: str, sensor_kind: str, local: datetime) -> Item:
    kind, subtype = cells.text(row.cell(_KIND)), cells.text(row.cell(_SUBTYPE))
    sensor = kind == sensor_kind
    read_as = cells.reading(
        row.cell(_GLUCOSE), unit, cells.DEXCOM[unit], row.line, "Glucose Value", "cgm" if sensor else "capillary"
    )
    source = cells.text(row.cell(_TRANSMITTER)) or cells.text(row.cell(_SOURCE))
    if read_as is not None:
        return Found(
            row.line, device_name("clarity", source, "" if sensor else "meter"), structs.replace(read_as, time=local)
        )
    if sensor:
        return Skipped(row.line, "a sensor reading without a value")
    event = _event(row, kind, subtype, local)
    if event is None:
        return Skipped(row.line, "a row without a value")
    return Found(row.line, device_name("clarity", source), event)


def _event(row: Row, kind: str, subtype: str, local: datetime) -> AnyEvent | None:
    dose_u = cells.number(row.cell(_INSULIN), row.line, "Insulin Value")
    carbs_g = cells.number(row.cell(_CARBS), row.line, "Carb Value")
    if dose_u is not None:
        return Insulin(time=local, dose_u=dose_u, kind=_INSULINS.get(subtype, "unknown"), name=subtype)
    if carbs_g is not None:
        return Meal(time=local, carbs_g=carbs_g)
    minutes = _minutes(row)
    if minutes and kind in _EXERCISE:
        return Exercise(time=local, duration_min=minutes, intensity=_INTENSITIES.get(subtype, "unknown"))
    return Note(time=local, text=": ".join(filter(None, (kind, subtype)))) if kind else None


def _minutes(row: Row) -> float | None:
    words = cells.text(row.cell(_DURATION)).split(":")
    if len(words) != 3:
        return None
    try:
        hours, minutes, seconds = map(int, words)
    except ValueError:
        raise wrong(row.line, "Duration", "hh:mm:ss") from None
    return hours * 60 + minutes + seconds / 60
