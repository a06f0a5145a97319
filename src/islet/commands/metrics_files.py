"""Readings from files for `islet metrics`: a CSV of id, time and glucose, or what an importer understands."""

from datetime import UTC, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from msgspec import structs
from numpy.typing import NDArray

from islet.commands.report_people import of_file
from islet.decode.imports.detect import Format
from islet.decode.imports.found import Choices, DateOrder
from islet.decode.imports.local_times import date_order, local_time, written
from islet.errors import BadInput
from islet.metrics.people import People, people_of, wall_clock_us

_HEAD_BYTES: Final = 4_096
_LEAST_MG_DL: Final = 10.0
_NAMES: Final = ("id", "time", "gl")
_NOTHING: Final = ["", "NA", "NaN", "nan", "null", "NULL"]
_ZONED: Final = r"\d(Z|[+-]\d\d:?\d\d)$"
_BARE: Final = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$"
_compute: Any = pc  # its stubs lack functions


def read_people(file: Path, choices: Choices, chosen: Format | None = None, person: str | None = None) -> People:
    """The people of a file. A CSV with the columns id, time and gl (others are left out) holds many, its glucose in
    mg/dL where no unit is said; another file is an export of one person, called as the file, or a table of several, of
    whom `person` is read, called as the table calls them.

    Times without an offset are wall clock, as they are, in ISO 8601 or as exports write them (`date_order`); those with
    one become the wall clock of the zone that was said; where none was said, an export's keep their own. Raises BadInput
    with file, line and column for what cannot be understood; then nothing of the file is used.
    """
    if chosen is None and not choices.mapping and _is_plain(file):
        try:
            return _csv(file.read_bytes(), choices.zone or UTC, choices)
        except BadInput as error:
            raise BadInput(f"{file.name}: {error}", reason=error.reason) from None
    local = structs.replace(choices, zone=choices.zone or UTC)
    try:
        return of_file(file, id=file.stem, choices=local, zone=choices.zone, chosen=chosen).people
    except BadInput as error:
        if person is None or error.reason != "people":
            raise
    theirs = structs.replace(local, person=person)
    return of_file(file, id=person, choices=theirs, zone=choices.zone, chosen=chosen).people


def _is_plain(file: Path) -> bool:
    """Whether it is a CSV with a column called gl."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).splitlines()
    return bool(head) and b"gl" in [name.strip(b' "') for name in head[0].split(b",")]


def _csv(content: bytes, zone: tzinfo, choices: Choices) -> People:
    text = dict.fromkeys(_NAMES, pa.string())
    convert = pyarrow.csv.ConvertOptions(column_types=text, include_columns=list(_NAMES), strings_can_be_null=False)
    try:
        table = pyarrow.csv.read_csv(BytesIO(content.removeprefix(b"\xef\xbb\xbf")), convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if b"\x00" in content[:1000] or isinstance(error, pa.ArrowKeyError):
            raise BadInput("line 1: expected the columns id, time, gl", reason="format") from None
        raise BadInput(f"expected a CSV with the columns id, time, gl; {_plain(error)}", reason="format") from None
    glucose = _glucose(table["gl"].combine_chunks())
    if not choices.unit:
        _check_is_mg_dl(glucose)
    return people_of(
        [str(id) for id in table["id"].to_pylist()],
        _clock_us(table["time"].combine_chunks(), zone, choices.date_order),
        glucose,
        unit=choices.unit or "mg/dL",
    )


def _check_is_mg_dl(glucose: NDArray[np.float64]) -> None:
    """Raises BadInput where more than a tenth of the values are below what any body has in mg/dL, as an import does."""
    low = np.flatnonzero(glucose < _LEAST_MG_DL)
    if len(low) * 10 > np.count_nonzero(~np.isnan(glucose)):
        expected = f"mg/dL, {_LEAST_MG_DL:g} or more, as no unit was said; say --unit mmol/L if it is that"
        raise BadInput(f"line {low[0] + 2}, column gl: expected {expected}", reason="unit")


def _glucose(column: Any) -> NDArray[np.float64]:
    blank = _compute.is_in(_compute.utf8_trim_whitespace(column), value_set=pa.array(_NOTHING))
    filled = _compute.if_else(blank, "nan", _compute.utf8_trim_whitespace(column))
    good = _compute.match_substring_regex(filled, r"^(nan|\d+(\.\d*)?|\.\d+)$")
    _all_good(good, "gl", "a number above 0, such as 112 or 6.2 (or nothing)")
    values: NDArray[np.float64] = filled.cast(pa.float64()).to_numpy(zero_copy_only=False)
    _all_good(pa.array((values > 0.0) | np.isnan(values)), "gl", "a number above 0")
    return values


def _clock_us(column: Any, zone: tzinfo, chosen: DateOrder | None) -> NDArray[np.int64]:
    column = _compute.utf8_trim_whitespace(column)
    zoned = _compute.match_substring_regex(column, _ZONED)
    if len(column) and _compute.all(zoned).as_py():
        instants = _cast(column, pa.timestamp("us", "UTC"))
        order = np.argsort(instants, kind="stable")
        clock = np.empty_like(instants)
        clock[order] = wall_clock_us(instants[order], zone)
        return clock
    bare = _compute.match_substring_regex(column, _BARE)
    told = (
        None
        if _compute.all(bare).as_py() in (True, None)
        else written(column[_compute.index(bare, False).as_py()].as_py())
    )
    if told is not None and told.offset is None:
        return _told_us(column.to_pylist(), chosen)
    _all_good(
        bare,
        "time",
        "a time such as 2024-03-04 07:05:00, all with an offset or none",
    )
    return _cast(column, pa.timestamp("us"))


def _told_us(texts: list[str], chosen: DateOrder | None) -> NDArray[np.int64]:
    """The wall clock of times that are written otherwise, as exports write them (6/30/2015 16:50)."""
    order = date_order(enumerate(texts, start=2), chosen)
    told = [local_time(text, order, line, "time") for line, text in enumerate(texts, start=2)]
    aware = next((line for line, one in enumerate(told, start=2) if one.tzinfo is not None), None)
    if aware is not None:
        raise BadInput(f"line {aware}, column time: expected no offset, as the times before it", reason="time")
    return np.array(told, "datetime64[us]").astype(np.int64)


def _cast(column: Any, to: Any) -> NDArray[np.int64]:
    try:
        values: NDArray[np.int64] = column.cast(to).cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        for row, one in enumerate(column):
            try:
                one.cast(to)
            except pa.ArrowInvalid:
                raise BadInput(f"line {row + 2}, column time: there is no such day or time", reason="time") from None
        raise
    return values


def _all_good(good: Any, column: str, expected: str) -> None:
    """Raises BadInput at the first row that is not; the value is not repeated, it is a person's."""
    bad = np.flatnonzero(~np.asarray(good.to_numpy(zero_copy_only=False), np.bool_))
    if len(bad):
        raise BadInput(f"line {bad[0] + 2}, column {column}: expected {expected}; got something else", reason=column)


def _plain(error: Exception) -> str:
    return str(error).split(":", 1)[-1].strip().splitlines()[0][:80]
