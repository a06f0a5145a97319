"""Which rows of a batch go to which partition, by machine code: a commit of ten rows must cost little, too."""

from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.model.compiled import kernel

_T = TypeVar("_T", bound=np.generic)
_POLYNOMIAL: Final = 0xEDB88320  # CRC-32 of ISO/IEC 3309, reflected: zlib's


def _table() -> NDArray[np.uint32]:
    codes = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        codes = np.where(codes & 1, np.uint32(_POLYNOMIAL) ^ (codes >> np.uint32(1)), codes >> np.uint32(1))
    return codes


_TABLE: Final = _table()


def order_by_partition(names: "pa.Array[Any]", partitions: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For texts (n,), their rows ordered by `model.topics.partition_of`, those of one partition in their order; and how
    many each partition has (partitions,)."""
    _, ends, text = names.buffers()
    order, counts = np.empty(len(names), np.int64), np.zeros(partitions, np.int64)
    if ends is not None and len(names):
        of_names = np.frombuffer(memoryview(ends), np.int32)[names.offset : names.offset + len(names) + 1]
        letters = np.frombuffer(memoryview(text or b""), np.uint8)
        _order(_read_only(of_names), _read_only(letters), _TABLE, np.empty(len(names), np.int64), order, counts)
    return order, counts


def warm_up() -> None:
    """Have the kernel compiled (or read from its cache) before the first commit needs it."""
    order_by_partition(pa.array([""]), 2)


def _read_only(array: NDArray[_T]) -> NDArray[_T]:
    """Whatever memory it came from: a kernel is compiled for each type that it meets."""
    array = array.view()
    array.flags.writeable = False
    return array


@kernel
def _order(
    ends: NDArray[np.int32],
    letters: NDArray[np.uint8],
    table: NDArray[np.uint32],
    partition: NDArray[np.int64],
    order: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    for row in range(len(order)):
        code = np.uint32(0xFFFFFFFF)
        for at in range(ends[row], ends[row + 1]):
            code = table[(code ^ letters[at]) & np.uint32(0xFF)] ^ (code >> np.uint32(8))
        partition[row] = np.int64(code ^ np.uint32(0xFFFFFFFF)) % len(counts)
        counts[partition[row]] += 1
    for number in range(1, len(counts)):  # where the rows of each partition end …
        counts[number] += counts[number - 1]
    for row in range(len(order) - 1, -1, -1):  # … and begin, once all are placed
        counts[partition[row]] -= 1
        order[counts[partition[row]]] = row
    for number in range(len(counts)):
        counts[number] = (counts[number + 1] if number + 1 < len(counts) else len(order)) - counts[number]
