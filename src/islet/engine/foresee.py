"""The stream of forecasts: every reading of the last twelve hours' past to what a model foretells, in the same step.

The stream is glucose with a longer memory, in a state of its own, so that the rules about what is there pay nothing for
those about what comes. It takes in readings that came within FRESH_US of being measured; older ones raise no alarm
about what comes and are no past to foretell from. Each reading is judged by what is known of it and of those before it:
so a late one has those after it judged again, and the order in which they come does not matter.

Carbs that were eaten in the hour before a reading are told to the model as well: a meal that is entered later has the
readings after it judged again. Other things that people do are left out of the stream's context.

Where the sensor could only tell LOW or HIGH nothing is foretold; later, what it told is a part of the past. Which
readings those were is kept as context too.
"""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import gather_by_age, gather_context, insert_context
from islet.engine.evaluate import local_minute
from islet.engine.insert import insert
from islet.engine.judge import FEWEST_CHANGES, judge
from islet.engine.kernel import Int, inlined, kernel, part
from islet.engine.program import AGGREGATES, CONTEXT_COLUMNS, CONTEXT_SCALE, COUNT, MIN, NOTHING
from islet.engine.runs import entry_us, unpack_since
from islet.engine.said import CHANGE_WIDTH
from islet.engine.series import MOST_READINGS, ContextRows, Entries, Memory, Rows, Series, with_room
from islet.engine.windows import Planned
from islet.engine.workplace import new_workplace
from islet.model.ahead import COLUMNS, EATEN_POINTS, LOOKS_BACK_US, POINTS, STEP_MIN, Corrections, Foreteller
from islet.model.time import HOUR_US, MINUTE_US

FRESH_US: Final = 24 * HOUR_US
"""A reading that came later than this after it was measured is not taken in."""
LONGEST_GAP_US: Final = 45 * MINUTE_US
"""Between two readings; wider ones are unknown, as in `islet.forecast.grid`."""

_STEP_US: Final = STEP_MIN * MINUTE_US
_BLOCK_ROWS: Final = 2048
_MOST_AT_ONCE: Final = MOST_READINGS
"""Histories that are made at once; a patient never has more to be judged."""
_TENTH: Final = np.float64(0.1)
_EATEN: Final = CONTEXT_COLUMNS.index("carbs_g")
_BEYOND: Final = CONTEXT_COLUMNS.index("bolus_u")
"""In this stream the context column of LOW and HIGH; the amount is 1 or 2."""
_GRAM: Final = np.float32(1 / CONTEXT_SCALE[_EATEN])
_Number = TypeVar("_Number", np.int64, np.int32)


