"""Recordings of many people from a table of readings: columns for who, when (the person's own clock) and mg/dL."""

import csv
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from islet.errors import BadInput
from islet.forecast.grid import Segment, segments

Rows = list[tuple[int, float]]
_NO_VALUE: Final = ("", "NA", "NaN", "nan", "null", "NULL")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The names of the columns; the defaults are GlucoBench's."""

    person: str = "id"
    time: str = "time"
    glucose: str = "gl"
    least: float = -math.inf
    most: float = math.inf
    """What a value may be; what is outside refuses the table."""


def read_table(
    lines: Iterable[str],
    source: str,
    columns: Columns,
    *,
    skip: Callable[[int, str], bool] = lambda _row, _person: False,
) -> dict[str, Rows]:
    """(minute, mg/dL) of each person, of CSV lines with a header; times are ISO 8601, rounded to the minute.

    Rows without a value, and those that `skip` (row from 0, person) says, are left out. Raises BadInput with the row.
    """
    table = csv.reader(lines)
    header = next(table, [])
    for name in (columns.person, columns.time, columns.glucose):
        if name not in header:
            raise BadInput(f"{source}: no column {name!r}; there are {', '.join(header) or 'none'}", reason="data")
    who, when, what = (header.index(name) for name in (columns.person, columns.time, columns.glucose))
    least = max(who, when, what)
    numbers: list[int] = []
    rows: list[list[str]] = []
    for number, row in enumerate(table):
        if row and (len(row) <= least or (row[what] not in _NO_VALUE and not skip(number, row[who]))):
            numbers.append(number)
            rows.append(row)
    try:
        minutes = _minutes([row[when] for row in rows])
        values = [_value(row[what], columns) for row in rows]
    except (ValueError, IndexError):
        number = next(number for number, row in zip(numbers, rows, strict=True) if not _reads(row, when, what, columns))
        raise BadInput(
            f"{source}, row {number} (from 0, without the header): expected an ISO 8601 time without zone and a number"
            + (f" from {columns.least:g} to {columns.most:g} mg/dL" if columns.least > 0 else ""),
            reason="data",
        ) from None
    people: dict[str, Rows] = {}
    for row, minute, value in zip(rows, minutes, values, strict=True):
        people.setdefault(row[who], []).append((minute, value))
    return people


def _minutes(times: list[str]) -> list[int]:
    """Minutes since 1970, halves to the even one. Raises ValueError for what is no time, and for one with a zone: NumPy
    would make UTC of it, and the person's noon another hour."""
    try:
        with warnings.catch_warnings(action="error"):
            instants = np.array(times, "datetime64[s]")
    except UserWarning:
        raise ValueError("a time with a zone") from None
    if np.isnat(instants).any():
        raise ValueError("no time")
    rounded: list[int] = np.rint(instants.astype(np.int64) / 60).astype(np.int64).tolist()
    return rounded


def _value(text: str, columns: Columns) -> float:
    value = float(text)
    if not columns.least <= value <= columns.most:
        raise ValueError("a value that cannot be")
    return value


def _reads(row: list[str], when: int, what: int, columns: Columns) -> bool:
    try:
        _minutes([row[when]])
        _value(row[what], columns)
    except (ValueError, IndexError):
        return False
    return True


def recordings(people: dict[str, Rows], *, gap_min: int, least: int) -> list[Segment]:
    """All segments by person, in the order of their ids, and time; of two readings in one minute the first counts."""
    found: list[Segment] = []
    for person in sorted(people, key=as_number):
        rows = sorted(people[person], key=lambda row: row[0])
        minutes = np.array([m for m, _ in rows], np.int64)
        glucose = np.array([g for _, g in rows], np.float32)
        fresh = np.append(True, np.diff(minutes) > 0)
        found += segments(person, minutes[fresh], glucose[fresh], gap_min=gap_min, least=least)
    return found


def as_number(person: str) -> tuple[float, str]:
    """Ids that are numbers come in the order of numbers, before others, and "009" is 9."""
    return (float(person), "") if person.isascii() and person.strip().isdigit() else (math.inf, person)
