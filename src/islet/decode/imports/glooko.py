"""Glooko's CSV files: line 1 names the person and the range of dates, line 2 is the header, one file a kind of data.

What a file holds is told by how its headings begin, in English, German, Dutch, French, Spanish or Italian. A file of
boluses also has the carbohydrates that the pump was told, and a glucose that it reckoned with: that is no measurement of
its own and is left out. Sums of days are left out as well. Times are local, in the order of the account; the range in line 1 decides an
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
from islet.model.events import AnyEvent, Insulin, Meal, Method, Note, Reading

_RANGE: Final = re.compile(r":\s*(\d{4}-\d\d-\d\d)\s*-\s*(\d{4}-\d\d-\d\d)")
_TIMES: Final = {
    *("timestamp", "zeitstempel", "tijdstempel", "horodatage", "marca de tiempo", "marca temporal", "data e ora"),
}
_SUGAR: Final = re.compile(r"gl[uy][ck]o|glyc[ée]mi|glicemi|glucemi|blutzucker")
_OF_A_METER: Final = re.compile(r"blood|blut|bloed|sang|manu[ae]l|handmatig")
_DOSE: Final = (
    *("dose (units)", "insulin delivered", "abgegebenes insulin", "toegediende insuline"),
    *("insuline administrée", "insuline délivrée", "insulina administrada", "insulina erogata"),
)
_RATE: Final = ("rate", "percentage", "prozentsatz", "débit", "tasa", "velocità")
_CARBS: Final = re.compile(
    r"(carbs|carbohydrates|kohlenhydrat|(invoer )?koolhydra|glucides|hidratos|carbohidratos|carboidrati)"
)
_RATIO: Final = re.compile(r"ratio|verhältnis|rapporto")
_TYPE: Final = (
    "insulin type",
    "insulin-typ",
    "insulinetype",
    "type d'insuline",
    "tipo de insulina",
    "tipo di insulina",
)
_SERIAL: Final = (
    "serial number",
    "seriennummer",
    "serienummer",
    "numéro de série",
    "número de serie",
    "numero di serie",
)
_ALARM: Final = ("alarm/", "alarme/", "alarma/", "allarme/")
_KINDS: Final[Mapping[str, Literal["bolus", "basal"]]] = {
    "rapid": "bolus",
    "bolus": "bolus",
    "basal": "basal",
    "long": "basal",
}

Heads = Mapping[str, int]


def looks(head: Sequence[Row]) -> bool:
    """Whether the first rows of a table are Glooko's."""
    if len(head) < 2 or not re.match(r"N(ame|aam|om|ombre|ome)\b", cells.text(head[0].cell(0))):
        return False
    return cells.text(head[1].cell(0)).lower() in _TIMES


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of one of Glooko's files."""
    table = list(rows(stream))
    if not looks(table):
        raise BadInput("lines 1 and 2: expected Name:…, Date Range:… and a header with Timestamp", reason="format")
    heads = {cells.text(cell).lower(): column for column, cell in enumerate(table[1].cells)}
    glucose = None if _column(heads, _DOSE) is not None else next((name for name in heads if _SUGAR.search(name)), None)
    unit = cells.unit_of(glucose, choices.unit) if glucose else ""
    body = table[2:]
    order = date_order(
        ((row.line, cells.text(row.cell(0))) for row in body), choices.date_order, within=_range(table[0])
    )
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in body:
        local = local_time(row.cell(0), order, row.line, "Timestamp")
        events = _glucose(row, heads, glucose, unit, local) if glucose else list(_events(row, heads, local))
        device = device_name("glooko", cells.text(row.cell(_column(heads, _SERIAL))))
        for event in events:
            meter = isinstance(event, Reading) and event.method == "capillary"
            found.append(Found(row.line, device_name(device, "meter" if meter else ""), event))
        if not events:
            skipped.append(Skipped(row.line, "a row without a value"))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _column(heads: Heads, names: tuple[str, ...]) -> int | None:
    return next((column for head, column in heads.items() if head.startswith(names)), None)


def _range(preamble: Row) -> tuple[date, date] | None:
    found = _RANGE.search(",".join(cells.text(cell) for cell in preamble.cells))
    try:
        return (date.fromisoformat(found[1]), date.fromisoformat(found[2])) if found else None
    except ValueError:
        return None


def _glucose(row: Row, heads: Heads, glucose: str, unit: str, local: datetime) -> list[AnyEvent]:
    finger = "cgm" not in glucose and any(_OF_A_METER.search(head) for head in heads)
    method: Method = "capillary" if finger else "cgm"
    event = cells.reading(row.cell(heads[glucose]), unit, cells.DEXCOM[unit], row.line, glucose, method)
    return [] if event is None else [structs.replace(event, time=local)]


def _events(row: Row, heads: Heads, local: datetime) -> Iterator[AnyEvent]:
    """Insulin, a meal or an alarm; the 0 of a pump that was told nothing is none of them."""
    dose_u = cells.number(row.cell(_column(heads, _DOSE)), row.line, "Insulin Delivered")
    if dose_u:
        yield _insulin(dose_u, cells.text(row.cell(_column(heads, _TYPE))), heads, local)
    carbs = next((place for head, place in heads.items() if _CARBS.match(head) and not _RATIO.search(head)), None)
    carbs_g = cells.number(row.cell(carbs), row.line, "Carbohydrates")
    if carbs_g:
        words = (
            cells.text(row.cell(_column(heads, names))) for names in (("food description", "name"), ("meal type",))
        )
        yield Meal(time=local, carbs_g=carbs_g, text=", ".join(filter(None, words)))
    alarm = cells.text(row.cell(_column(heads, _ALARM)))
    if alarm:
        yield Note(time=local, text=f"Alarm of the device: {alarm}")


def _insulin(dose_u: float, name: str, heads: Heads, local: datetime) -> Insulin:
    """A dose by what its row says it is, else by whether its file is that of basal rates."""
    of_a_pump: Literal["bolus", "basal"] = "bolus" if _column(heads, _RATE) is None else "basal"
    kind = next((kind for word, kind in _KINDS.items() if word in name.lower()), of_a_pump)
    return Insulin(time=local, dose_u=dose_u, kind=kind, name=name)
