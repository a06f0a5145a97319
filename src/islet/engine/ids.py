"""A persistent index of ids: text to dense number, learnt as ids are seen, a whole Arrow column at a time.

A hash table in flat arrays (open addressing, linear probing, at most half full), read eight bytes at a time. A hit
compares the text, not only the hash, so the index is exact.
"""

from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.kernel import kernel, prefetch

_SLOT: Final = np.dtype([("hash", np.uint64), ("start", np.int64), ("length", np.int32), ("number", np.int32)])
_FREE: Final = -1
_WORD: Final = 8
_AHEAD: Final = 32
_T = TypeVar("_T", bound=np.generic)

# The finishing steps of MurmurHash3 (public domain), applied to each word of eight bytes.
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT: Final = np.uint64(33)
_BITS_OF_BYTES: Final = np.array([(1 << (8 * n)) - 1 for n in range(_WORD + 1)], np.uint64)


class Ids:
    """Ids in the order in which they were first seen; number 0 is the first one."""

    def __init__(self) -> None:
        self._count = 0
        self._slots = _free_slots(1024)
        self._ends = np.zeros(513, np.int64)
        self._text = np.zeros(8192, np.uint8)
        self._hashes = np.zeros(512, np.uint64)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> str:
        """The id with that number."""
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._text[self._ends[number] : self._ends[number + 1]].tobytes().decode()

    def texts(self, numbers: NDArray[np.int64]) -> list[str]:
        """The ids (n,) with these numbers."""
        ends, text = (pa.py_buffer(column.data) for column in self.columns())
        known = pa.LargeStringArray.from_buffers(len(self), ends, text)
        found: list[str] = known.take(numbers).to_numpy(zero_copy_only=False).tolist()
        return found

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """A hash (at least n,) of each id that depends on nothing but the id: an order that everybody agrees on."""
        return self._hashes

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """All ids in the order of their numbers: where each begins and the last ends (n + 1,), and the UTF-8 text."""
        ends = self._ends[: self._count + 1]
        return ends, self._text[: ends[-1]]

    def numbers(self, ids: "pa.Array[Any]") -> NDArray[np.int64]:
        """The number (n,) of each id in an Arrow text column without nulls; ids not seen before get new ones."""
        column = ids if ids.type == pa.string() else ids.cast(pa.string())
        _, ends_buffer, text_buffer = column.buffers()
        if len(column) == 0:
            return np.empty(0, np.int64)
        if ends_buffer is None or column.null_count:
            raise ValueError("ids: expected a text column without nulls")
        ends = np.frombuffer(memoryview(ends_buffer), np.int32)[column.offset : column.offset + len(column) + 1]
        text = np.frombuffer(memoryview(text_buffer or b""), np.uint8)
        return self.numbers_of_text(ends.astype(np.int64) - ends[0], text[ends[0] : ends[-1] + _WORD])

    def numbers_of_text(self, ends: NDArray[np.int64], text: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number (n,) of each id; id i is text[ends[i] : ends[i + 1]]."""
        found = np.empty(len(ends) - 1, np.int64)
        if len(text) < ends[-1] + _WORD:  # the kernel reads whole words
            text = np.concatenate([text[: ends[-1]], np.zeros(_WORD, np.uint8)])
        text = text.view()
        text.flags.writeable = False  # one type for the kernel, whatever memory it came from
        self._make_room(len(found), int(ends[-1] - ends[0]))
        state = (self._slots, self._ends, self._text, _words(self._text), self._hashes)
        self._count = _look_up(*state, self._count, ends, text, _words(text), _BITS_OF_BYTES, found)
        return found

    def _make_room(self, more_ids: int, more_bytes: int) -> None:
        """Room for that many new ids, so that the kernel never has to grow anything."""
        need = self._count + more_ids
        if need > len(self._hashes):
            size = max(need, 2 * len(self._hashes))
            self._hashes = _grown(self._hashes, size)
            self._ends = _grown(self._ends, size + 1)
        need_bytes = int(self._ends[self._count]) + more_bytes + _WORD
        if need_bytes > len(self._text):
            self._text = _grown(self._text, max(need_bytes, 2 * len(self._text)))
        if 2 * need > len(self._slots):
            self._slots = _free_slots(1 << (4 * need - 1).bit_length())
            _fill(self._slots, self._ends, self._hashes, self._count)


def _words(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The same memory as words of eight bytes, one beginning at each byte (unaligned and overlapping)."""
    return np.ndarray((len(text) - _WORD + 1,), "<u8", text.data, strides=(1,))


def _grown(array: NDArray[_T], size: int) -> NDArray[_T]:
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


def _free_slots(size: int) -> NDArray[np.void]:
    slots = np.zeros(size, _SLOT)
    slots["number"] = _FREE
    return slots


@kernel
def _fill(slots: NDArray[np.void], ends: NDArray[np.int64], hashes: NDArray[np.uint64], count: int) -> None:
    """Put ids that are known already into an empty table."""
    for number in range(count):
        at = np.int64(hashes[number] & np.uint64(len(slots) - 1))
        while slots[at].number != _FREE:
            at = (at + 1) & (len(slots) - 1)
        slots[at].hash = hashes[number]
        slots[at].start = ends[number]
        slots[at].length = ends[number + 1] - ends[number]
        slots[at].number = number


@kernel
def _hash(words: NDArray[np.uint64], begin: int, length: int, bits: NDArray[np.uint64]) -> np.uint64:
    value = np.uint64(length) * _MIX_2
    at = begin
    end = begin + length
    while at < end:
        value = (value ^ (words[at] & bits[min(end - at, _WORD)])) * _MIX_1
        value = (value ^ (value >> _SHIFT)) * _MIX_2
        at += _WORD
    return value ^ (value >> _SHIFT)


@kernel
def _same(
    words: NDArray[np.uint64], begin: int, others: NDArray[np.uint64], start: int, length: int, bits: NDArray[np.uint64]
) -> bool:
    k = 0
    while k < length:
        if (words[begin + k] ^ others[start + k]) & bits[min(length - k, _WORD)]:
            return False
        k += _WORD
    return True


@kernel
def _announce(
    slots: NDArray[np.void],
    known_words: NDArray[np.uint64],
    ends: NDArray[np.int64],
    words: NDArray[np.uint64],
    bits: NDArray[np.uint64],
    first: int,
    values: NDArray[np.uint64],
) -> None:
    """Hash the next rows, and have their slots and the text of their ids brought into the cache."""
    count = min(_AHEAD, len(ends) - 1 - first)
    mask = np.uint64(len(slots) - 1)
    for k in range(count):
        begin = ends[first + k]
        values[k] = _hash(words, begin, ends[first + k + 1] - begin, bits)
        prefetch(slots, (np.int64(values[k] & mask),))
    for k in range(count):
        prefetch(known_words, (slots[np.int64(values[k] & mask)].start,))


@kernel
def _look_up(
    slots: NDArray[np.void],
    known_ends: NDArray[np.int64],
    known_text: NDArray[np.uint8],
    known_words: NDArray[np.uint64],
    known_hashes: NDArray[np.uint64],
    count: int,
    ends: NDArray[np.int64],
    text: NDArray[np.uint8],
    words: NDArray[np.uint64],
    bits: NDArray[np.uint64],
    found: NDArray[np.int64],
) -> int:
    """Fill `found`; new ids are added. How many ids there are now."""
    values = np.empty(_AHEAD, np.uint64)
    for row in range(len(found)):
        if row % _AHEAD == 0:
            _announce(slots, known_words, ends, words, bits, row, values)
        begin = ends[row]
        length = ends[row + 1] - begin
        value = values[row % _AHEAD]
        at = np.int64(value & np.uint64(len(slots) - 1))
        while True:
            known = slots[at]
            if known.number == _FREE:
                start = known_ends[count]
                known.hash = value
                known.start = start
                known.length = length
                known.number = count
                known_hashes[count] = value
                known_ends[count + 1] = start + length
                known_text[start : start + length] = text[begin : begin + length]
                found[row] = count
                count += 1
                break
            if (
                known.hash == value
                and known.length == length
                and _same(words, begin, known_words, known.start, length, bits)
            ):
                found[row] = known.number
                break
            at = (at + 1) & (len(slots) - 1)
    return count
