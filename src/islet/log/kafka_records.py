"""Rows of the log as Kafka records and back: one JSON object a row, which every Kafka client can read.

A value has all columns of its row by name, units and codes as words, and `received_at_us`; a document's `body` is
nested as the JSON it is. Nothing is in headers, so that Spark and Flink need no more than the value. The key is the
patient. Batching and compression are the client's: a row of a reading takes about 30 bytes on the broker.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from islet.log.partitioning import Piece
from islet.model.batch import (
    DOCUMENTS_SCHEMA,
    METHOD_CODES,
    RANGE_CODES,
    READINGS_SCHEMA,
    RECEIVED,
    UNIT_CODES,
)
from islet.model.events import Method
from islet.model.foreign_json import UNREADABLE
from islet.model.topics import Topic


class Record(NamedTuple):
    """What is sent: to which topic by its name there, which partition, with which instant."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    timestamp_ms: int


class ReadingValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The JSON object of a reading."""

    patient: str
    device: str
    time_us: int
    glucose_tenths: int
    value: float
    unit: Literal["mg/dL", "mmol/L"]
    range: Literal["below", "within", "above"]
    method: Method
    received_at_us: int


class DocumentValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The JSON object of everything else."""

    patient: str
    device: str
    time_us: int
    type: str
    received_at_us: int
    body: msgspec.Raw


_encoder: Final = msgspec.json.Encoder()
_readings: Final = msgspec.json.Decoder(list[ReadingValue])
_documents: Final = msgspec.json.Decoder(list[DocumentValue])
_body: Final = msgspec.json.Decoder(Any)
_UNITS: Final = {name: code for code, name in enumerate(UNIT_CODES)}
_METHODS: Final = {name: code for code, name in enumerate(METHOD_CODES)}
_RANGES: Final[dict[int, Any]] = {code: name for name, code in RANGE_CODES.items()}


def records_of(piece: Piece, topic: str) -> list[Record]:
    """A record for each row. Raises ValueError for a document whose body is no JSON."""
    timestamp_ms = piece.received_at_us // 1000
    rows = zip(*(column.to_pylist() for column in piece.batch.columns), strict=True)
    value = _reading_value if piece.topic is Topic.GLUCOSE_READINGS else _document_value
    return [Record(topic, piece.partition, row[0].encode(), value(row, piece.received_at_us), timestamp_ms)
            for row in rows]  # fmt: skip


def _reading_value(row: tuple[Any, ...], received_at_us: int) -> bytes:
    patient, device, time_us, tenths, value, unit, range, method = row
    return _encoder.encode(
        ReadingValue(
            patient=patient,
            device=device,
            time_us=time_us,
            glucose_tenths=tenths,
            value=value,
            unit=UNIT_CODES[unit],
            range=_RANGES[range],
            method=METHOD_CODES[method],
            received_at_us=received_at_us,
        )
    )


def _document_value(row: tuple[Any, ...], received_at_us: int) -> bytes:
    patient, device, time_us, type, body = row
    try:
        _body.decode(body)
    except UNREADABLE:
        raise ValueError("append of a document: expected a body in JSON; got something else") from None
    return _encoder.encode(
        DocumentValue(
            patient=patient,
            device=device,
            time_us=time_us,
            type=type,
            received_at_us=received_at_us,
            body=msgspec.Raw(body.encode()),
        )
    )


def batch_of(topic: Topic, values: Sequence[bytes]) -> pa.RecordBatch:
    """The rows (n,) that the values hold: the topic's columns and `received_at_us`. Raises ValueError."""
    text = b"[" + b",".join(values) + b"]"
    try:
        if topic is Topic.GLUCOSE_READINGS:
            return _readings_batch(_readings.decode(text))
        return _documents_batch(_documents.decode(text))
    except msgspec.MsgspecError:
        raise ValueError("a record is not a row of this topic in JSON") from None


def _readings_batch(rows: list[ReadingValue]) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = [
        pa.array([row.patient for row in rows], pa.utf8()),
        pa.array([row.device for row in rows], pa.utf8()),
        pa.array(np.array([row.time_us for row in rows], np.int64)),
        pa.array(np.array([row.glucose_tenths for row in rows], np.int32)),
        pa.array(np.array([row.value for row in rows], np.float64)),
        pa.array(np.array([_UNITS[row.unit] for row in rows], np.uint8)),
        pa.array(np.array([RANGE_CODES[row.range] for row in rows], np.int8)),
        pa.array(np.array([_METHODS[row.method] for row in rows], np.uint8)),
        pa.array(np.array([row.received_at_us for row in rows], np.int64)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=READINGS_SCHEMA.append(RECEIVED))


def _documents_batch(rows: list[DocumentValue]) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = [
        pa.array([row.patient for row in rows], pa.utf8()),
        pa.array([row.device for row in rows], pa.utf8()),
        pa.array([row.time_us for row in rows], pa.int64()),
        pa.array([row.type for row in rows], pa.utf8()),
        pa.array([bytes(row.body) for row in rows], pa.binary()).cast(pa.utf8()),
        pa.array([row.received_at_us for row in rows], pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DOCUMENTS_SCHEMA.append(RECEIVED))
