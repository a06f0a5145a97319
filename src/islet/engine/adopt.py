"""What has to be walked through for all patients, between steps: rules that change places or go, and tidying up."""

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import EVENT
from islet.engine.context import HEADER as CONTEXT_HEADER
from islet.engine.kernel import Int, kernel, part
from islet.engine.pool import UNIT, UNITS, allocate, grown, has_room, long_at, size_for
from islet.engine.runs import device_number, leave, let_go, new_entries, pack, unpack
from islet.engine.said import more_room
from islet.engine.series import (
    FOREVER,
    MOST_DEVICES,
    MOST_READINGS,
    NEVER,
    RUN_HEADER,
    SEVERAL,
    UNTOLD,
    WIDE,
    Bounds,
    Entries,
    Memory,
    Series,
)
from islet.engine.told import END, EPISODE, MOST_EPISODES, ONSET, RULE, TOLD, keep, recall
from islet.engine.told import HEADER as EPISODES_HEADER
from islet.engine.told import WIDTH as EPISODE_WIDTH


@kernel
def move_rules(
    memory: Memory, patients: Int, places: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Give rule i the bit places[i]; -1: it is no more. The pool, and the told episodes that ran of those that are no
    more (n, 3): rule, patient, onset."""
    pool, heap = memory.pool, memory.heap
    known = np.empty((MOST_EPISODES, EPISODE_WIDTH), np.int64)
    ended = np.empty((64, 3), np.int64)
    n = 0
    for patient in range(patients):
        one = memory.series[patient]
        if not has_room(heap):
            pool = grown(pool, heap)
        count = recall(one, pool, known)
        active, untold, stay = 0, False, 0
        for k in range(count):
            rule, runs = known[k, RULE], known[k, END] == FOREVER
            place = places[rule]
            if place >= 0:
                for column in range(EPISODE_WIDTH):
                    known[stay, column] = known[k, column]
                known[stay, RULE] = place
                stay += 1
                if runs:
                    active |= 1 << place
                    untold = untold or not known[k, TOLD]
            elif runs and known[k, TOLD]:
                if n == len(ended):
                    ended = more_room(ended, n)
                ended[n, 0] = rule
                ended[n, 1] = patient
                ended[n, 2] = known[k, ONSET]
                n += 1
        if count:
            keep(one, pool, heap, known, stay, NEVER)
        one.active = active
        one.flags = one.flags | UNTOLD if untold else one.flags & ~UNTOLD
    return pool, ended[:n]


@part
def _sort(known: NDArray[np.int64], count: Int) -> None:
    """By rule and onset; there are few."""
    for k in range(1, count):
        place = k
        while place > 0 and (known[place - 1, RULE], known[place - 1, ONSET]) > (
            known[place, RULE],
            known[place, ONSET],
        ):
            for column in range(EPISODE_WIDTH):
                other = known[place, column]
                known[place, column] = known[place - 1, column]
                known[place - 1, column] = other
            place -= 1


@part
def _number_devices(
    one: Series, pool: NDArray[np.uint32], entries: Entries, numbers: NDArray[np.int64], places: NDArray[np.int64]
) -> Int:
    """Have the devices of the entries stand in the table in the order of their numbers, and only those that there are;
    fill in the numbers. How many there are."""
    devices = 0
    for k in range(one.count):
        number = device_number(one, pool, entries.devices[k])
        place = devices
        while place > 0 and numbers[place - 1] >= number:
            place -= 1
        if place == devices or numbers[place] != number:
            for other in range(devices, place, -1):
                numbers[other] = numbers[other - 1]
            numbers[place] = number
            devices += 1
    for k in range(one.count):
        number = device_number(one, pool, entries.devices[k])
        place = 0
        while numbers[place] != number:
            place += 1
        places[k] = place
    for k in range(one.count):
        place = k
        while (
            place > 0
            and entries.times_us[place - 1] == entries.times_us[k]
            and entries.values[place - 1] == entries.values[k]
            and entries.devices[place - 1] > places[k]
        ):
            entries.devices[place] = entries.devices[place - 1]
            place -= 1
        entries.devices[place] = places[k]
    return devices


@part
def _zeros(pool: NDArray[np.uint32], begin: Int, end: Int) -> None:
    """Zeros in the words that are not used, so that the same state is the same bytes."""
    for k in range(begin, end):
        pool[k] = 0


@part
def _tidy_run(
    one: Series,
    pool: NDArray[np.uint32],
    bounds: Bounds,
    ranks: NDArray[np.uint64],
    entries: Entries,
    numbers: NDArray[np.int64],
    places: NDArray[np.int64],
    into: NDArray[np.uint32],
    heap: NDArray[np.int64],
) -> None:
    let_go(one, pool, one.newest_us - bounds.horizon_us, ranks)
    unpack(one, pool, 0, entries)
    devices = _number_devices(one, pool, entries, numbers, places)
    if devices > 1:
        size = size_for(1 + devices)
        unit = allocate(into, heap, size)
        into[unit * UNIT] = devices | size << 16
        for k in range(devices):
            into[unit * UNIT + 1 + k] = numbers[k]
        _zeros(into, unit * UNIT + 1 + devices, (unit + UNITS[size]) * UNIT)
        one.device = unit
        one.flags |= SEVERAL
    elif devices == 1:
        one.device = numbers[0]
        one.flags &= ~SEVERAL
    begin = int(one.run) * UNIT
    left_us, value, device = long_at(pool, begin), np.int64(pool[begin + 2]), np.int64(pool[begin + 3])
    one.run = 0
    pack(one, into, heap, entries, int(one.count))
    leave(one, into, left_us, value, device)
    used = RUN_HEADER + (int(one.count) << (int(one.flags) & WIDE))
    _zeros(into, int(one.run) * UNIT + used, (int(one.run) + UNITS[one.size]) * UNIT)


@part
def _tidy_episodes(
    one: Series,
    pool: NDArray[np.uint32],
    old_us: Int,
    known: NDArray[np.int64],
    into: NDArray[np.uint32],
    heap: NDArray[np.int64],
) -> None:
    count = recall(one, pool, known)
    _sort(known, count)
    one.episodes = 0
    keep(one, into, heap, known, count, old_us)
    if one.episodes:
        begin = int(one.episodes) * UNIT
        used = EPISODES_HEADER + EPISODE * np.int64(into[begin])
        _zeros(into, begin + used, begin + UNITS[np.int64(into[begin + 1])] * UNIT)


@part
def _tidy_context(
    one: Series, pool: NDArray[np.uint32], old_us: Int, into: NDArray[np.uint32], heap: NDArray[np.int64]
) -> None:
    begin = int(one.context) * UNIT
    count = np.int64(pool[begin])
    gone = 0
    while gone < count and long_at(pool, begin + CONTEXT_HEADER + EVENT * gone) < old_us:
        gone += 1
    one.context = 0
    if count == gone:
        return
    words = CONTEXT_HEADER + EVENT * (count - gone)
    size = size_for(words)
    unit = allocate(into, heap, size)
    one.context = unit
    at = unit * UNIT
    into[at] = count - gone
    into[at + 1] = size
    for k in range(EVENT * (count - gone)):
        into[at + CONTEXT_HEADER + k] = pool[begin + CONTEXT_HEADER + EVENT * gone + k]
    _zeros(into, at + words, at + UNITS[size] * UNIT)


@kernel
def tidy(memory: Memory, patients: Int, into: NDArray[np.uint32], heap: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Everything that is still needed, in the order of the patients, in another pool (`into` with its empty heap, or a
    larger one): blocks no larger than they have to be, devices in the order of the run."""
    entries = new_entries()
    known = np.empty((MOST_EPISODES, EPISODE_WIDTH), np.int64)
    numbers, places = np.empty(MOST_DEVICES, np.int64), np.empty(MOST_READINGS + 1, np.int64)
    pool, bounds, ranks = memory.pool, memory.bounds, memory.ranks
    for patient in range(patients):
        if not has_room(heap):
            into = grown(into, heap)
        one = memory.series[patient]
        old_us = one.newest_us - bounds.lateness_us
        if one.run:
            _tidy_run(one, pool, bounds, ranks, entries, numbers, places, into, heap)
        if one.episodes:
            _tidy_episodes(one, pool, old_us, known, into, heap)
        if one.context:
            _tidy_context(one, pool, old_us - bounds.context_us, into, heap)
    return into


@part
def _copied(pool: NDArray[np.uint32], heap: NDArray[np.int64], unit: Int, words: Int, size: Int) -> Int:
    """A new block of that size with the first words of another."""
    new: Int = allocate(pool, heap, size)
    begin, end = np.uint64(unit * UNIT), np.uint64(new * UNIT)
    for k in range(np.uint64(words)):
        pool[end + k] = pool[begin + k]
    return new


@kernel
def move(memory: Memory, first: Int, last: Int) -> NDArray[np.uint32]:
    """Everything of the patients from `first` to before `last` in new blocks, but for readings and acts that are not
    needed any more. The old blocks are not given back."""
    pool, heap, bounds = memory.pool, memory.heap, memory.bounds
    for patient in range(first, last):
        if not has_room(heap):
            pool = grown(pool, heap)
        one = memory.series[patient]
        if one.run:
            let_go(one, pool, one.newest_us - bounds.horizon_us, memory.ranks)
            words = RUN_HEADER + (int(one.count) << (int(one.flags) & WIDE))
            one.size = size_for(words)
            one.run = _copied(pool, heap, int(one.run), words, int(one.size))
        if one.flags & SEVERAL:
            size = np.int64(pool[int(one.device) * UNIT] >> 16)
            one.device = _copied(pool, heap, int(one.device), UNITS[size] * UNIT, size)
        if one.episodes:
            size = np.int64(pool[int(one.episodes) * UNIT + 1])
            one.episodes = _copied(pool, heap, int(one.episodes), UNITS[size] * UNIT, size)
        if one.context:
            _tidy_context(one, pool, one.newest_us - bounds.lateness_us - bounds.context_us, pool, heap)
    return pool
