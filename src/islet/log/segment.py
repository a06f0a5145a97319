"""How the rows of a segment are stored: `plain` or `small` as they were committed, `sorted` when many were made one.

Plain is an Arrow record batch in zstd, small the same in LZ4: until it is compacted it is larger by a fifth to a half,
but making ready zstd's tables takes three to ten times as long as compressing up to a thousand rows. Its schema follows from the topic, its `received_at_us` stands beside it.
Sorted is Parquet in the order patient, device, time, where neighbours are alike. What can be computed costs nothing:
  * the offset is stored as its distance from the rank by time (mostly near 0, as readings arrive in order of time),
  * glucose as the change to the row before,
  * the value as sent only where it is not what `glucose_tenths` and `unit` give.
"""

import io
import struct
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from islet.model.batch import int64_column, schema_of
from islet.model.topics import Topic
from islet.model.units import MG_DL_PER_MMOL_L

Int64s = NDArray[np.int64]


class Format(IntEnum):
    """The number stored beside a segment's blob; a new layout gets a new number."""

    PLAIN = 1
    SORTED = 2
    SMALL = 3


class Rows(NamedTuple):
    """Consecutive entries: the topic's columns (n rows), and when each was received (n,)."""

    batch: pa.RecordBatch
    received_at_us: Int64s


_CODECS: Final = {Format.PLAIN: pa.Codec("zstd", 1), Format.SMALL: pa.Codec("lz4_raw")}
_SMALL_BYTES: Final = 32 * 1024
_RAW_SIZE: Final = struct.Struct("<I")
_FORWARD: Final = ("time_us", "late")
_NAMES: Final = ("patient", "device", "type")
_CODED: Final = (*_NAMES, "unit", "range", "method")


def encode(batch: pa.RecordBatch) -> tuple[Format, bytes]:
    """The blob of one commit's rows, and its format."""
    raw = batch.serialize()
    format = Format.SMALL if raw.size <= _SMALL_BYTES else Format.PLAIN
    return format, _RAW_SIZE.pack(raw.size) + _CODECS[format].compress(raw, asbytes=True)


def encode_sorted(rows: Rows) -> bytes:
    """The blob of many rows (n >= 1), sorted; an n log n step."""
    batch, received_at_us = rows
    times = int64_column(batch, "time_us")
    order = np.lexsort((times, _codes(batch, "device"), _codes(batch, "patient")))
    columns: dict[str, Any] = dict(zip(batch.schema.names, batch.take(order).columns, strict=True))
    columns["late"] = order - _rank(times[order])
    # In order of offset, not of the rows beside it: then it is a few steps and long runs of 0.
    columns["received_change"] = np.diff(received_at_us, prepend=0)
    if "glucose_tenths" in columns:
        _leave_out_what_follows(columns)
    table = pa.table(columns)
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in columns if name in _CODED],  # type: ignore[arg-type]  # the stubs say bool
        column_encoding=dict.fromkeys(_FORWARD, "DELTA_BINARY_PACKED"),
        row_group_size=table.num_rows,
        write_statistics=False,
        store_schema=False,
    )
    return file.getvalue()


def decode(topic: Topic, format: int, blob: bytes, received_at_us: int, rows: int) -> Rows:
    """The rows of a blob, in order of offset. Raises ValueError when it does not decode to as many rows."""
    try:
        if format == Format.SORTED:
            found = _decode_sorted(topic, blob)
        else:
            found = _decode_committed(topic, Format(format), blob, received_at_us)
    except (pa.ArrowException, OSError, LookupError, struct.error) as error:
        raise ValueError("the bytes do not decode") from error
    if found.batch.num_rows != rows:
        raise ValueError(f"expected {rows} rows; got {found.batch.num_rows}")
    return found


def _decode_committed(topic: Topic, format: Format, blob: bytes, received_at_us: int) -> Rows:
    (size,) = _RAW_SIZE.unpack_from(blob)
    raw = _CODECS[format].decompress(memoryview(blob)[_RAW_SIZE.size :], size)
    batch = pa.ipc.read_record_batch(raw, schema_of(topic))
    return Rows(batch, np.full(batch.num_rows, received_at_us, np.int64))


def _decode_sorted(topic: Topic, blob: bytes) -> Rows:
    names: list[str] = [name for name in _NAMES if name in schema_of(topic).names]
    table = pq.read_table(pa.BufferReader(blob), read_dictionary=names, use_threads=False).combine_chunks()
    columns: dict[str, Any] = {name: table.column(name).chunk(0) for name in table.column_names}
    received_at_us = np.cumsum(columns.pop("received_change").to_numpy())
    offsets = _rank(columns["time_us"].to_numpy()) + columns.pop("late").to_numpy()
    if "glucose_tenths" in columns:
        _compute_what_follows(columns)
    row_of_offset = np.empty(len(offsets), np.int64)
    row_of_offset[offsets] = np.arange(len(offsets))
    arrays = [columns[field.name].take(row_of_offset).cast(field.type) for field in schema_of(topic)]
    return Rows(pa.RecordBatch.from_arrays(arrays, schema=schema_of(topic)), received_at_us)


def _leave_out_what_follows(columns: dict[str, Any]) -> None:
    tenths = columns["glucose_tenths"].to_numpy()
    value = columns["value"].to_numpy()
    same = value.view(np.int64) == _value_as_sent(tenths, columns["unit"].to_numpy()).view(np.int64)
    columns["value"] = pa.array(value, mask=same)
    columns["glucose_tenths"] = np.diff(tenths, prepend=np.int32(0)).astype(np.int32)


def _compute_what_follows(columns: dict[str, Any]) -> None:
    tenths = np.cumsum(columns["glucose_tenths"].to_numpy(), dtype=np.int32)
    sent = columns["value"]
    follows = _value_as_sent(tenths, columns["unit"].to_numpy())
    missing = sent.is_null().to_numpy(zero_copy_only=False)
    columns["glucose_tenths"] = pa.array(tenths)
    columns["value"] = pa.array(np.where(missing, follows, sent.to_numpy(zero_copy_only=False)))


def _value_as_sent(tenths: NDArray[np.int32], unit: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The value (n,) that a device most likely sent: mg/dL with one decimal, mmol/L with one decimal."""
    mg_dl = tenths / 10.0
    value: NDArray[np.float64] = np.where(unit == 0, mg_dl, np.rint(mg_dl * 10.0 / MG_DL_PER_MMOL_L) / 10.0)
    return value


def _codes(batch: pa.RecordBatch, name: str) -> NDArray[np.int32]:
    codes: NDArray[np.int32] = batch.column(name).dictionary_encode().indices.to_numpy()
    return codes


def _rank(times: Int64s) -> Int64s:
    """Per row (n,), its place when all are ordered by time; equals keep their order."""
    rank = np.empty(len(times), np.int64)
    rank[np.argsort(times, kind="stable")] = np.arange(len(times))
    return rank
