"""Rows into runs: appended where they come in order, else put in their place; what follows is evaluated again.

A reading is kept for as long as one that comes late could have it in its window. One that comes later than that can
revise nothing: it is marked, not guessed at.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, part, prefetch
from islet.engine.pool import UNIT, has_room, put_long
from islet.engine.runs import (
    add_device,
    capacity,
    device_place,
    left_us,
    let_go,
    pack,
    packed_age,
    unpack,
)
from islet.engine.series import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    HISTORY,
    MOST_READINGS,
    OVERFLOW,
    RUN_HEADER,
    UNTOUCHED,
    WIDE,
    Entries,
    Memory,
    Rows,
    Series,
)

AHEAD: Final = 64

_GATHERED: Final = 128
"""A run in which readings wait to be evaluated grows to this before they have to be, so that a backlog is evaluated many
at a time."""


@inlined
def _announce_series(series: NDArray[np.void], patients: NDArray[np.int64], first: Int) -> None:
    """Have the series of AHEAD patients brought into the cache."""
    for k in range(np.uint64(first), np.uint64(min(first + AHEAD, len(patients)))):
        prefetch(series, (patients[k],))


@inlined
def _announce(series: NDArray[np.void], pool: NDArray[np.uint32], patients: NDArray[np.int64], first: Int) -> None:
    """Have the newest and the oldest entry of the next patients' runs brought into the cache, and the series of those
    that come after them: by then they are there."""
    _announce_series(series, patients, first + AHEAD)
    for k in range(np.uint64(first), np.uint64(min(first + AHEAD, len(patients)))):
        one = series[np.uint64(patients[k])]
        begin = int(one.run) * UNIT
        words = RUN_HEADER + (one.count << (one.flags & WIDE))
        prefetch(pool, (begin,))
        if words >= 16:
            prefetch(pool, (begin + words,))


@inlined
def _append(one: Series, memory: Memory, device: Int, time_us: Int, value: Int) -> bool:
    """The usual case: the newest reading, from a device that is known, where there is room or nothing waits that what
    is old would be needed for. Else nothing is done that matters."""
    if one.count == 0 or time_us <= one.newest_us:
        return False
    pool = memory.pool
    if one.count >= capacity(one):
        if one.first != UNTOUCHED or let_go(one, pool, time_us - memory.bounds.horizon_us, memory.ranks) == 0:
            return False
        if one.count == 0:
            return False
    place = device_place(one, pool, device)
    if place < 0:
        return False
    packed = packed_age(one, time_us - one.base_us, value, place)
    if packed < 0:
        return False
    at = int(one.run) * UNIT + RUN_HEADER
    count = int(one.count)
    if one.flags & WIDE:
        put_long(pool, at + 2 * count, packed)
    else:
        pool[np.uint64(at + count)] = packed
    one.newest_us = time_us
    one.count = count + 1
    if one.first == UNTOUCHED:
        one.first = count
    return True


@part
def _find(entries: Entries, count: Int, time_us: Int, value: Int, device: Int) -> tuple[Int, Int]:
    """Where the reading belongs among the entries, and where one of that time and device is already, else -1."""
    place = count
    while place > 0 and entries.times_us[place - 1] > time_us:
        place -= 1
    known: Int = -1
    k = place
    while k > 0 and entries.times_us[k - 1] == time_us:
        k -= 1
        if entries.devices[k] == device:
            known = k
        if entries.values[k] > value or (entries.values[k] == value and entries.devices[k] > device):
            place = k
    return place, known


@part
def _put(one: Series, memory: Memory, entries: Entries, time_us: Int, value: Int, device: Int) -> None:
    """Write the entry in its place among the others of the run (unpacked); all from its instant on are to be
    evaluated."""
    count = int(one.count)
    place, _ = _find(entries, count, time_us, value, device)
    for k in range(count, place, -1):
        entries.times_us[k] = entries.times_us[k - 1]
        entries.values[k] = entries.values[k - 1]
        entries.devices[k] = entries.devices[k - 1]
    entries.times_us[place] = time_us
    entries.values[place] = value
    entries.devices[place] = device
    pack(one, memory.pool, memory.heap, entries, count + 1)
    one.newest_us = max(one.newest_us, time_us)
    while place > 0 and entries.times_us[place - 1] == time_us:
        place -= 1
    if one.first == UNTOUCHED or place < one.first:
        one.first = place


@part
def _take(
    one: Series, memory: Memory, device: Int, time_us: Int, value: Int, tally: NDArray[np.int64], entries: Entries
) -> Int:
    """Any case but the usual one. What became of the row: a tally, or -1: what waits has to be evaluated before."""
    pool, bounds = memory.pool, memory.bounds
    newest_us = max(one.newest_us, time_us)
    if time_us < newest_us - bounds.horizon_us:
        return HISTORY
    place = device_place(one, pool, device) if one.count else -1
    unpack(one, pool, 0, entries)
    if place >= 0 and time_us <= one.newest_us:
        _, known = _find(entries, int(one.count), time_us, value, place)
        if known >= 0:
            return DUPLICATE if entries.values[known] == value else CONFLICT
    if time_us < newest_us - bounds.lateness_us:
        return HISTORY
    if one.run and time_us <= left_us(one, pool):
        tally[OVERFLOW] += 1
        return HISTORY
    old_us = newest_us - bounds.horizon_us
    if one.count >= MOST_READINGS:
        old_us = max(old_us, entries.times_us[0] + 1)
    old = one.count != 0 and entries.times_us[0] < old_us
    if old and one.first != UNTOUCHED and one.count >= _GATHERED:
        return -1
    if old and one.first == UNTOUCHED:
        if old_us > newest_us - bounds.horizon_us:
            tally[OVERFLOW] += 1
            if time_us < old_us:
                return HISTORY
        if let_go(one, pool, old_us, memory.ranks):
            unpack(one, pool, 0, entries)
            if _append(one, memory, device, time_us, value):
                return ACCEPTED
    if place < 0:
        place = add_device(one, pool, memory.heap, device, entries)
        if place < 0:
            tally[OVERFLOW] += 1
            return HISTORY
    _put(one, memory, entries, time_us, value, place)
    return ACCEPTED


@part
def insert(
    memory: Memory,
    rows: Rows,
    start: Int,
    stop: Int,
    touched: NDArray[np.int64],
    tally: NDArray[np.int64],
    entries: Entries,
) -> tuple[Int, Int]:
    """Take rows from `start` on; (the row to go on with, how many patients are in `touched`).

    Stops early where going on would push out an entry that has not been evaluated yet, or needs a larger pool.
    """
    n_touched = 0
    _announce_series(memory.series, rows.patients, start)
    for row in range(start, stop):
        if (row - start) % AHEAD == 0:
            _announce(memory.series, memory.pool, rows.patients, row)
        at = np.uint64(row)  # an index without a sign: it need not be looked at whether it counts from the end
        patient, device, time_us = rows.patients[at], rows.devices[at], rows.times_us[at]
        value = np.int64(rows.values[at])
        one = memory.series[np.uint64(patient)]
        untouched = one.first == UNTOUCHED
        if _append(one, memory, device, time_us, value):
            found: Int = ACCEPTED
        else:
            if not has_room(memory.heap):
                return row, n_touched
            found = _take(one, memory, device, time_us, value, tally, entries)
            if found < 0:
                return row, n_touched
        tally[found] += 1
        if found == ACCEPTED:
            one.received_us = max(one.received_us, rows.received_us[at])
            one.row = row
            if untouched:
                touched[np.uint64(n_touched)] = patient
                n_touched += 1
    return stop, n_touched
