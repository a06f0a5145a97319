"""Readings in the usual form, from JSON to columns without a record in between; every other payload is left alone.

Usual is a part of what `model/codec.py` takes: one object with the fields of a reading, each at most once, in any order
and with any white space; texts without escapes; a value of at most 15 digits without sign and exponent; a time with
`T`, `Z` or an offset, and at most six decimals. What is taken here comes out as the exact way would have it, to the
bit. Anything else, right or wrong, is not judged here.

Python's objects become one MessagePack text (github.com/msgpack/msgpack, spec.md), which machine code can read: a third
of the time of asking each object for its texts.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from islet.decode.usual_json import read_row
from islet.decode.usual_text import WORD, Bytes, Words
from islet.model.batch import READINGS_SCHEMA, column_of, readings_batch, text_column
from islet.model.compiled import kernel, part

Ends = NDArray[np.int32]

_MOST_BYTES: Final = 2**31 - 1  # the ends of texts are int32
_PADDING: Final = bytes(2 * WORD)
_NOTHING: Final = -1
_NO_OTHERS: Final = np.empty(0, np.int64)
_encoder: Final = msgspec.msgpack.Encoder()

# Kinds by their first byte: from the first number up to the second, a length of its own stands in it; from the third
# number on, it says that 1, 2 or 4 bytes with the length follow (arrays and maps have no form of 1 byte).
_PAIR, _ARRIVAL = 0x92, 0x94
_TEXT, _ARRAY, _MAP, _BYTES = (0xA0, 0xC0, 0xD9), (0x90, 0xA0, 0xDB), (0x80, 0x90, 0xDD), (0, 0, 0xC4)


class Columns(NamedTuple):
    """A row for each of n payloads; when it is not `usual`, only its two texts mean something."""

    patient_ends: Ends
    patient: Bytes
    device_ends: Ends
    device: Bytes
    time_us: NDArray[np.int64]
    glucose_tenths: NDArray[np.int32]
    value: NDArray[np.float64]
    unit: NDArray[np.uint8]
    range: NDArray[np.int8]
    method: NDArray[np.uint8]
    usual: NDArray[np.bool_]


def usual_readings(
    arrivals: Sequence[Struct], earliest_us: int, latest_us: int
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """The rows of READINGS_SCHEMA for arrivals in the usual form, in their order; and the indices of the others.

    `arrivals`: Structs written as arrays (device, patient, payload, properties), see `telemetry.Arrival`. A usual
    reading is dated within both bounds, inclusive, and names the arrival's patient or none.
    """
    packed = _packed(arrivals)
    columns = _columns(len(arrivals), len(packed))
    others = _read(packed, _words(packed), earliest_us, latest_us, columns) if len(packed) <= _MOST_BYTES else _NOTHING
    if others == _NOTHING:
        return readings_batch([]), np.arange(len(arrivals))
    batch = _batch(columns)
    if others == 0:
        return batch, _NO_OTHERS
    return batch.filter(pa.array(columns.usual)), np.flatnonzero(~columns.usual)


def _packed(arrivals: Sequence[Struct]) -> Bytes:
    """The arrivals in one text, with some padding behind; no arrivals when a text in them has no UTF-8."""
    try:
        return np.frombuffer(_encoder.encode((list(arrivals), _PADDING)), np.uint8)
    except UnicodeEncodeError:
        return _packed([])


def _columns(count: int, most_bytes: int) -> Columns:
    return Columns(
        patient_ends=np.zeros(count + 1, np.int32),
        patient=np.empty(most_bytes, np.uint8),
        device_ends=np.zeros(count + 1, np.int32),
        device=np.empty(most_bytes, np.uint8),
        time_us=np.empty(count, np.int64),
        glucose_tenths=np.empty(count, np.int32),
        value=np.empty(count, np.float64),
        unit=np.empty(count, np.uint8),
        range=np.empty(count, np.int8),
        method=np.empty(count, np.uint8),
        usual=np.empty(count, np.bool_),
    )


def _batch(columns: Columns) -> pa.RecordBatch:
    patients, devices = _texts(columns.patient_ends, columns.patient), _texts(columns.device_ends, columns.device)
    numbers: list[NDArray[Any]] = [*columns[4:-1]]
    return pa.RecordBatch.from_arrays([patients, devices, *map(column_of, numbers)], schema=READINGS_SCHEMA)


def _texts(ends: Ends, text: Bytes) -> "pa.StringArray":
    """With a word to read behind the last one: kernels that read words need not copy them."""
    return text_column(ends, text[: ends[-1] + WORD].copy())


def _words(text: Bytes) -> Words:
    """The same memory as words of eight bytes, one beginning at each byte (unaligned and overlapping)."""
    return np.ndarray((len(text) - WORD + 1,), "<u8", text.data, strides=(1,))


@kernel
def _read(packed: Bytes, words: Words, earliest_us: int, latest_us: int, columns: Columns) -> int:
    """Fill the columns from packed arrivals, of which so many are not usual. _NOTHING when they are not as many as there
    are rows, or hold something that was not foreseen."""
    count, at = _length(packed, 1, _ARRAY)
    if packed[0] != _PAIR or count != len(columns.usual):
        return _NOTHING
    others = 0
    patient_ends, patients, device_ends, devices, times_us, tenths, values, units, ranges, methods, usual = columns
    for row in range(count):
        if packed[at] != _ARRIVAL:
            return _NOTHING
        device_length, device = _length(packed, at + 1, _TEXT)
        patient_length, patient = _length(packed, device + device_length, _TEXT)
        length, payload = _length(packed, patient + patient_length, _BYTES)
        pairs, at = _length(packed, payload + length, _MAP)
        if device_length < 0 or patient_length < 0 or length < 0 or pairs < 0:
            return _NOTHING
        device_ends[row + 1] = _append(devices, device_ends[row], packed, device, device_length)
        patient_ends[row + 1] = _append(patients, patient_ends[row], packed, patient, patient_length)
        found = read_row(packed, words, payload, payload + length, patient, patient_length, earliest_us, latest_us)
        usual[row] = found.usual
        others += not found.usual
        times_us[row] = found.time_us
        tenths[row] = found.glucose_tenths
        values[row] = found.value
        units[row] = found.unit
        ranges[row] = found.range
        methods[row] = found.method
        for _ in range(2 * pairs):
            length, at = _length(packed, at, _TEXT)
            if length < 0:
                return _NOTHING
            at += length
    for k in range(WORD):
        patients[patient_ends[count] + k] = devices[device_ends[count] + k] = 0
    return others


@part
def _length(packed: Bytes, at: int, kind: tuple[int, int, int]) -> tuple[int, int]:
    """The length of what begins at `at`, and where its content begins; (-1, at) when it is something else."""
    fix, fix_end, wide = kind
    first = int(packed[at])
    if fix <= first < fix_end:
        return first - fix, at + 1
    if not wide <= first <= wide + 2:
        return -1, at
    size = 1 << (first - wide)
    length = 0
    for k in range(size):
        length = length << 8 | int(packed[at + 1 + k])
    return length, at + 1 + size


@part
def _append(into: Bytes, end: int, packed: Bytes, begin: int, length: int) -> int:
    """Copy a text behind the others; where it ends."""
    for k in range(length):
        into[end + k] = packed[begin + k]
    return end + length