def foresee(
    memory: Memory,
    context: ContextRows,
    rows: Rows,
    ranges: NDArray[np.int8],
    planned: Planned,
    foreteller: Foreteller,
    corrections: Corrections | None,
    tally: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the rows and from what people did. `ranges` (n,):
    -1 where the sensor said LOW, 1 HIGH, 0 a value. `corrections`: of the profiles, where any has lines."""
    kept = np.flatnonzero(rows.received_us - rows.times_us <= FRESH_US)  # NEVER received: not from a log
    if len(kept) < len(rows.times_us):
        rows, ranges = _those(rows, kept), ranges[kept]
    acts = _joined(_eaten(context), _beyond(rows, ranges))
    found = [np.empty((0, CHANGE_WIDTH), np.int64)]
    entries = Entries(*(np.empty(MOST_READINGS + 1, np.int64) for _ in range(3)))
    touched = np.empty(_BLOCK_ROWS, np.int64)
    row: Int = 0
    marked: Int = 0
    while marked < len(acts.times_us) or row < len(rows.times_us):
        if marked < len(acts.times_us):
            pool, marked, count = _mark(memory, acts, marked, touched, tally)
        else:
            stop = min(row + _BLOCK_ROWS, len(rows.times_us))
            pool, row, count = _take_in(memory, rows, row, stop, touched, tally, entries)
        memory = memory._replace(pool=pool)
        if not count:
            continue
        mine = touched[:count]
        ahead = _foretold(memory, mine, entries, foreteller, corrections)
        windows = planned.windows._replace(ahead=ahead)
        pool, changes = _judge(memory, mine, Planned(planned.program, windows), tally)
        memory = memory._replace(pool=pool)
        found.append(changes)
    said = np.concatenate(found)
    caused = said[:, -1] >= 0
    said[caused, -1] = kept[said[caused, -1]]
    return memory.pool, said


def _those(rows: Rows, kept: NDArray[np.int64]) -> Rows:
    times_us, values, received_us = rows.times_us[kept], rows.values[kept], rows.received_us[kept]
    return Rows(rows.patients[kept], rows.devices[kept], _column(times_us), _column(values), _column(received_us))


def _column(column: NDArray[_Number]) -> NDArray[_Number]:
    column.flags.writeable = False  # as those of a whole batch: a kernel is compiled for each type that it meets
    return column


def _eaten(context: ContextRows) -> ContextRows:
    """The rows that are carbs, and those that may replace some."""
    some = np.flatnonzero((context.columns == _EATEN) | (context.ranks > 0))
    found = ContextRows(*(column[some] for column in context))
    return found._replace(columns=np.where(found.columns == _EATEN, _EATEN, NOTHING))


def _beyond(rows: Rows, ranges: NDArray[np.int8]) -> ContextRows:
    """The rows at which the sensor could only tell LOW or HIGH."""
    some = np.flatnonzero(ranges)
    columns, amounts = np.full(len(some), _BEYOND, np.int64), np.where(ranges[some] < 0, 1, 2)
    keys, ranks = rows.devices[some], np.zeros(len(some), np.int64)
    return ContextRows(rows.patients[some], rows.times_us[some], columns, amounts, keys, ranks)


def _joined(one: ContextRows, other: ContextRows) -> ContextRows:
    return ContextRows(*(np.concatenate(columns) for columns in zip(one, other, strict=True)))


def _foretold(
    memory: Memory,
    touched: NDArray[np.int64],
    entries: Entries,
    foreteller: Foreteller,
    corrections: Corrections | None,
) -> NDArray[np.int32]:
    """The columns (n, len(COLUMNS)) at each entry that `evaluate` will ask for, in its order."""
    waiting = memory.series["count"][touched].astype(np.int64) - memory.series["first"][touched]
    ends = np.cumsum(waiting)
    pieces, begin, done = [np.empty((0, len(COLUMNS)), np.int32)], 0, 0
    while begin < len(touched):
        end = max(int(np.searchsorted(ends, done + _MOST_AT_ONCE, side="right")), begin + 1)
        count = int(ends[end - 1]) - done
        history = np.full((count, POINTS), np.nan, np.float32)
        minute = np.zeros(count, np.float32)
        eaten = np.zeros((count, EATEN_POINTS), np.float32)
        _histories(memory, touched[begin:end], entries, history, minute, eaten)
        if corrections is None:
            pieces.append(foreteller(history, minute, eaten * _GRAM))
        else:
            profiles = np.repeat(memory.series["profile"][touched[begin:end]], waiting[begin:end])
            pieces.append(foreteller(history, minute, eaten * _GRAM, corrections.of(profiles)))
        begin, done = end, done + count
    return np.concatenate(pieces)


@kernel
def _mark(
    memory: Memory, acts: ContextRows, start: Int, touched: NDArray[np.int64], tally: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], Int, Int]:
    """`insert_context`, called by Python: the pool, the row it came to, and how many patients it touched."""
    memory = with_room(memory)
    stop = min(start + _BLOCK_ROWS, len(acts.times_us))
    row, count = insert_context(memory, acts, start, stop, touched, tally)
    return memory.pool, row, count


@kernel
def _take_in(
    memory: Memory,
    rows: Rows,
    start: Int,
    stop: Int,
    touched: NDArray[np.int64],
    tally: NDArray[np.int64],
    entries: Entries,
) -> tuple[NDArray[np.uint32], Int, Int]:
    """`insert`, called by Python: the pool, the row it came to, and how many patients it touched."""
    memory = with_room(memory)
    row, count = insert(memory, rows, start, stop, touched, tally, entries)
    return memory.pool, row, count


@kernel
def _judge(
    memory: Memory, touched: NDArray[np.int64], planned: Planned, tally: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes that follow from what was foretold at the entries to be evaluated."""
    changes = np.empty((FEWEST_CHANGES, CHANGE_WIDTH), np.int64)
    room = new_workplace(planned.program)
    memory, changes, n = judge(memory, touched, planned, room, tally, changes, 0)
    return memory.pool, changes[:n]


@kernel
def _histories(
    memory: Memory,
    touched: NDArray[np.int64],
    entries: Entries,
    history: NDArray[np.float32],
    minute: NDArray[np.float32],
    eaten: NDArray[np.float32],
) -> None:
    """Fill in what lies behind each entry to be evaluated (n,), eaten in the context's integers; nothing of a patient
    at whom no rule looks."""
    found = np.empty(AGGREGATES, np.int64)
    pool, profiles = memory.pool, memory.profiles
    n: Int = 0
    for patient in touched:
        one = memory.series[np.uint64(patient)]
        first, count = int(one.first), int(one.count)
        if profiles.masks[np.uint64(one.profile)] != 0:
            unpack_since(one, pool, entry_us(one, pool, first) - LOOKS_BACK_US, entries)
            for k in range(first, count):
                t_us = entries.times_us[np.uint64(k)]
                minute[n + k - first] = local_minute(profiles, np.int64(one.profile), t_us)
                end = k + 1  # readings of the same instant are known too
                while end < count and entries.times_us[np.uint64(end)] == t_us:
                    end += 1
                _fill_in(entries, end, history, n + k - first)
                if one.context:
                    _blank(one, pool, t_us, found, history, n + k - first)
                    gather_by_age(one, pool, _EATEN, t_us, _STEP_US, eaten, n + k - first)
        n += count - first


@part
def _blank(
    one: Series,
    pool: NDArray[np.uint32],
    t_us: Int,
    found: NDArray[np.int64],
    history: NDArray[np.float32],
    row: Int,
) -> None:
    """Endless, down or up, is the newest point where the sensor said LOW or HIGH at that instant."""
    gather_context(one, pool, _BEYOND, t_us, t_us, found)
    if found[COUNT]:
        history[np.uint64(row), np.uint64(POINTS - 1)] = -np.inf if found[MIN] == 1 else np.inf


@inlined
def _fill_in(entries: Entries, end: Int, history: NDArray[np.float32], row: Int) -> None:
    """Points every five minutes back from the newest entry before place `end`, between readings linear in time; of
    one instant the last entry counts. Beyond LONGEST_GAP_US between two readings, and LOOKS_BACK_US ago, unknown."""
    later = end - 1
    newest_us = entries.times_us[np.uint64(later)]
    oldest_us = newest_us - LOOKS_BACK_US
    earlier = _before(entries, later)
    for back in range(POINTS):
        at_us = newest_us - back * _STEP_US
        while earlier >= 0 and entries.times_us[np.uint64(earlier)] >= at_us:
            later = earlier
            earlier = _before(entries, later)
        later_us = entries.times_us[np.uint64(later)]
        value = np.float64(entries.values[np.uint64(later)])
        if later_us != at_us:
            if earlier < 0 or entries.times_us[np.uint64(earlier)] < oldest_us:
                break
            gap_us = later_us - entries.times_us[np.uint64(earlier)]
            if gap_us > LONGEST_GAP_US:
                continue
            before = np.float64(entries.values[np.uint64(earlier)])
            value = before + (value - before) * (np.float64(at_us - later_us + gap_us) / np.float64(gap_us))
        history[np.uint64(row), np.uint64(POINTS - 1 - back)] = np.float32(value * _TENTH)


@inlined
def _before(entries: Entries, place: Int) -> Int:
    """The last entry of an earlier instant, -1 where there is none."""
    k = place - 1
    while k >= 0 and entries.times_us[np.uint64(k)] == entries.times_us[np.uint64(place)]:
        k -= 1
    return k
