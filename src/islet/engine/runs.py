"""Runs: the readings of one series, packed in the pool, ascending by (time, value, device).

Before the first entry a run tells of the last reading that has left it, however long ago that was: silences and
"the value before" need no more of the past.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, making_part, part
from islet.engine.pool import UNIT, UNITS, allocate, give_back, long_at, put_long, size_for
from islet.engine.series import (
    MOST_DEVICES,
    MOST_READINGS,
    NARROW_DEVICES,
    NARROW_TIME_SHIFT,
    NARROW_TIMES,
    NARROW_UNIT_US,
    NARROW_VALUE_SHIFT,
    NARROW_VALUES,
    NEVER,
    RUN_HEADER,
    SEVERAL,
    WIDE,
    WIDE_TIME_SHIFT,
    WIDE_TIMES,
    WIDE_VALUE_SHIFT,
    Entries,
    Series,
)

_ONE: Final = np.uint64(1)


@making_part
def new_entries() -> Entries:
    """Room for the entries of any run, and one more."""
    size = MOST_READINGS + 1
    return Entries(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64))


@inlined
def capacity(one: Series) -> Int:
    """How many entries the run has room for, at most MOST_READINGS: the largest blocks would hold more, the places that a
    run is unpacked to do not."""
    words: Int = UNITS[one.size] * UNIT - RUN_HEADER
    return min(words >> 1 if one.flags & WIDE else words, MOST_READINGS)


@inlined
def left_us(one: Series, pool: NDArray[np.uint32]) -> Int:
    """When the last reading was that has left the run; NEVER where none has."""
    return long_at(pool, int(one.run) * UNIT)


@inlined
def entry_us(one: Series, pool: NDArray[np.uint32], place: Int) -> Int:
    """The time of one entry."""
    at = int(one.run) * UNIT + RUN_HEADER
    if one.flags & WIDE:
        return one.base_us + (long_at(pool, at + 2 * place) >> WIDE_TIME_SHIFT)
    return one.base_us + np.int64(pool[np.uint64(at + place)] >> NARROW_TIME_SHIFT) * NARROW_UNIT_US


@inlined
def unpack(one: Series, pool: NDArray[np.uint32], begin: Int, entries: Entries) -> None:
    """Fill in the entries of the run from place `begin` on."""
    at = np.uint64(int(one.run) * UNIT + RUN_HEADER)
    base_us = one.base_us
    if one.flags & WIDE:
        for k in range(np.uint64(begin), np.uint64(one.count)):
            packed = np.int64(pool[at + k + k]) | np.int64(pool[at + k + k + _ONE]) << 32
            entries.times_us[k] = base_us + (packed >> WIDE_TIME_SHIFT)
            entries.values[k] = (packed >> WIDE_VALUE_SHIFT) & 0xFFFF
            entries.devices[k] = packed & (MOST_DEVICES - 1)
    else:
        for k in range(np.uint64(begin), np.uint64(one.count)):
            word = np.int64(pool[at + k])
            entries.times_us[k] = base_us + (word >> NARROW_TIME_SHIFT) * NARROW_UNIT_US
            entries.values[k] = (word >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
            entries.devices[k] = word & (NARROW_DEVICES - 1)


@inlined
def unpack_since(one: Series, pool: NDArray[np.uint32], from_us: Int, entries: Entries) -> None:
    """Fill in times and values of the entries from that instant on, and of the one before them."""
    begin = int(one.first)
    at = int(one.run) * UNIT + RUN_HEADER
    base_us = one.base_us
    if one.flags & WIDE:
        while begin > 0 and entry_us(one, pool, begin) >= from_us:
            begin -= 1
        for k in range(begin, one.count):
            packed = long_at(pool, at + 2 * k)
            entries.times_us[np.uint64(k)] = base_us + (packed >> WIDE_TIME_SHIFT)
            entries.values[np.uint64(k)] = (packed >> WIDE_VALUE_SHIFT) & 0xFFFF
        return
    # a word is not before that instant when it is not less than the instant's, rounded up, with all else 0
    since = max(from_us - base_us + NARROW_UNIT_US - 1, 0)
    least = np.int64(np.uint64(since) // np.uint64(NARROW_UNIT_US)) << NARROW_TIME_SHIFT
    while begin > 0 and np.int64(pool[np.uint64(at + begin)]) >= least:
        begin -= 1
    start = np.uint64(at)
    for k in range(np.uint64(begin), np.uint64(one.count)):
        word = np.int64(pool[start + k])
        entries.times_us[k] = base_us + (word >> NARROW_TIME_SHIFT) * NARROW_UNIT_US
        entries.values[k] = (word >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)


@part
def _fits_one_word(base_us: Int, entries: Entries, count: Int) -> bool:
    for k in range(count):
        age_us = entries.times_us[k] - base_us
        if age_us >= NARROW_TIMES * NARROW_UNIT_US or age_us % NARROW_UNIT_US:
            return False
        if entries.values[k] >= NARROW_VALUES or entries.devices[k] >= NARROW_DEVICES:
            return False
    return True


@part
def pack(one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], entries: Entries, count: Int) -> None:
    """Write the first `count` entries (at least one) as the series' run, in a block that is large enough."""
    base_us = entries.times_us[0]
    narrow = _fits_one_word(base_us, entries, count)
    one.flags = one.flags & ~WIDE if narrow else one.flags | WIDE
    one.base_us = base_us
    one.count = count
    if one.run == 0 or capacity(one) < count:
        old, old_size = int(one.run), int(one.size)
        one.size = size_for(RUN_HEADER + (count if narrow else 2 * count))
        run = allocate(pool, heap, int(one.size))
        one.run = run
        if old:
            for k in range(RUN_HEADER):
                pool[run * UNIT + k] = pool[old * UNIT + k]
            give_back(pool, heap, old, old_size)
        else:
            put_long(pool, run * UNIT, NEVER)
            put_long(pool, run * UNIT + 2, 0)
    at = int(one.run) * UNIT + RUN_HEADER
    for k in range(count):
        age_us = entries.times_us[k] - base_us
        if narrow:
            time = age_us // NARROW_UNIT_US
            pool[at + k] = time << NARROW_TIME_SHIFT | entries.values[k] << NARROW_VALUE_SHIFT | entries.devices[k]
        else:
            packed = age_us << WIDE_TIME_SHIFT | entries.values[k] << WIDE_VALUE_SHIFT | entries.devices[k]
            put_long(pool, at + 2 * k, packed)


