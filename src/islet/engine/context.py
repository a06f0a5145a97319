"""Context: what people did beside the stream (meals, insulin, exercise), kept for those of whom there is any.

A patient's block in the pool: how many, and the size class, then four words an event, ascending by time, amount,
device and column, which all together are its identity: the same event again changes nothing, and several of one instant
all count. Events enter the windows of readings from their instant on; those readings that
are there already and that a late reading could still revise are evaluated again.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, part
from islet.engine.pool import UNIT, UNITS, allocate, give_back, has_room, long_at, put_long, size_for
from islet.engine.program import (
    AGES,
    AGES_SQUARED,
    AGES_VALUES,
    COUNT,
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
EVENT: Final = 4
"""Words: time (two), name (two): amount (31 bits), device (30), column (2)."""
MOST_EVENTS: Final = 1_024
"""Of one patient; of more the oldest are forgotten, and counted."""
_LARGEST_AMOUNT: Final = 2**31 - 1
_AMOUNT_SHIFT: Final = 32
_DEVICE_SHIFT: Final = 2
_COLUMN: Final = 3


@inlined
def events_of(one: Series, pool: NDArray[np.uint32]) -> Int:
    """How many events are known of the patient."""
    return np.int64(pool[int(one.context) * UNIT]) if one.context else 0


@part
def _first_not_before(pool: NDArray[np.uint32], begin: Int, count: Int, time_us: Int, event: Int) -> Int:
    place = count
    while place > 0:
        at = begin + EVENT * (place - 1)
        there_us = long_at(pool, at)
        if there_us < time_us or (there_us == time_us and long_at(pool, at + 2) < event):
            break
        place -= 1
    return place


@part
def _make_room(
    one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], count: Int, old_us: Int, tally: NDArray[np.int64]
) -> Int:
    """Room for one more event; those before `old_us` are forgotten. How many stay."""
    if not one.context:
        unit = allocate(pool, heap, 0)
        pool[unit * UNIT] = 0
        pool[unit * UNIT + 1] = 0
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
    time_us: Int,
    event: Int,
    old_us: Int,
    tally: NDArray[np.int64],
) -> bool:
    """Write the event in its place among the patient's, where it is not there already; whether it was not."""
    count = events_of(one, pool)
    begin = int(one.context) * UNIT + HEADER
    place = _first_not_before(pool, begin, count, time_us, event)
    at = begin + EVENT * place
    if place < count and long_at(pool, at) == time_us and long_at(pool, at + 2) == event:
        return False
    stay = _make_room(one, pool, heap, count, old_us, tally)
    place = max(place - (count - stay), 0)
    begin = int(one.context) * UNIT + HEADER
    for k in range(EVENT * stay - 1, EVENT * place - 1, -1):
        pool[begin + k + EVENT] = pool[begin + k]
    at = begin + EVENT * place
    put_long(pool, at, time_us)
    put_long(pool, at + 2, event)
    pool[begin - HEADER] = stay + 1
    return True


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
        event = amount << _AMOUNT_SHIFT | rows.devices[row] << _DEVICE_SHIFT | rows.columns[row]
        late_us = one.newest_us - bounds.lateness_us if one.newest_us != NEVER else NEVER
        old_us = late_us - bounds.context_us if one.newest_us != NEVER else NEVER
        tally[HISTORY] += time_us < late_us
        if time_us < old_us:
            continue
        if not _put(one, memory.pool, memory.heap, time_us, event, old_us, tally):
            tally[DUPLICATE] += 1
            continue
        tally[ACCEPTED] += 1
        untouched = one.first == UNTOUCHED
        if _touch(one, memory.pool, max(time_us, late_us)):
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
        event = long_at(pool, at + 2)
        if time_us > t_us or event & _COLUMN != column:
            continue
        amount = event >> _AMOUNT_SHIFT
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
        event = long_at(pool, at + 2)
        if age_us >= 0 and event & _COLUMN == column:
            found[np.uint64(row), np.uint64(age_us) // np.uint64(step_us)] += np.float32(event >> _AMOUNT_SHIFT)
