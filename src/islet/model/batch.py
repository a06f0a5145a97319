"""Columns of events: the only table types that rooms exchange on hot paths.

Two Arrow schemas serve all topics. Readings are numbers in columns; everything rarer is a document, a JSON text
with its key beside it. What the log gives back has `received_at_us` as well: ours, not the device's clock.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from islet.model.events import Method
from islet.model.topics import Topic

UNIT_CODES: Final = ("mg/dL", "mmol/L")
METHOD_CODES: Final[tuple[Method, ...]] = ("cgm", "capillary")
RANGE_CODES: Final = {"below": -1, "within": 0, "above": 1}

_READING_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("patient", pa.utf8()),
    pa.field("device", pa.utf8()),
    pa.field("time_us", pa.int64()),  # the device's clock
    pa.field("glucose_tenths", pa.int32()),  # tenths of mg/dL, fixed point
    pa.field("value", pa.float64()),  # as sent
    pa.field("unit", pa.uint8()),  # index into UNIT_CODES, as sent
    pa.field("range", pa.int8()),  # RANGE_CODES
    pa.field("method", pa.uint8()),  # index into METHOD_CODES
]

_DOCUMENT_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("patient", pa.utf8()),  # "" where there is none (a dead letter from an unknown device)
    pa.field("device", pa.utf8()),  # "" where a person or the engine wrote it
    pa.field("time_us", pa.int64()),
    pa.field("type", pa.utf8()),
    pa.field("body", pa.utf8()),  # JSON
]

READINGS_SCHEMA: Final = pa.schema(_READING_FIELDS)
DOCUMENTS_SCHEMA: Final = pa.schema(_DOCUMENT_FIELDS)

_T = TypeVar("_T", bound=np.generic)

RECEIVED: Final = pa.field("received_at_us", pa.int64())

_KINDS: Final[list[np.dtype[Any]]] = [np.dtype(kind) for kind in ("int64", "int32", "float64", "uint8", "int8")]
_TYPES: Final = {kind: pa.from_numpy_dtype(kind) for kind in _KINDS}


def schema_of(topic: Topic) -> pa.Schema:
    """The columns that are appended to a topic; what is read has RECEIVED at the end."""
    return READINGS_SCHEMA if topic is Topic.GLUCOSE_READINGS else DOCUMENTS_SCHEMA


class ReadingRow(NamedTuple):
    """One row of READINGS_SCHEMA, at the edges only."""

    patient: str
    device: str
    time_us: int
    glucose_tenths: int
    value: float
    unit: int
    range: int
    method: int


class DocumentRow(NamedTuple):
    """One row of DOCUMENTS_SCHEMA, at the edges only."""

    patient: str
    device: str
    time_us: int
    type: str
    body: str


def readings_batch(rows: Sequence[ReadingRow]) -> pa.RecordBatch:
    """A record batch (n rows) of READINGS_SCHEMA."""
    return _batch(rows, READINGS_SCHEMA)


def documents_batch(rows: Sequence[DocumentRow]) -> pa.RecordBatch:
    """A record batch (n rows) of DOCUMENTS_SCHEMA."""
    return _batch(rows, DOCUMENTS_SCHEMA)


def _batch(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def column_of(numbers: NDArray[Any]) -> "pa.Array[Any]":
    """Numbers (n,), one behind the other, as a column that shares their memory."""
    return pa.Array.from_buffers(_TYPES[numbers.dtype], len(numbers), [None, pa.py_buffer(numbers.data)])


def text_column(ends: NDArray[np.int32], text: NDArray[np.uint8]) -> "pa.StringArray":
    """Texts (n,) as a column that shares their memory; text i is text[ends[i] : ends[i + 1]], UTF-8."""
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends.data), pa.py_buffer(text.data))


def int64_column(batch: pa.RecordBatch, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A column as int64 (n,); the batch's own memory where its type allows."""
    return numbers_of(batch.column(name), np.int64)


def numbers_of(column: "pa.Array[Any]", kind: type[_T]) -> np.ndarray[tuple[int], np.dtype[_T]]:
    """A column without nulls as numbers of that kind (n,), the column's own memory where it has them."""
    numbers: np.ndarray[tuple[int], np.dtype[Any]] = column.to_numpy(zero_copy_only=False)
    return numbers.astype(kind, copy=False)


def without_patients(batch: pa.RecordBatch, gone: Collection[str]) -> pa.RecordBatch:
    """The rows of all other patients; the batch itself where it has none of these."""
    if not gone:
        return batch
    theirs = [patient for patient in batch.column("patient").unique().to_pylist() if patient in gone]
    if not theirs:
        return batch
    return batch.filter(pc.invert(pc.is_in(batch.column("patient"), pa.array(theirs, pa.utf8()))))
