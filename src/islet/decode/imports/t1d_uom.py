"""The CSV files of T1D-UOM (doi:10.5281/zenodo.15169263): glucose in mmol/L, insulin, meals, activity; one kind a file.

Dates are day first, whatever the data set's own description says (days run to 31 in the first place). Times are local,
of Manchester; those of activity have their offset in columns of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Final, Literal

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.decode.imports.local_times import in_zone, local_time
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Exercise, Insulin, Meal

_FIRSTS: Final = {"bg_ts", "bolus_ts", "basal_ts", "meal_ts", "activity_ts"}
_LIMITS: Final = (2.2, 27.8)
_BASAL_NAMES: Final = {"L": "long-acting", "R": "rapid-acting (pump)"}
_AT_REST: Final = {"SEDENTARY", "UNMONITORED"}
_INTENSITIES: Final[Mapping[str, Literal["light", "moderate", "vigorous"]]] = {
    "ACTIVE": "moderate",
    "HIGHLY_ACTIVE": "vigorous",
}
Heads = Mapping[str, int]


def looks(head: Sequence[Row]) -> bool:
    """Whether the first row of a table is one of T1D-UOM's."""
    return bool(head) and cells.text(head[0].cell(0)).lstrip("\ufeff") in _FIRSTS


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of one of the data set's files."""
    table = rows(stream)
    header = next(table, None)
    if header is None or not looks([header]):
        raise BadInput(f"line 1: expected one of {', '.join(sorted(_FIRSTS))} as the first column", reason="format")
    names = [cells.text(cell).lstrip("\ufeff") for cell in header.cells]
    heads = {name: column for column, name in enumerate(names)}
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in table:
        local = local_time(row.cell(0), "dmy", row.line, names[0])
        event = _MAKERS[names[0]](row, heads, local)
        if isinstance(event, str):
            skipped.append(Skipped(row.line, event))
        else:
            found.append(Found(row.line, "t1d-uom", event))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _glucose(row: Row, heads: Heads, local: datetime) -> AnyEvent | str:
    event = cells.reading(row.cell(heads.get("value")), "mmol/L", _LIMITS, row.line, "value")
    return "a reading without a value" if event is None else structs.replace(event, time=local)


def _bolus(row: Row, heads: Heads, local: datetime) -> AnyEvent | str:
    dose_u = cells.number(row.cell(heads.get("bolus_dose")), row.line, "bolus_dose")
    return "insulin without a dose" if dose_u is None else Insulin(time=local, dose_u=dose_u, kind="bolus")


def _basal(row: Row, heads: Heads, local: datetime) -> AnyEvent | str:
    dose_u = cells.number(row.cell(heads.get("basal_dose")), row.line, "basal_dose")
    name = _BASAL_NAMES.get(cells.text(row.cell(heads.get("insulin_kind"))), "")
    return "insulin without a dose" if dose_u is None else Insulin(time=local, dose_u=dose_u, kind="basal", name=name)


def _meal(row: Row, heads: Heads, local: datetime) -> AnyEvent | str:
    carbs_g = cells.number(row.cell(heads.get("carbs_g")), row.line, "carbs_g")
    words = [cells.text(row.cell(heads.get(name))) for name in ("meal_type", "meal_tag")]
    return Meal(time=local, carbs_g=carbs_g, text=": ".join(filter(None, words)))


def _activity(row: Row, heads: Heads, local: datetime) -> AnyEvent | str:
    kind = cells.text(row.cell(heads.get("activity_type")))
    active_s = cells.number(row.cell(heads.get("active_time_s")), row.line, "active_time_s")
    if kind in _AT_REST or not active_s:
        return "at rest, or not worn"
    intensity = _INTENSITIES.get(cells.text(row.cell(heads.get("intensity")))) or "unknown"
    return Exercise(time=local, duration_min=active_s / 60, intensity=intensity, kind=kind.lower())


_MAKERS: Final = {
    "bg_ts": _glucose,
    "bolus_ts": _bolus,
    "basal_ts": _basal,
    "meal_ts": _meal,
    "activity_ts": _activity,
}