@inlined
def packed_age(one: Series, age_us: Int, value: Int, device: Int) -> Int:
    """The entry, that much after the base, as the run has them; -1 where it does not fit."""
    if one.flags & WIDE:
        if age_us >= WIDE_TIMES:
            return -1
        return age_us << WIDE_TIME_SHIFT | value << WIDE_VALUE_SHIFT | device
    time = np.int64(np.uint64(age_us) // np.uint64(NARROW_UNIT_US))
    if time >= NARROW_TIMES or time * NARROW_UNIT_US != age_us or value >= NARROW_VALUES or device >= NARROW_DEVICES:
        return -1
    return time << NARROW_TIME_SHIFT | value << NARROW_VALUE_SHIFT | device


@part
def leave(one: Series, pool: NDArray[np.uint32], time_us: Int, value: Int, device: Int) -> None:
    """Note the last reading that has left the run."""
    at = int(one.run) * UNIT
    put_long(pool, at, time_us)
    pool[at + 2] = value
    pool[at + 3] = device


@part
def let_go(one: Series, pool: NDArray[np.uint32], before_us: Int, ranks: NDArray[np.uint64]) -> Int:
    """Have the entries of before that instant leave the run, at most all; how many did. The base moves along."""
    gone = 0
    while gone < one.count and entry_us(one, pool, gone) < before_us:
        gone += 1
    if gone == 0:
        return 0
    at = int(one.run) * UNIT + RUN_HEADER
    time_us, value, device = last_of_instant(one, pool, gone - 1, ranks)
    leave(one, pool, time_us, value, device)
    count = int(one.count) - gone
    wide = one.flags & WIDE
    base_us = entry_us(one, pool, gone) if count else before_us
    if wide:
        less = (base_us - one.base_us) << WIDE_TIME_SHIFT
        for k in range(count):
            put_long(pool, at + 2 * k, long_at(pool, at + 2 * (k + gone)) - less)
    else:
        less = np.int64(np.uint64(base_us - one.base_us) // np.uint64(NARROW_UNIT_US)) << NARROW_TIME_SHIFT
        for k in range(count):
            pool[at + k] = np.int64(pool[at + k + gone]) - less
    one.base_us = base_us
    one.count = count
    return gone


@part
def last_of_instant(
    one: Series, pool: NDArray[np.uint32], place: Int, ranks: NDArray[np.uint64]
) -> tuple[Int, Int, Int]:
    """Time, value and device of an entry that is the last of its instant; of several devices that showed that value
    the one whose rank is lowest, so that it does not matter which came first."""
    at = int(one.run) * UNIT + RUN_HEADER
    shift, mask = NARROW_VALUE_SHIFT, NARROW_DEVICES - 1
    if one.flags & WIDE:
        shift, mask = WIDE_VALUE_SHIFT, MOST_DEVICES - 1
    packed = long_at(pool, at + 2 * place) if one.flags & WIDE else np.int64(pool[at + place])
    device = device_number(one, pool, packed & mask)
    other = place
    while other > 0:
        other -= 1
        before = long_at(pool, at + 2 * other) if one.flags & WIDE else np.int64(pool[at + other])
        if before >> shift != packed >> shift:
            break
        number = device_number(one, pool, before & mask)
        if ranks[number] < ranks[device]:
            device = number
    value = (packed >> shift) & (0xFFFF if one.flags & WIDE else NARROW_VALUES - 1)
    return entry_us(one, pool, place), value, device


@part
def value_and_device(one: Series, pool: NDArray[np.uint32], place: Int) -> tuple[Int, Int]:
    """What one entry says, and by which device."""
    at = int(one.run) * UNIT + RUN_HEADER
    if one.flags & WIDE:
        packed = long_at(pool, at + 2 * place)
        return (packed >> WIDE_VALUE_SHIFT) & 0xFFFF, device_number(one, pool, packed & (MOST_DEVICES - 1))
    packed = np.int64(pool[at + place])
    return (packed >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1), device_number(one, pool, packed & (NARROW_DEVICES - 1))


@inlined
def device_number(one: Series, pool: NDArray[np.uint32], place: Int) -> Int:
    """The device at that place of the series' table."""
    if one.flags & SEVERAL:
        return np.int64(pool[int(one.device) * UNIT + 1 + place])
    return np.int64(one.device)


@inlined
def device_place(one: Series, pool: NDArray[np.uint32], device: Int) -> Int:
    """The place of the device in the series' table, -1 where it has none."""
    if not one.flags & SEVERAL:
        return 0 if one.device == device else -1
    at = int(one.device) * UNIT
    for k in range(np.int64(pool[at] & 0xFFFF)):
        if pool[at + 1 + k] == device:
            return k
    return -1


@part
def add_device(one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], device: Int, entries: Entries) -> Int:
    """A place in the table for a device that has none: the first one that no entry (unpacked) uses, or a new one.
    -1 where MOST_DEVICES are in use."""
    if one.count == 0 and not one.flags & SEVERAL:
        one.device = device
        return 0
    if not one.flags & SEVERAL:
        unit = allocate(pool, heap, 0)
        pool[unit * UNIT] = 1
        pool[unit * UNIT + 1] = one.device
        one.device = unit
        one.flags |= SEVERAL
    at: Int = int(one.device) * UNIT
    count: Int = np.int64(pool[at] & 0xFFFF)
    size: Int = np.int64(pool[at] >> 16)
    place = 0
    while place < count:
        used = False
        for k in range(one.count):
            used = used or entries.devices[k] == place
        if not used:
            break
        place += 1
    if place == MOST_DEVICES:
        return -1
    if 1 + place >= UNITS[size] * UNIT:
        unit = allocate(pool, heap, size + 1)
        for k in range(1 + count):
            pool[unit * UNIT + k] = pool[at + k]
        give_back(pool, heap, int(one.device), size)
        size += 1
        one.device = unit
        at = unit * UNIT
    pool[at] = max(count, place + 1) | size << 16
    pool[at + 1 + place] = device
    return place
