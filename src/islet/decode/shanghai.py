"""The workbooks of ShanghaiT1DM and ShanghaiT2DM, one wearing of a sensor each, as events.

Source: Zhao et al. 2023, doi:10.1038/s41597-023-01940-7. Columns by position (headers vary between files); glucose in
mg/dL, every value a multiple of 0.1 mmol/L × 18; local time of Shanghai (UTC+8, no daylight saving since 1991).
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone
from itertools import dropwhile
from typing import Final

from msgspec import Struct
from python_calamine import CalamineError, CalamineWorkbook

from islet.decode.sheets import Cell, sheet_rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Insulin, Meal, Medication, Note, Reading

SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
_NOT_RECORDED: Final = {"data not available", "未记录", ""}
_DOSE: Final = re.compile(r"(?<=[,\s])(\d++(?:\.\d++)?+)\s*+IU", re.IGNORECASE)
_DOSE_AT_END: Final = re.compile(r"(?<=\s)(\d++(?:\.\d++)?+)\s*+([A-Za-zµ]++)$")
"""Neither goes back over what it has read: a cell may be as long as its writer likes."""


class Skipped(Struct, frozen=True):
    """A row that gave nothing, with the reason; row numbers as a spreadsheet shows them."""

    row: int
    reason: str


class Wearing(Struct, frozen=True):
    """What one workbook says, in the order of its rows; `lines` are the row numbers of the events."""

    events: tuple[AnyEvent, ...]
    skipped: tuple[Skipped, ...]
    lines: tuple[int, ...] = ()


def decode_workbook(content: bytes) -> Wearing:
    """The events of a workbook (.xls or .xlsx).

    Raises BadInput, reason "format", when it is not a workbook or its first columns are not Date and CGM.
    """
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    except (CalamineError, IndexError, ValueError):
        raise BadInput(
            "expected an .xls or .xlsx workbook with one sheet; got something else", reason="format"
        ) from None
    rows = list(dropwhile(lambda row: not any(row), sheet_rows(sheet)))
    _check_header(rows[0] if rows else [])
    events: list[AnyEvent] = []
    lines: list[int] = []
    skipped: list[Skipped] = []
    for number, row in enumerate(rows[1:], start=2):
        instant = _instant(row[0])
        if instant is None and not any(row):
            continue
        if instant is None:
            skipped.append(Skipped(number, "no date and time in column 1"))
            continue
        events.extend(_events_of_row(instant, row))
        lines.extend([number] * (len(events) - len(lines)))
    return Wearing(tuple(events), tuple(skipped), tuple(lines))


def _check_header(header: Sequence[Cell]) -> None:
    names = [str(cell).strip() for cell in header[:2]]
    if len(names) < 2 or names[0] != "Date" or not names[1].startswith("CGM"):
        raise BadInput("row 1: expected the columns Date, CGM, … of the Shanghai workbooks", reason="format")


def _instant(cell: Cell) -> datetime | None:
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=SHANGHAI)
    if isinstance(cell, date):  # midnight is stored as a bare date
        return datetime.combine(cell, time(0), tzinfo=SHANGHAI)
    return None


def _events_of_row(instant: datetime, row: Sequence[Cell]) -> Iterator[AnyEvent]:
    for column, parse in _COLUMNS.items():
        cell = row[column] if column < len(row) else ""
        if str(cell).replace("\xa0", " ").strip().lower() not in _NOT_RECORDED:
            yield from parse(instant, cell)
    yield from _meal(instant, *(str(row[column]) if column < len(row) else "" for column in (4, 5)))


def _reading(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    if isinstance(cell, float | int):
        yield Reading(time=instant, value=round(float(cell), 1), unit="mg/dL")
    else:
        yield Note(time=instant, text=f"CGM: {cell}")


def _capillary(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    if isinstance(cell, float | int):
        yield Reading(time=instant, value=round(float(cell), 1), unit="mg/dL", method="capillary")
    else:
        yield Note(time=instant, text=f"CBG: {cell}")


def _ketone(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    yield Note(time=instant, text=f"Ketone {cell} mmol/L")


def _meal(instant: datetime, english: str, chinese: str) -> Iterator[AnyEvent]:
    """One meal a row; the English text where there is one. "Not recorded" still says that something was eaten."""
    english, chinese = english.strip(), chinese.strip()
    if not english and not chinese:
        return
    text = english if english.lower() not in _NOT_RECORDED else chinese if chinese not in _NOT_RECORDED else ""
    yield Meal(time=instant, text=text)


def _subcutaneous(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    found = list(_named_doses(str(cell).replace("\xa0", " ")))
    if not found:
        yield Note(time=instant, text=f"s.c. insulin: {cell}")
    for name, dose_u in found:
        yield Insulin(time=instant, dose_u=dose_u, name=name)


def _named_doses(text: str) -> Iterator[tuple[str, float]]:
    """Each insulin before a number of IU; the name is what stands behind the last comma or semicolon."""
    begin = 0
    for dose in _DOSE.finditer(text):
        name = re.split("[,;]", text[begin : dose.start()].rstrip(", \t\n"))[-1].strip()
        begin = dose.end()
        if name:
            yield name, float(dose[1])


def _drugs(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    for part in re.split(r"[,;\n]", str(cell).replace("\xa0", " ")):
        part = part.strip()
        dose = _DOSE_AT_END.search(part)
        if dose and dose.start():
            yield Medication(time=instant, name=part[: dose.start()].strip(), dose=float(dose[1]), dose_unit=dose[2])
        elif part:
            yield Medication(time=instant, name=part)


def _pump_bolus(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    if isinstance(cell, float | int):
        yield Insulin(time=instant, dose_u=float(cell), kind="bolus", name="CSII")
    else:
        yield Note(time=instant, text=f"CSII bolus: {cell}")


def _pump_basal(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    """The pump's basal rate in IU/h from here on: a setting, not a dose, so it is kept as a note."""
    yield Note(time=instant, text=f"CSII basal {cell} IU/h")


def _intravenous(instant: datetime, cell: Cell) -> Iterator[AnyEvent]:
    yield Note(time=instant, text=f"i.v.: {str(cell).strip()}")


_COLUMNS: Final[dict[int, Callable[[datetime, Cell], Iterator[AnyEvent]]]] = {
    1: _reading,
    2: _capillary,
    3: _ketone,
    6: _subcutaneous,
    7: _drugs,
    8: _pump_bolus,
    9: _pump_basal,
    10: _intravenous,
}
