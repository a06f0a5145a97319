"""A persistent index of ids: text to dense number, learnt as ids are seen, a whole Arrow column at a time.

Readings name a patient and a device. A device is hardly ever another than the patient's last one, so that one is
compared first, and the index of devices is asked only when it is not the same.

A hash table in flat arrays (open addressing, linear probing), the text read eight bytes at a time.
A hit compares the text, not only the hash, so the index is exact.
"""

from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, kernel, part, prefetch

_WORD: Final = 8
_AHEAD: Final = 128
_AT_ONCE: Final = 65_536
"""Rows of a look-up: there is room for as many new ids, which is not worth more memory than that."""
_FIRST_SLOTS: Final = 1_024
_FULLEST: Final = 5 / 8
"""Of the slots; more would make the probing long."""
_T = TypeVar("_T", bound=np.generic)

# The finishing steps of MurmurHash3 (public domain), applied to each word of eight bytes.
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT: Final = np.uint64(33)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_NUMBER: Final = np.uint64(0xFFFFFFFF)
_NO_TEXT: Final = np.zeros(2 * _WORD, np.uint8)
_BITS_OF_BYTES: Final = np.array([(1 << (8 * n)) - 1 for n in range(_WORD + 1)], np.uint64)


class Table(NamedTuple):
    """What a kernel sees of an index. `slots`: the upper half of the hash, then the number + 1; 0 is free. `ends`
    (n + 1,): where the text of each id begins and the last one ends; `hashes` (n,)."""

    slots: NDArray[np.uint64]
    ends: NDArray[np.int64]
    words: NDArray[np.uint64]
    hashes: NDArray[np.uint64]


class Texts(NamedTuple):
    """A column of texts (n,): where each begins and the last one ends (n + 1,), and the bytes as words."""

    ends: NDArray[np.int32]
    words: NDArray[np.uint64]


