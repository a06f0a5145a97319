"""The features of one evaluation, from the readings in the run into a column of the work table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import context_from, gather_context
from islet.engine.foretell import foretold, slope
from islet.engine.kernel import Int, inlined, part
from islet.engine.pool import UNIT
from islet.engine.program import (
    AGES,
    CONTEXT,
    COUNT,
    COUNT_FROM,
    FIRST,
    FORECAST,
    LAST,
    MAX,
    MIN,
    PREVIOUS,
    PREVIOUS_AGE,
    SPAN,
    SQUARES,
    SUM,
    SUM_FROM,
)
from islet.engine.runs import left_us
from islet.engine.series import (
    NARROW_TIME_SHIFT,
    NARROW_VALUE_SHIFT,
    NARROW_VALUES,
    NEVER,
    RUN_HEADER,
    Entries,
    Series,
)
from islet.engine.windows import Windows, Work
from islet.engine.workplace import Workplace
from islet.model.ahead import UNKNOWN
from islet.model.time import SECOND_US


@part
def _weigh(entries: Entries, begin: Int, end: Int, t_us: Int, found: NDArray[np.int64]) -> None:
    """Add the squares and ages of entries [begin, end) to what was found."""
    for k in range(np.uint64(begin), np.uint64(end)):
        value = entries.values[k]
        age = np.int64(np.uint64(t_us - entries.times_us[k]) // np.uint64(SECOND_US))
        found[SQUARES] += value * value
        found[AGES] += age
        found[AGES + 1] += age * age
        found[AGES + 2] += age * value


@part
def _previous(one: Series, pool: NDArray[np.uint32], entries: Entries, place: Int, found: NDArray[np.int64]) -> None:
    """The value of the last instant before that of the entry, and how long ago that was."""
    t_us = entries.times_us[place]
    k = place
    while k > 0 and entries.times_us[k - 1] == t_us:
        k -= 1
    found[PREVIOUS] = 0
    found[PREVIOUS_AGE] = -1
    if k > 0:
        found[PREVIOUS] = entries.values[k - 1]
        found[PREVIOUS_AGE] = (t_us - entries.times_us[k - 1]) // SECOND_US
    elif left_us(one, pool) != NEVER:
        found[PREVIOUS] = np.int64(pool[int(one.run) * UNIT + 2])
        found[PREVIOUS_AGE] = (t_us - left_us(one, pool)) // SECOND_US


@inlined
def _foretell(
    entries: Entries,
    end: Int,
    w: Int,
    slopes: tuple[Int, Int],
    windows: Windows,
    room: Work,
    column: Int,
    evaluation: Int,
) -> tuple[Int, Int]:
    """Write what a model foretells, or else the damped slope; the slope, which is looked up once."""
    into, first, last = np.uint64(column), np.uint64(windows.table[w, 2]), np.uint64(windows.table[w, 3])
    if len(windows.ahead) > 0:
        for f in range(first, last):
            room.registers[windows.wanted[1, f], into] = windows.ahead[np.uint64(evaluation), windows.wanted[0, f]]
        return slopes
    if slopes[1] == 0:
        slopes = slope(entries, end)
    ahead: Int = UNKNOWN
    if windows.table[w, 1] > 0:
        ahead = foretold(entries.values[np.uint64(end - 1)], slopes[0], slopes[1], windows.undamped_s[w])
    for f in range(first, last):
        room.registers[windows.wanted[1, f], into] = ahead
    return slopes


class _Window(NamedTuple):
    """A window as far as it has been walked: its first entry, and the sum, the least and the greatest of its values."""

    begin: Int
    total: Int
    low: Int
    high: Int


@inlined
def _walk_back(
    entries: Entries, known: _Window, end: Int, from_us: Int, t_us: Int, weighed: bool, found: NDArray[np.int64]
) -> _Window:
    """Widen the window, which ends before place `end`, to the instant `from_us`, and write what is found in it."""
    begin, total, low, high = known
    while begin > 0 and entries.times_us[np.uint64(begin - 1)] >= from_us:
        begin -= 1
    for k in range(np.uint64(begin), np.uint64(known.begin)):  # a loop of its own, so that it is vectorised
        value = entries.values[k]
        total += value
        low = min(low, value)
        high = max(high, value)
    if weighed:
        _weigh(entries, begin, known.begin, t_us, found)
    found[SUM], found[COUNT], found[MIN], found[MAX] = total, end - begin, low, high
    found[FIRST], found[LAST] = entries.values[np.uint64(begin)], entries.values[np.uint64(end - 1)]
    found[SPAN] = np.int64(np.uint64(t_us - entries.times_us[np.uint64(begin)]) // np.uint64(SECOND_US))
    return _Window(begin, total, low, high)


@inlined
def _least(bound: NDArray[np.int64], parameters: NDArray[np.int64], profile: Int) -> Int:
    """The least value that is counted from a bound upwards."""
    known: Int = 0 if bound[0] < 0 else parameters[profile, bound[0]]
    least: Int = (known * bound[1] + bound[2]) // bound[3]
    return least


@inlined
def _from(entries: Entries, begin: Int, end: Int, t_us: Int, aggregate: Int, least: Int) -> Int:
    """What is made of those of the entries [begin, end) that are at least so much."""
    found: Int = 0
    if aggregate == COUNT_FROM:
        for k in range(np.uint64(begin), np.uint64(end)):
            found += np.int64(entries.values[k] >= least)
    elif aggregate == SUM_FROM:
        for k in range(np.uint64(begin), np.uint64(end)):
            found += entries.values[k] if entries.values[k] >= least else 0
    else:
        last = end - 1
        while last >= begin and entries.values[last] < least:
            last -= 1
        if last >= begin:
            found = (t_us - entries.times_us[last]) // SECOND_US + 1
    return found


@inlined
def gather(
    one: Series,
    pool: NDArray[np.uint32],
    parameters: NDArray[np.int64],
    place: Int,
    end: Int,
    enabled: Int,
    windows: Windows,
    room: Workplace,
    column: Int,
    evaluation: Int,
) -> Int:
    """Write the features at the entry into its column of the work table; the entries before place `end` are those of
    its instant or before. The place of the first entry that a window reached."""
    entries, found, work = room.entries, room.work.found, room.work.registers
    t_us = entries.times_us[np.uint64(place)]
    window = _Window(np.int64(end), np.int64(0), np.int64(1 << 40), np.int64(0))
    slopes: tuple[Int, Int] = (np.int64(0), np.int64(0))
    for k in range(SQUARES, SPAN):
        found[k] = 0
    for w in range(np.uint64(len(windows.asking))):
        if not enabled & windows.asking[w]:
            continue
        source, from_us = windows.table[w, 0], t_us - windows.table[w, 1]
        first, last = windows.table[w, 2], windows.table[w, 3]
        if source == FORECAST:
            slopes = _foretell(entries, end, w, slopes, windows, room.work, column, evaluation)
            continue
        if source >= CONTEXT and not one.context:
            for f in range(np.uint64(first), np.uint64(last)):
                work[windows.wanted[1, f], np.uint64(column)] = 0
            continue
        aggregate = np.int64(windows.wanted[0, np.uint64(first)])
        if source >= CONTEXT and aggregate >= COUNT_FROM:
            least = _least(windows.bounds[w], parameters, np.int64(one.profile))
            found[aggregate] = context_from(one, pool, source - CONTEXT, from_us, t_us, aggregate, least)
        elif source >= CONTEXT:
            gather_context(one, pool, source - CONTEXT, from_us, t_us, found)
        elif PREVIOUS <= aggregate <= PREVIOUS_AGE:
            _previous(one, pool, entries, place, found)
        else:
            window = _walk_back(entries, window, end, from_us, t_us, windows.weighed[w], found)
            if aggregate >= COUNT_FROM:
                least = _least(windows.bounds[w], parameters, np.int64(one.profile))
                found[aggregate] = _from(entries, window.begin, end, t_us, aggregate, least)
        for f in range(np.uint64(first), np.uint64(last)):
            work[windows.wanted[1, f], np.uint64(column)] = found[windows.wanted[0, f]]
    return window.begin


@inlined
def gather_plain(
    one: Series, pool: NDArray[np.uint32], place: Int, end: Int, enabled: Int, windows: Windows, room: Work, column: Int
) -> Int:
    """The same for `plain` windows and a narrow run: straight from the packed words."""
    at = np.uint64(int(one.run) * UNIT + RUN_HEADER)
    into = np.uint64(column)
    work, begin = room.registers, end
    word = np.int64(pool[at + np.uint64(end - 1)])
    now, last = word >> NARROW_TIME_SHIFT, (word >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
    work[0, into] = (np.int64(pool[at + np.uint64(place)]) >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
    value = last
    total, low, high = np.int64(0), np.int64(1 << 40), np.int64(0)
    for w in range(np.uint64(len(windows.asking))):
        if not enabled & windows.asking[w]:
            continue
        least = max(now - windows.seconds[w], np.int64(0)) << NARROW_TIME_SHIFT
        while begin > 0:
            before = np.int64(pool[at + np.uint64(begin - 1)])
            if before < least:
                break
            begin -= 1
            word = before
            value = (word >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
            total += value
            low = min(low, value)
            high = max(high, value)
        places = windows.places[w]
        work[places[0], into] = total
        work[places[1], into] = end - begin
        work[places[2], into] = low
        work[places[3], into] = high
        work[places[4], into] = value
        work[places[5], into] = last
        work[places[6], into] = now - (word >> NARROW_TIME_SHIFT)
    return begin


@inlined
def gather_sums(
    one: Series, pool: NDArray[np.uint32], place: Int, end: Int, enabled: Int, windows: Windows, room: Work, column: Int
) -> Int:
    """The same for `sums`, which are what most rules about averages need."""
    at = np.uint64(int(one.run) * UNIT + RUN_HEADER)
    into = np.uint64(column)
    begin = end
    now = np.int64(pool[at + np.uint64(end - 1)]) >> NARROW_TIME_SHIFT
    room.cells[into] = (np.int64(pool[at + np.uint64(place)]) >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
    total: Int = 0
    for w in range(np.uint64(len(windows.asking))):
        if not enabled & windows.asking[w]:
            continue
        least = max(now - windows.seconds[w], np.int64(0)) << NARROW_TIME_SHIFT
        while begin > 0:
            word = np.int64(pool[at + np.uint64(begin - 1)])
            if word < least:
                break
            begin -= 1
            total += (word >> NARROW_VALUE_SHIFT) & (NARROW_VALUES - 1)
        room.cells[windows.sums[w, 0] + into] = total
        room.cells[windows.sums[w, 1] + into] = end - begin
    return begin


@inlined
def behind(one: Series, pool: NDArray[np.uint32], end: Int) -> Int:
    """The place behind the last entry of the instant of the one before `end`, in a narrow run."""
    at = int(one.run) * UNIT + RUN_HEADER
    time = pool[np.uint64(at + end - 1)] >> NARROW_TIME_SHIFT
    while end < one.count and pool[np.uint64(at + end)] >> NARROW_TIME_SHIFT == time:
        end += 1
    return end
