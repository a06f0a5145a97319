"""The kernels of the index of ids: a hash table in flat arrays (open addressing, linear probing).

A text is read eight bytes at a time. A hit compares the text, not only the hash, so the index is exact.

An id is a record of half a cache line, so that a look-up touches two lines: a slot, and the record behind it. Texts of
up to SHORT bytes are in the record itself, longer ones in an array beside. A slot is the number of an id, plus one, and
above it as much of the upper half of the hash as there is room for.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, kernel, part, prefetch, put_word, word_at

WORD: Final = 8
RECORD: Final = 4
"""Words of a record: three of text (the first of them is where a long one begins), then the length, and in the lower
half the number, plus one, of what usually comes with it (`islet.engine.ids.Pairs`)."""
SHORT: Final = 24
_AHEAD: Final = 128

# The finishing steps of MurmurHash3 (public domain), applied to each word of eight bytes.
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT: Final = np.uint64(33)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_LOWER: Final = np.uint64(0xFFFFFFFF)
_BITS_OF_BYTES: Final = np.array([(1 << (8 * n)) - 1 for n in range(WORD + 1)], np.uint64)


class Table(NamedTuple):
    """What a kernel sees of an index: `slots` (a power of two,), 0 is free; of the ids (n,) `records` (n, RECORD) and
    where one asks for them `hashes`, else none; `text` of the long ones, of which the first `used` (1,) bytes are in use."""

    slots: NDArray[np.uint32]
    records: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    text: NDArray[np.uint8]
    used: NDArray[np.int64]


class Texts(NamedTuple):
    """A column of texts (n,): where each begins and the last one ends (n + 1,), and the bytes, with a word to read
    behind the last one."""

    ends: NDArray[np.int32]
    text: NDArray[np.uint8]


@inlined
def _word(texts: Texts, begin: Int, end: Int) -> np.uint64:
    """The bytes of [begin, end), at most eight, with zeros behind them."""
    word: np.uint64 = word_at(texts.text, begin) & _BITS_OF_BYTES[np.uint64(min(end - begin, WORD))]
    return word


@inlined
def _hash(texts: Texts, row: Int) -> np.uint64:
    at = np.int64(texts.ends[np.uint64(row)])
    end = np.int64(texts.ends[np.uint64(row) + _ONE])
    value = np.uint64(end - at) * _MIX_2
    while at < end:
        value = (value ^ _word(texts, at, end)) * _MIX_1
        value = (value ^ (value >> _SHIFT)) * _MIX_2
        at += WORD
    return value ^ (value >> _SHIFT)


@inlined
def _is(table: Table, number: Int, texts: Texts, row: Int) -> bool:
    """Whether the row's text is the id with that number."""
    known = np.uint64(number)
    begin, end = np.int64(texts.ends[np.uint64(row)]), np.int64(texts.ends[np.uint64(row) + _ONE])
    if table.records[known, 3] >> _HALF != np.uint64(end - begin):
        return False
    if end - begin > SHORT:
        return _is_long(table, np.int64(table.records[known, 0]), texts, begin, end)
    k = np.uint64(0)
    while begin < end:
        if table.records[known, k] != _word(texts, begin, end):
            return False
        k += _ONE
        begin += WORD
    return True


@part
def _is_long(table: Table, start: Int, texts: Texts, begin: Int, end: Int) -> bool:
    """The same for a long text, which begins at `start`."""
    while begin < end:
        differs = word_at(table.text, start) ^ word_at(texts.text, begin)
        if differs & _BITS_OF_BYTES[min(end - begin, WORD)]:
            return False
        begin += WORD
        start += WORD
    return True


@inlined
def _fits(slot: np.uint32, value: np.uint64, mask: np.uint64) -> bool:
    """Whether the part of the hash in a slot is this one's."""
    return bool((np.uint64(slot) ^ (value >> _HALF)) <= mask)


@inlined
def _put(slots: NDArray[np.uint32], at: np.uint64, value: np.uint64, number: Int) -> None:
    mask = np.uint64(len(slots) - 1)
    slots[at] = ((value >> _HALF) & ~mask) | np.uint64(number + 1)


