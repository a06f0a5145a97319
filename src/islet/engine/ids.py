"""A persistent index of ids: text to dense number, learnt as ids are seen, a whole Arrow column at a time.

Readings name a patient and a device; the pair of both is looked up at once, which costs half as many misses of the cache.

A hash table in flat arrays (open addressing, linear probing, at most half full), read eight bytes at a time. A hit
compares the text, not only the hash, so the index is exact.
"""

from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.kernel import kernel, part, prefetch

_SLOT: Final = np.dtype(
    [
        ("hash", np.uint64),
        ("start", np.int64),
        ("length", np.int32),
        ("beside", np.int32),  # length of the second text of a pair
        ("number", np.int64),
    ]
)
_FREE: Final = -1
_WORD: Final = 8
_AHEAD: Final = 32
_T = TypeVar("_T", bound=np.generic)

# The finishing steps of MurmurHash3 (public domain), applied to each word of eight bytes.
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT: Final = np.uint64(33)
_NO_TEXT: Final = np.zeros(2 * _WORD, np.uint8)
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

    def numbers(self, ids: "pa.Array[Any]", beside: "pa.Array[Any] | None" = None) -> NDArray[np.int64]:
        """The number (n,) of each id in an Arrow text column without nulls; ids not seen before get new ones.

        With a second column `beside`, an id is the pair of both texts.
        """
        ends, text = _column(ids)
        if beside is None:
            return self._look_up(ends, text, np.zeros(len(ends), np.int32), _NO_TEXT)
        return self._look_up(ends, text, *_column(beside))

    def numbers_of_text(self, ends: NDArray[np.int64], text: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number (n,) of each id; id i is text[ends[i] : ends[i + 1]]."""
        return self._look_up(ends.astype(np.int32), text, np.zeros(len(ends), np.int32), _NO_TEXT)

    def _look_up(
        self,
        ends: NDArray[np.int32],
        text: NDArray[np.uint8],
        beside_ends: NDArray[np.int32],
        beside_text: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        found = np.empty(len(ends) - 1, np.int64)
        smaller = self._make_room(len(found), int(ends[-1]) - int(ends[0]) + int(beside_ends[-1]) - int(beside_ends[0]))
        known = (smaller, self._slots, self._ends, _words(self._text), self._hashes, self._count)
        columns = (*_readable(ends, text), *_readable(beside_ends, beside_text))
        self._count = _look_up(*known, *columns, _BITS_OF_BYTES, found)
        return found

    def _make_room(self, more_ids: int, more_bytes: int) -> NDArray[np.void]:
        """Room for that many new ids, so that the kernel never has to grow anything; the slots that have to move."""
        need = self._count + more_ids
        if need > len(self._hashes):
            size = max(need, 2 * len(self._hashes))
            self._hashes = _grown(self._hashes, size)
            self._ends = _grown(self._ends, size + 1)
        need_bytes = int(self._ends[self._count]) + more_bytes + 2 * _WORD
        if need_bytes > len(self._text):
            self._text = _grown(self._text, max(need_bytes, 2 * len(self._text)))
        if 2 * need <= len(self._slots):
            return self._slots[:0]
        smaller, self._slots = self._slots, _free_slots(1 << (4 * need - 1).bit_length())
        return smaller


class Pairs:
    """The numbers of patients and devices that occur together, by one look-up for both."""

    def __init__(self, patients: Ids, devices: Ids) -> None:
        self._patients, self._devices = patients, devices
        self._pairs = Ids()
        self._patient_of = np.empty(0, np.int64)
        self._device_of = np.empty(0, np.int64)

    def numbers(
        self, patients: "pa.Array[Any]", devices: "pa.Array[Any]"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number (n,) of each patient and of each device; those not seen before get new ones."""
        known = len(self._pairs)
        pairs = self._pairs.numbers(patients, devices)
        if len(self._pairs) > known:
            new = np.flatnonzero(pairs >= known)
            rows = new[np.unique(pairs[new], return_index=True)[1]]
            self._patient_of = np.concatenate([self._patient_of, self._patients.numbers(patients.take(rows))])
            self._device_of = np.concatenate([self._device_of, self._devices.numbers(devices.take(rows))])
        return self._patient_of[pairs], self._device_of[pairs]


def _column(ids: "pa.Array[Any]") -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Where the texts (n,) of a column begin and the last one ends (n + 1,), and the bytes."""
    column = ids if ids.type == pa.string() else ids.cast(pa.string())
    if len(column) == 0:
        return np.zeros(1, np.int32), _NO_TEXT
    _, ends, text = column.buffers()
    if ends is None or column.null_count:
        raise ValueError("ids: expected a text column without nulls")
    return (
        np.frombuffer(memoryview(ends), np.int32)[column.offset : column.offset + len(column) + 1],
        np.frombuffer(memoryview(text or b""), np.uint8),
    )


def _readable(ends: NDArray[np.int32], text: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """The same texts, with a word to read behind the last one; one type, whatever memory they came from."""
    if len(text) < int(ends[-1]) + _WORD:
        text = np.concatenate([text[ends[0] : ends[-1]], _NO_TEXT])
        ends = ends - ends[0]
    ends, text = ends.view(), text.view()
    ends.flags.writeable = text.flags.writeable = False
    return ends, _words(text)


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


@part
def _move(smaller: NDArray[np.void], slots: NDArray[np.void]) -> None:
    """Put what is in a smaller table into an empty one."""
    for k in range(len(smaller)):
        if smaller[k].number != _FREE:
            at = np.int64(smaller[k].hash & np.uint64(len(slots) - 1))
            while slots[at].number != _FREE:
                at = (at + 1) & (len(slots) - 1)
            slots[at] = smaller[k]


@part
def _hash(words: NDArray[np.uint64], begin: int, length: int, bits: NDArray[np.uint64]) -> np.uint64:
    value = np.uint64(length) * _MIX_2
    at = begin
    end = begin + length
    while at < end:
        value = (value ^ (words[at] & bits[min(end - at, _WORD)])) * _MIX_1
        value = (value ^ (value >> _SHIFT)) * _MIX_2
        at += _WORD
    return value ^ (value >> _SHIFT)


@part
def _same(
    words: NDArray[np.uint64], begin: int, others: NDArray[np.uint64], start: int, length: int, bits: NDArray[np.uint64]
) -> bool:
    k = 0
    while k < length:
        if (words[begin + k] ^ others[start + k]) & bits[min(length - k, _WORD)]:
            return False
        k += _WORD
    return True


@part
def _add(slots: NDArray[np.void], at: int, value: np.uint64, start: int, length: int, beside: int, number: int) -> None:
    known = slots[at]
    known.hash = value
    known.start = start
    known.length = length
    known.beside = beside
    known.number = number


@part
def _copy(words: NDArray[np.uint64], begin: int, into: NDArray[np.uint64], start: int, length: int) -> None:
    """Whole words: what is written behind the text is overwritten by the next one."""
    k = 0
    while k < length:
        into[start + k] = words[begin + k]
        k += _WORD


@part
def _announce(
    slots: NDArray[np.void],
    known_words: NDArray[np.uint64],
    ends: NDArray[np.int32],
    words: NDArray[np.uint64],
    beside_ends: NDArray[np.int32],
    beside_words: NDArray[np.uint64],
    bits: NDArray[np.uint64],
    first: int,
    values: NDArray[np.uint64],
) -> None:
    """Hash the next rows, and have their slots and the text of their ids brought into the cache."""
    count = min(_AHEAD, len(ends) - 1 - first)
    mask = np.uint64(len(slots) - 1)
    for k in range(count):
        begin, end = ends[first + k], ends[first + k + 1]
        value = _hash(words, begin, end - begin, bits)
        begin, end = beside_ends[first + k], beside_ends[first + k + 1]
        if end > begin:
            value = (value ^ _hash(beside_words, begin, end - begin, bits)) * _MIX_1
            value ^= value >> _SHIFT
        values[k] = value
        prefetch(slots, (np.int64(value & mask),))
    for k in range(count):
        prefetch(known_words, (slots[np.int64(values[k] & mask)].start,))


@kernel
def _look_up(
    smaller: NDArray[np.void],
    slots: NDArray[np.void],
    known_ends: NDArray[np.int64],
    known_words: NDArray[np.uint64],
    known_hashes: NDArray[np.uint64],
    count: int,
    ends: NDArray[np.int32],
    words: NDArray[np.uint64],
    beside_ends: NDArray[np.int32],
    beside_words: NDArray[np.uint64],
    bits: NDArray[np.uint64],
    found: NDArray[np.int64],
) -> int:
    """Fill `found`; new ids are added. How many ids there are now."""
    _move(smaller, slots)
    values = np.empty(_AHEAD, np.uint64)
    for row in range(len(found)):
        if row % _AHEAD == 0:
            _announce(slots, known_words, ends, words, beside_ends, beside_words, bits, row, values)
        begin = int(np.int64(ends[row]))
        length = int(ends[row + 1] - begin)
        beside_begin = int(np.int64(beside_ends[row]))
        beside = int(beside_ends[row + 1] - beside_begin)
        value = values[row % _AHEAD]
        at = np.int64(value & np.uint64(len(slots) - 1))
        while True:
            known = slots[at]
            if known.number == _FREE:
                start = int(known_ends[count])
                _add(slots, int(at), value, start, length, beside, count)
                _copy(words, begin, known_words, start, length)
                _copy(beside_words, beside_begin, known_words, start + length, beside)
                known_hashes[count] = value
                known_ends[count + 1] = start + length + beside
                found[row] = count
                count += 1
                break
            if (
                known.hash == value
                and known.length == length
                and known.beside == beside
                and _same(words, begin, known_words, known.start, length, bits)
                and _same(beside_words, beside_begin, known_words, known.start + length, beside, bits)
            ):
                found[row] = known.number
                break
            at = (at + 1) & (len(slots) - 1)
    return count
