"""The rows of a workbook's sheet, one after the other: the library's way to have all of them at once holds the
interpreter for a second per half a million cells, and every alarm waits."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineSheet

Cell = str | float | int | bool | datetime | date | time | timedelta


def sheet_rows(sheet: CalamineSheet) -> Iterator[list[Cell]]:
    """The rows from the first of the sheet on, each from its first column; an empty cell is ""."""
    before: list[Cell] = [""] * (sheet.start[1] if sheet.start else 0)
    return (before + row for row in sheet.iter_rows())