class Ids:
    """Ids in the order in which they were first seen; number 0 is the first one."""

    def __init__(self) -> None:
        self._count = 0
        self._slots = np.zeros(_FIRST_SLOTS, np.uint64)
        self._ends = np.zeros(_FIRST_SLOTS // 2 + 1, np.int64)
        self._text = np.zeros(_WORD * _FIRST_SLOTS, np.uint8)
        self._hashes = np.zeros(_FIRST_SLOTS // 2, np.uint64)

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

    @property
    def nbytes(self) -> int:
        """Memory that is used."""
        return 16 * self._count + int(self._ends[self._count]) + self._slots.nbytes

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """All ids in the order of their numbers: where each begins and the last ends (n + 1,), and the UTF-8 text."""
        ends = self._ends[: self._count + 1]
        return ends, self._text[: ends[-1]]

    def numbers(self, ids: "pa.Array[Any]") -> NDArray[np.int64]:
        """The number (n,) of each id in an Arrow text column without nulls; ids not seen before get new ones."""
        found = np.empty(len(ids), np.int64)
        for start in range(0, len(ids), _AT_ONCE):
            self._look_up(texts_of(ids.slice(start, _AT_ONCE)), found[start : start + _AT_ONCE])
        return found

    def numbers_of_text(self, ends: NDArray[np.int64], text: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number (n,) of each id; id i is text[ends[i] : ends[i + 1]]."""
        found = np.empty(len(ends) - 1, np.int64)
        self._look_up(_readable(ends.astype(np.int32), text), found)
        return found

    def table(self, more_ids: int, more_bytes: int) -> Table:
        """The index with room for that many new ids, so that a kernel never has to grow anything."""
        need = self._count + more_ids
        if need > len(self._hashes):
            size = max(need, len(self._hashes) + len(self._hashes) // 2)
            self._hashes = _grown(self._hashes, size)
            self._ends = _grown(self._ends, size + 1)
        need_bytes = int(self._ends[self._count]) + more_bytes + 2 * _WORD
        if need_bytes > len(self._text):
            self._text = _grown(self._text, max(need_bytes, len(self._text) + len(self._text) // 2))
        if need > len(self._slots) * _FULLEST:
            self._slots = np.zeros(1 << int(need / _FULLEST).bit_length(), np.uint64)
            _place(self._slots, self._hashes, self._count)
        return Table(self._slots, self._ends, _words(self._text), self._hashes)

    def _look_up(self, texts: Texts, found: NDArray[np.int64]) -> None:
        table = self.table(len(found), int(texts.ends[-1]) - int(texts.ends[0]))
        self._count = int(_look_up(table, self._count, texts, _BITS_OF_BYTES, found))


class Pairs:
    """The numbers of patients and devices that occur together."""

    def __init__(self, patients: Ids, devices: Ids) -> None:
        self._patients, self._devices = patients, devices
        self._usual = np.empty(0, np.int32)  # the last device of each patient, -1: none

    @property
    def nbytes(self) -> int:
        """Memory that is used."""
        return 4 * len(self._patients)

    def numbers(
        self, patients: "pa.Array[Any]", devices: "pa.Array[Any]"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number (n,) of each patient and of each device; those not seen before get new ones."""
        found = np.empty((2, len(patients)), np.int64)
        for start in range(0, len(patients), _AT_ONCE):
            some = slice(start, min(start + _AT_ONCE, len(patients)))
            self._look_up(
                texts_of(patients.slice(start, _AT_ONCE)), texts_of(devices.slice(start, _AT_ONCE)),
                found[0, some], found[1, some],
            )  # fmt: skip
        return found[0], found[1]

    def _look_up(
        self, patients: Texts, devices: Texts, patients_found: NDArray[np.int64], devices_found: NDArray[np.int64]
    ) -> None:
        count = len(patients_found)
        known_patients = self._patients.table(count, int(patients.ends[-1]) - int(patients.ends[0]))
        known_devices = self._devices.table(count, int(devices.ends[-1]) - int(devices.ends[0]))
        room = len(self._patients) + count
        if room > len(self._usual):
            known = self._usual
            self._usual = np.full(max(room, len(known) + len(known) // 2), -1, np.int32)
            self._usual[: len(known)] = known
        counts = len(self._patients), len(self._devices)
        n_patients, n_devices = _look_up_pairs(
            known_patients, known_devices, *counts, self._usual, patients, devices, _BITS_OF_BYTES,
            patients_found, devices_found,
        )  # fmt: skip
        self._patients._count, self._devices._count = int(n_patients), int(n_devices)


def texts_of(ids: "pa.Array[Any]") -> Texts:
    """A column of texts without nulls as kernels read it."""
    column = ids if ids.type == pa.string() else ids.cast(pa.string())
    if len(column) == 0:
        return _readable(np.zeros(1, np.int32), _NO_TEXT)
    _, ends, text = column.buffers()
    if ends is None or column.null_count:
        raise ValueError("ids: expected a text column without nulls")
    return _readable(
        np.frombuffer(memoryview(ends), np.int32)[column.offset : column.offset + len(column) + 1],
        np.frombuffer(memoryview(text or b""), np.uint8),
    )


def _readable(ends: NDArray[np.int32], text: NDArray[np.uint8]) -> Texts:
    """The texts with a word to read behind the last one; one type, whatever memory they came from."""
    if len(text) < int(ends[-1]) + _WORD:
        text = np.concatenate([text[ends[0] : ends[-1]], _NO_TEXT])
        ends = ends - ends[0]
    ends, text = ends.view(), text.view()
    ends.flags.writeable = text.flags.writeable = False
    return Texts(ends, _words(text))


def _words(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The same memory as words of eight bytes, one beginning at each byte (unaligned and overlapping)."""
    return np.ndarray((len(text) - _WORD + 1,), "<u8", text.data, strides=(1,))


def _grown(array: NDArray[_T], size: int) -> NDArray[_T]:
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


@inlined
def _put(slots: NDArray[np.uint64], at: Int, value: np.uint64, number: Int) -> None:
    slots[at] = (value >> _HALF) << _HALF | np.uint64(number + 1)


@kernel
def _place(slots: NDArray[np.uint64], hashes: NDArray[np.uint64], count: Int) -> None:
    """Put all numbers into an empty table."""
    for number in range(count):
        at = np.int64(hashes[number] & np.uint64(len(slots) - 1))
        while slots[at]:
            at = (at + 1) & (len(slots) - 1)
        _put(slots, at, hashes[number], number)


@inlined
def _hash(words: NDArray[np.uint64], begin: Int, length: Int, bits: NDArray[np.uint64]) -> np.uint64:
    value = np.uint64(length) * _MIX_2
    at = begin
    end = begin + length
    while at < end:
        value = (value ^ (words[np.uint64(at)] & bits[np.uint64(min(end - at, _WORD))])) * _MIX_1
        value = (value ^ (value >> _SHIFT)) * _MIX_2
        at += _WORD
    return value ^ (value >> _SHIFT)


@inlined
def _same(
    words: NDArray[np.uint64], begin: Int, others: NDArray[np.uint64], start: Int, length: Int, bits: NDArray[np.uint64]
) -> bool:
    k = 0
    while k < length:
        differs = words[np.uint64(begin + k)] ^ others[np.uint64(start + k)]
        if differs & bits[np.uint64(min(length - k, _WORD))]:
            return False
        k += _WORD
    return True


@inlined
def _is(table: Table, number: Int, texts: Texts, row: Int, bits: NDArray[np.uint64]) -> bool:
    """Whether the row's text is the id with that number."""
    at, known = np.uint64(row), np.uint64(number)
    begin, start = np.int64(texts.ends[at]), table.ends[known]
    length = np.int64(texts.ends[at + _ONE]) - begin
    return length == table.ends[known + _ONE] - start and _same(texts.words, begin, table.words, start, length, bits)


@inlined
def _candidate(slots: NDArray[np.uint64], value: np.uint64) -> Int:
    """The number of the first id whose half of a hash is this one's; -1 where there is none. To look ahead with."""
    mask = np.uint64(len(slots) - 1)
    at = value & mask
    while slots[at]:
        if slots[at] >> _HALF == value >> _HALF:
            return np.int64(slots[at] & _NUMBER) - 1
        at = (at + _ONE) & mask
    return -1


@part
def _number(table: Table, count: Int, texts: Texts, row: Int, value: np.uint64, bits: NDArray[np.uint64]) -> Int:
    """The number of the row's text; `count`, and it has been added, where it was not known."""
    at = np.int64(value & np.uint64(len(table.slots) - 1))
    while table.slots[at]:
        number = np.int64(table.slots[at] & _NUMBER) - 1
        if table.slots[at] >> _HALF == value >> _HALF and _is(table, number, texts, row, bits):
            return number
        at = (at + 1) & (len(table.slots) - 1)
    _put(table.slots, at, value, count)
    begin, start = np.int64(texts.ends[row]), table.ends[count]
    length = np.int64(texts.ends[row + 1]) - begin
    k = 0
    while k < length:  # whole words: what is written behind the text is overwritten by the next one
        table.words[start + k] = texts.words[begin + k]
        k += _WORD
    table.hashes[count] = value
    table.ends[count + 1] = start + length
    return count


@inlined
def _announce(
    table: Table, texts: Texts, first: Int, last: Int, bits: NDArray[np.uint64], values: NDArray[np.uint64]
) -> None:
    """Hash the next rows, and have their slots brought into the cache."""
    mask = np.uint64(len(table.slots) - 1)
    for row in range(np.uint64(first), np.uint64(last)):
        begin = np.int64(texts.ends[row])
        value = _hash(texts.words, begin, np.int64(texts.ends[row + _ONE]) - begin, bits)
        values[row - np.uint64(first)] = value
        prefetch(table.slots, (np.int64(value & mask),))


@kernel
def _look_up(table: Table, count: Int, texts: Texts, bits: NDArray[np.uint64], found: NDArray[np.int64]) -> Int:
    """Fill `found`; new ids are added. How many ids there are now."""
    values = np.empty(_AHEAD, np.uint64)
    for first in range(0, len(found), _AHEAD):
        last = min(first + _AHEAD, len(found))
        _announce(table, texts, first, last, bits, values)
        for row in range(first, last):
            found[row] = _number(table, count, texts, row, values[row - first], bits)
            count += found[row] == count
    return count


@kernel
def _look_up_pairs(
    patients: Table,
    devices: Table,
    count: Int,
    device_count: Int,
    usual: NDArray[np.int32],
    texts: Texts,
    device_texts: Texts,
    bits: NDArray[np.uint64],
    found: NDArray[np.int64],
    devices_found: NDArray[np.int64],
) -> tuple[Int, Int]:
    """Fill `found` and `devices_found`; new ids are added. How many of each there are now."""
    values = np.empty(_AHEAD, np.uint64)
    likely = np.empty(_AHEAD, np.int64)
    likely_devices = np.empty(_AHEAD, np.int64)
    for first in range(0, len(found), _AHEAD):
        last = min(first + _AHEAD, len(found))
        _announce(patients, texts, first, last, bits, values)
        count_here = np.uint64(last - first)
        for k in range(count_here):
            number = max(_candidate(patients.slots, values[k]), 0)
            likely[k] = number
            prefetch(patients.ends, (number,))
            prefetch(usual, (number,))
        for k in range(count_here):
            likely_devices[k] = max(np.int64(usual[np.uint64(likely[k])]), np.int64(0))
            prefetch(patients.words, (patients.ends[np.uint64(likely[k])],))
            prefetch(devices.ends, (likely_devices[k],))
        for k in range(count_here):
            prefetch(devices.words, (devices.ends[np.uint64(likely_devices[k])],))
        for row in range(first, last):
            at = np.uint64(row)
            number = likely[np.uint64(row - first)]
            if number >= count or not _is(patients, number, texts, row, bits):
                number = _number(patients, count, texts, row, values[row - first], bits)
                count += number == count
            found[at] = number
            device: Int = np.int64(usual[np.uint64(number)])
            if device < 0 or not _is(devices, device, device_texts, row, bits):
                begin = np.int64(device_texts.ends[row])
                value = _hash(device_texts.words, begin, np.int64(device_texts.ends[row + 1]) - begin, bits)
                device = _number(devices, device_count, device_texts, row, value, bits)
                device_count += device == device_count
                usual[number] = device
            devices_found[at] = device
    return count, device_count
