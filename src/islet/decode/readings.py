"""Many readings at once, from records to columns: the same rules as `model/units.py`, a few times as fast."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.errors import BadInput, UnknownUnit
from islet.model.batch import METHOD_CODES, RANGE_CODES, READINGS_SCHEMA, UNIT_CODES
from islet.model.events import Reading
from islet.model.units import POSSIBLE_GLUCOSE_MG_DL, glucose_mg_dl, glucose_tenths, glucose_unit

_UNKNOWN: Final = len(UNIT_CODES)
_MG_DL_PER_UNIT: Final = np.array([*(glucose_mg_dl(1.0, unit) for unit in UNIT_CODES), np.nan])
_METHOD_CODE: Final[dict[str, int]] = {method: code for code, method in enumerate(METHOD_CODES)}


def reading_columns(
    patients: Sequence[str], devices: Sequence[str], since_epoch: Sequence[timedelta], readings: Sequence[Reading]
) -> tuple[pa.RecordBatch, dict[int, BadInput]]:
    """The rows (at most n) of READINGS_SCHEMA for n readings, and by index why the others are left out.

    All four are of one length, in the same order, which the rows keep. `since_epoch`: the instants, counted from 1970-01-01T00:00:00Z.
    """
    values = np.array([reading.value for reading in readings], np.float64)
    units = _unit_codes(readings)
    low, high = POSSIBLE_GLUCOSE_MG_DL
    with np.errstate(invalid="ignore", over="ignore"):  # of rows that are not good
        mg_dl = values * _MG_DL_PER_UNIT[units]
        good = (mg_dl >= low) & (mg_dl <= high)  # NaN, from an unknown unit, is neither
        tenths = np.rint(mg_dl * 10.0).astype(np.int32)
    columns = [
        patients,
        devices,
        pa.array(since_epoch, pa.duration("us")).cast(pa.int64()),
        tenths,
        values,
        units,
        _codes([reading.range for reading in readings], RANGE_CODES),
        _codes([reading.method for reading in readings], _METHOD_CODE),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, READINGS_SCHEMA, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=READINGS_SCHEMA)
    if good.all():
        return batch, {}
    return batch.filter(pa.array(good)), {int(index): _why_not(readings[int(index)]) for index in np.flatnonzero(~good)}


def _unit_codes(readings: Sequence[Reading]) -> NDArray[np.uint8]:
    """Index into UNIT_CODES, or _UNKNOWN; each spelling is looked up once."""
    spellings = [reading.unit for reading in readings]
    return _codes(spellings, {spelling: _unit_code(spelling) for spelling in set(spellings)}).astype(np.uint8)


def _codes(words: Sequence[str], code_of: Mapping[str, int]) -> NDArray[np.int8]:
    """The code (n,) of each word; mostly all words are the same, which one look at them tells."""
    different = set(words)
    if len(different) == 1:
        return np.full(len(words), code_of[different.pop()], np.int8)
    return np.array([code_of[word] for word in words], np.int8)


def _unit_code(spelling: str) -> int:
    try:
        return UNIT_CODES.index(glucose_unit(spelling))
    except UnknownUnit:
        return _UNKNOWN


def _why_not(reading: Reading) -> BadInput:
    try:
        glucose_tenths(reading.value, glucose_unit(reading.unit))
    except BadInput as error:
        return error
    raise AssertionError("the two ways to check a reading differ")
