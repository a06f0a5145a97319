"""Context: what people did beside the stream (meals, insulin, exercise), kept for those of whom there is any.

A patient's block in the pool: how many, and the size class, then eight words an event, ascending by time, amount and
column, key, and rank, which all together are its identity: the same event again changes nothing, and several of one
instant all count. Of those with one key only the ones of the highest rank count (`islet.model.care_events`); the others stay,
marked, so that none of them counts when it comes again. Events enter the windows of readings from their instant on; those
readings that are there already and that a late reading could still revise are evaluated again.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, part
from islet.engine.pool import UNIT, UNITS, allocate, give_back, has_room, long_at, put_long, size_for
from islet.engine.program import (
    AGE_FROM,
    AGES,
    AGES_SQUARED,
    AGES_VALUES,
    COUNT,
    COUNT_FROM,
    FIRST,
    LAST,
    MAX,
    MIN,
    SPAN,
    SQUARES,
    SUM,
)
from islet.engine.runs import entry_us
from islet.engine.series import (
    ACCEPTED,
    DUPLICATE,
    FOREVER,
    HISTORY,
    NEVER,
    OVERFLOW,
    UNTOUCHED,
    ContextRows,
    Memory,
    Series,
)
from islet.model.time import SECOND_US

HEADER: Final = 2
EVENT: Final = 8
"""Words: time (two), name (two): amount (31 bits), column (3), replaced (1); key (two), rank (two)."""
MOST_EVENTS: Final = 1_024
"""Of one patient; of more the oldest are forgotten, and counted."""
_LARGEST_AMOUNT: Final = 2**31 - 1
_AMOUNT_SHIFT: Final = 4
_COLUMN: Final = 7
_REPLACED: Final = 1
_NAME, _KEY, _RANK = 2, 4, 6
"""Where in an event they begin."""


@inlined
def _column_of(name: Int) -> Int:
    return (name >> 1) & _COLUMN


@inlined
def _counts(name: Int, column: Int) -> bool:
    """Whether the event is of that column, and none has replaced it."""
    return bool(not name & _REPLACED and _column_of(name) == column)


@inlined
def events_of(one: Series, pool: NDArray[np.uint32]) -> Int:
    """How many events are known of the patient."""
    return np.int64(pool[int(one.context) * UNIT]) if one.context else 0


@part
def _is_before(pool: NDArray[np.uint32], at: Int, time_us: Int, name: Int, key: Int, rank: Int) -> bool:
    """Whether the event at that word comes before one in the order of events."""
    there_us = long_at(pool, at)
    if there_us != time_us:
        return bool(there_us < time_us)
    there = long_at(pool, at + _NAME) >> 1
    if there != name >> 1:
        return bool(there < name >> 1)
    if long_at(pool, at + _KEY) != key:
        return bool(long_at(pool, at + _KEY) < key)
    return bool(long_at(pool, at + _RANK) < rank)


@part
def _is_same(pool: NDArray[np.uint32], at: Int, time_us: Int, name: Int, key: Int, rank: Int) -> bool:
    same = long_at(pool, at) == time_us and long_at(pool, at + _NAME) >> 1 == name >> 1
    return bool(same and long_at(pool, at + _KEY) == key and long_at(pool, at + _RANK) == rank)


@part
def _replace(one: Series, pool: NDArray[np.uint32], key: Int, rank: Int) -> tuple[bool, Int]:
    """Mark the events of that key that have a lower rank; (whether one has a higher rank, from when on that changes
    anything)."""
    outdone = False
    from_us: Int = FOREVER
    begin = int(one.context) * UNIT + HEADER
    for k in range(events_of(one, pool)):
        at = begin + EVENT * k
        if long_at(pool, at + _KEY) != key:
            continue
        there = long_at(pool, at + _RANK)
        outdone = outdone or bool(there > rank)
        name = long_at(pool, at + _NAME)
        if there < rank and not name & _REPLACED:
            put_long(pool, at + _NAME, name | _REPLACED)
            from_us = min(from_us, long_at(pool, at))
    return outdone, from_us


@part
def _make_room(
    one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], count: Int, old_us: Int, tally: NDArray[np.int64]
) -> Int:
    """Room for one more event; those before `old_us` are forgotten. How many stay."""
    if not one.context:
        smallest = size_for(HEADER + EVENT)
        unit = allocate(pool, heap, smallest)
        pool[unit * UNIT] = 0
        pool[unit * UNIT + 1] = smallest
        one.context = unit
        return 0
    begin = int(one.context) * UNIT
    size: Int = np.int64(pool[begin + 1])
    if count < MOST_EVENTS and HEADER + EVENT * (count + 1) <= UNITS[size] * UNIT:
        return count
    gone = 0
    while gone < count and long_at(pool, begin + HEADER + EVENT * gone) < old_us:
        gone += 1
    if gone == 0 and count >= MOST_EVENTS:
        tally[OVERFLOW] += 1
        gone = 1
    stay = EVENT * (count - gone)
    into: Int = begin
    larger = size
    if gone == 0:
        larger = size_for(HEADER + EVENT * (count + 1))
        unit = allocate(pool, heap, larger)
        into = unit * UNIT
    for k in range(stay):
        pool[into + HEADER + k] = pool[begin + HEADER + EVENT * gone + k]
    pool[into] = count - gone
    pool[into + 1] = larger
    if gone == 0:
        give_back(pool, heap, int(one.context), size)
        one.context = into // UNIT
    return count - gone


@part
def _touch(one: Series, pool: NDArray[np.uint32], from_us: Int) -> bool:
    """Have the readings from that instant on evaluated again; whether there are any."""
    if one.newest_us < from_us or one.count == 0:
        return False
    first = int(one.count)
    while first > 0 and entry_us(one, pool, first - 1) >= from_us:
        first -= 1
    if one.first == UNTOUCHED or first < one.first:
        one.first = first
    return True


@part
def _put(
    one: Series,
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    event: tuple[Int, Int, Int, Int],
    old_us: Int,
    tally: NDArray[np.int64],
) -> Int:
    """Write the event (time, name, key, rank) in its place among the patient's, where it is not there already and not older
    than is kept; from when on that changes anything, NEVER: it was there."""
    time_us, name, key, rank = event
    count = events_of(one, pool)
    begin = int(one.context) * UNIT + HEADER
    place = count
    while place > 0 and not _is_before(pool, begin + EVENT * (place - 1), time_us, name, key, rank):
        place -= 1
    if place < count and _is_same(pool, begin + EVENT * place, time_us, name, key, rank):
        return NEVER
    outdone, from_us = _replace(one, pool, key, rank)
    if time_us < old_us:
        return from_us
    stay = _make_room(one, pool, heap, count, old_us, tally)
    place = max(place - (count - stay), 0)
    begin = int(one.context) * UNIT + HEADER
    for k in range(EVENT * stay - 1, EVENT * place - 1, -1):
        pool[begin + k + EVENT] = pool[begin + k]
    at = begin + EVENT * place
    put_long(pool, at, time_us)
    put_long(pool, at + _NAME, name | _REPLACED if outdone else name)
    put_long(pool, at + _KEY, key)
    put_long(pool, at + _RANK, rank)
    pool[begin - HEADER] = stay + 1
    return from_us if outdone else min(from_us, time_us)


@part
def insert_context(
    memory: Memory, rows: ContextRows, start: Int, stop: Int, touched: NDArray[np.int64], tally: NDArray[np.int64]
) -> tuple[Int, Int]:
    """Take rows from `start` to `stop`, or to where a larger pool is needed; (the row to go on with, how many patients
    are in `touched`).

    An event later than the lateness bound still enters the windows of what comes, but the readings before the bound
    are not evaluated again: it is counted as history too.
    """
    bounds = memory.bounds
    n_touched = 0
    for row in range(start, stop):
        if not has_room(memory.heap):
            return row, n_touched
        patient = rows.patients[row]
        one = memory.series[patient]
        time_us = rows.times_us[row]
        amount = min(max(rows.amounts[row], 0), _LARGEST_AMOUNT)
        name = amount << _AMOUNT_SHIFT | rows.columns[row] << 1
        late_us = one.newest_us - bounds.lateness_us if one.newest_us != NEVER else NEVER
        old_us = late_us - bounds.context_us if one.newest_us != NEVER else NEVER
        tally[HISTORY] += time_us < late_us
        if time_us < old_us and rows.ranks[row] == 0:
            continue
        event = (time_us, name, rows.keys[row], rows.ranks[row])
        from_us = _put(one, memory.pool, memory.heap, event, old_us, tally)
        if from_us == NEVER:
            tally[DUPLICATE] += 1
            continue
        tally[ACCEPTED] += 1
        untouched = one.first == UNTOUCHED
        if _touch(one, memory.pool, max(from_us, late_us)):
            one.row = -1
            if untouched:
                touched[n_touched] = patient
                n_touched += 1
    return stop, n_touched


@part
def gather_context(
    one: Series, pool: NDArray[np.uint32], column: Int, from_us: Int, t_us: Int, found: NDArray[np.int64]
) -> None:
    """Fill `found` (AGGREGATES,) with those of the column's events in [from_us, t_us]; zeros where there are none."""
    for k in range(len(found)):
        found[k] = 0
    if not one.context:
        return
    begin = int(one.context) * UNIT + HEADER
    n = 0
    place = events_of(one, pool)
    while place > 0:
        place -= 1
        at = begin + EVENT * place
        time_us = long_at(pool, at)
        if time_us < from_us:
            return
        name = long_at(pool, at + _NAME)
        if time_us > t_us or not _counts(name, column):
            continue
        amount = name >> _AMOUNT_SHIFT
        age = np.int64(np.uint64(t_us - time_us) // np.uint64(SECOND_US))
        found[SUM] += amount
        found[COUNT] += 1
        found[MIN] = amount if n == 0 else min(found[MIN], amount)
        found[MAX] = max(found[MAX], amount)
        found[FIRST] = amount
        if n == 0:
            found[LAST] = amount
        found[SQUARES] += amount * amount
        found[AGES] += age
        found[AGES_SQUARED] += age * age
        found[AGES_VALUES] += age * amount
        found[SPAN] = age
        n += 1


@part
def context_from(
    one: Series, pool: NDArray[np.uint32], column: Int, from_us: Int, t_us: Int, aggregate: Int, least: Int
) -> Int:
    """What COUNT_FROM, SUM_FROM or AGE_FROM makes of those of the column's events in [from_us, t_us] that are at least so
    much, of a patient who has any events."""
    begin = int(one.context) * UNIT + HEADER
    found: Int = 0
    place = events_of(one, pool)
    while place > 0:
        place -= 1
        at = begin + EVENT * place
        time_us = long_at(pool, at)
        if time_us < from_us:
            return found
        name = long_at(pool, at + _NAME)
        if time_us > t_us or not _counts(name, column) or name >> _AMOUNT_SHIFT < least:
            continue
        if aggregate == AGE_FROM:
            return (t_us - time_us) // SECOND_US + 1
        found += 1 if aggregate == COUNT_FROM else name >> _AMOUNT_SHIFT
    return found


@part
def gather_by_age(
    one: Series,
    pool: NDArray[np.uint32],
    column: Int,
    t_us: Int,
    step_us: Int,
    found: NDArray[np.float32],
    row: Int,
) -> None:
    """Add to each place k of the row of `found` (n, m) the amounts of the column's events that are k whole steps old
    at t_us, of a patient who has any events."""
    begin = int(one.context) * UNIT + HEADER
    place = events_of(one, pool)
    while place > 0:
        place -= 1
        at = begin + EVENT * place
        age_us = t_us - long_at(pool, at)
        if age_us >= step_us * found.shape[1]:
            return
        name = long_at(pool, at + _NAME)
        if age_us >= 0 and _counts(name, column):
            found[np.uint64(row), np.uint64(age_us) // np.uint64(step_us)] += np.float32(name >> _AMOUNT_SHIFT)