@part
def _hash_of(table: Table, number: Int) -> np.uint64:
    """The hash of an id that is known."""
    length = np.int64(table.records[number, 3] >> _HALF)
    value = np.uint64(length) * _MIX_2
    start = np.int64(table.records[number, 0])
    for k in range((length + WORD - 1) // WORD):
        word = table.records[number, k] if length <= SHORT else word_at(table.text, start + k * WORD)
        left: Int = length - k * WORD
        value = (value ^ (word & _BITS_OF_BYTES[np.uint64(min(left, WORD))])) * _MIX_1
        value = (value ^ (value >> _SHIFT)) * _MIX_2
    return value ^ (value >> _SHIFT)


@kernel
def place_all(table: Table, count: Int) -> None:
    """Put all numbers into empty slots."""
    mask = np.uint64(len(table.slots) - 1)
    for number in range(count):
        value = _hash_of(table, number)
        at = value & mask
        while table.slots[at]:
            at = (at + _ONE) & mask
        _put(table.slots, at, value, number)


@inlined
def _candidate(slots: NDArray[np.uint32], value: np.uint64) -> Int:
    """The number of the first id whose part of a hash is this one's; -1 where there is none. To look ahead with."""
    mask = np.uint64(len(slots) - 1)
    at = value & mask
    while slots[at]:
        if _fits(slots[at], value, mask):
            return np.int64(np.uint64(slots[at]) & mask) - 1
        at = (at + _ONE) & mask
    return -1


@part
def _number(table: Table, count: Int, texts: Texts, row: Int, value: np.uint64) -> Int:
    """The number of the row's text; `count`, and it has been added, where it was not known."""
    mask = np.uint64(len(table.slots) - 1)
    at = value & mask
    while table.slots[at]:
        number = np.int64(np.uint64(table.slots[at]) & mask) - 1
        if _fits(table.slots[at], value, mask) and _is(table, number, texts, row):
            return number
        at = (at + _ONE) & mask
    _put(table.slots, at, value, count)
    begin, end = np.int64(texts.ends[row]), np.int64(texts.ends[row + 1])
    if len(table.hashes):
        table.hashes[count] = value
    table.records[count, 3] = np.uint64(end - begin) << _HALF
    if end - begin > SHORT:
        start = table.used[0]
        table.records[count, 0] = np.uint64(start)
        table.used[0] += end - begin
        while begin < end:  # whole words: what is written behind the text is overwritten by the next one
            put_word(table.text, start, word_at(texts.text, begin))
            begin += WORD
            start += WORD
        return count
    for k in range(SHORT // WORD):
        table.records[count, k] = _word(texts, begin, end) if begin < end else np.uint64(0)
        begin += WORD
    return count


@inlined
def _announce(table: Table, texts: Texts, first: Int, last: Int, values: NDArray[np.uint64]) -> None:
    """Hash the next rows, and have their slots brought into the cache."""
    mask = np.uint64(len(table.slots) - 1)
    for row in range(np.uint64(first), np.uint64(last)):
        value = _hash(texts, row)
        values[row - np.uint64(first)] = value
        prefetch(table.slots, (np.int64(value & mask),))


@kernel
def look_up(table: Table, count: Int, texts: Texts, found: NDArray[np.int64]) -> Int:
    """Fill `found`; new ids are added. How many ids there are now."""
    values = np.empty(_AHEAD, np.uint64)
    for first in range(0, len(found), _AHEAD):
        last = min(first + _AHEAD, len(found))
        _announce(table, texts, first, last, values)
        for row in range(first, last):
            found[row] = _number(table, count, texts, row, values[row - first])
            count += found[row] == count
    return count


@kernel
def find(table: Table, texts: Texts, found: NDArray[np.int64]) -> None:
    """Fill `found`, -1 for what is not known; nothing is added."""
    mask = np.uint64(len(table.slots) - 1)
    for row in range(len(found)):
        value = _hash(texts, row)
        at = value & mask
        found[row] = -1
        while table.slots[at]:
            number = np.int64(np.uint64(table.slots[at]) & mask) - 1
            if _fits(table.slots[at], value, mask) and _is(table, number, texts, row):
                found[row] = number
                break
            at = (at + _ONE) & mask


@kernel
def look_up_pairs(
    patients: Table,
    devices: Table,
    count: Int,
    device_count: Int,
    texts: Texts,
    device_texts: Texts,
    found: NDArray[np.int64],
    devices_found: NDArray[np.int64],
) -> tuple[Int, Int]:
    """Fill `found` and `devices_found`; new ids are added. How many of each there are now."""
    values = np.empty(_AHEAD, np.uint64)
    likely = np.empty(_AHEAD, np.int64)
    for first in range(0, len(found), _AHEAD):
        last = min(first + _AHEAD, len(found))
        _announce(patients, texts, first, last, values)
        here = np.uint64(last - first)
        for k in range(here):
            likely[k] = max(_candidate(patients.slots, values[k]), 0)
            prefetch(patients.records, (likely[k], 3))
        for k in range(here):
            usual = np.int64(patients.records[np.uint64(likely[k]), 3] & _LOWER)
            prefetch(devices.records, (usual - (usual > 0), 3))
        for row in range(first, last):
            at = np.uint64(row)
            number = likely[np.uint64(row - first)]
            if number >= count or not _is(patients, number, texts, row):
                number = _number(patients, count, texts, row, values[np.uint64(row - first)])
                count += number == count
            found[at] = number
            device: Int = np.int64(patients.records[np.uint64(number), 3] & _LOWER) - 1
            if device < 0 or not _is(devices, device, device_texts, row):
                device = _number(devices, device_count, device_texts, row, _hash(device_texts, row))
                device_count += device == device_count
                length = patients.records[np.uint64(number), 3] >> _HALF
                patients.records[np.uint64(number), 3] = length << _HALF | np.uint64(device + 1)
            devices_found[at] = device
    return count, device_count


@kernel
def write_texts(table: Table, numbers: NDArray[np.int64], ends: NDArray[np.int64], text: NDArray[np.uint8]) -> None:
    """Write the texts (n,) of the ids with these numbers; text i at ends[i], and there is a word of room behind the
    last one."""
    for i in range(len(numbers)):
        number, at = numbers[i], ends[i]
        start = np.int64(table.records[number, 0])
        k = 0
        while at < ends[i + 1]:
            long = ends[i + 1] - ends[i] > SHORT
            put_word(text, at, word_at(table.text, start + k * WORD) if long else table.records[number, k])
            at += WORD
            k += 1
