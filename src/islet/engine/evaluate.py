"""From readings in the runs to breaches: the features of the trailing windows, and the program of all predicates.

Evaluations are gathered, `_WIDE` at a time, in the columns of a work table (registers, _WIDE) that stays in the cache;
an instruction does all of its columns in one loop that the compiler vectorises.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import gather_context
from islet.engine.foretell import LOOKS_BACK_US, foretold, slope
from islet.engine.interpret import run
from islet.engine.kernel import Int, inlined, making_part, part
from islet.engine.pool import UNIT
from islet.engine.program import (
    AGES,
    AGGREGATES,
    BYTES,
    CONTEXT,
    COUNT,
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
    Program,
)
from islet.engine.runs import entry_us, left_us, unpack_since
from islet.engine.series import (
    NARROW_TIME_SHIFT,
    NARROW_UNIT_US,
    NARROW_VALUE_SHIFT,
    NARROW_VALUES,
    NEVER,
    OVERFLOW,
    RUN_HEADER,
    WIDE,
    Entries,
    Profiles,
    Series,
)
from islet.model.ahead import UNKNOWN
from islet.model.time import DAY_US, MINUTE_US, SECOND_US

_WIDE: Final = 128
_PLAIN: Final = (SUM, COUNT, MIN, MAX, FIRST, LAST, SPAN)
PLAIN: Final = len(_PLAIN)


class Windows(NamedTuple):
    """The features of a program, those of one source and window together (w, 4): source, window_us, first feature and
    the one behind the last; `asking` (w,): the rules that need one of them. `wanted` (2, f): the aggregate and the
    register of each feature. `weighed`: some need squares or ages. `plain`: all are those of values that need neither
    them nor what was before the window; then `seconds` (w,) is how long each is, and `places` (w, PLAIN) the register
    of each of its aggregates, a spare one where nobody asks. `sums` (w, 2): where there are sums and counts only, the cells
    (of `Work`) in which those of column 0 stand, else without rows. Indices have no sign, so that it need not be looked at
    whether they count from the end. `ahead` (n, columns): what a model foretells at each of the entries to be
    evaluated; without rows, the damped slope foretells."""

    table: NDArray[np.int64]
    asking: NDArray[np.int64]
    wanted: NDArray[np.uint64]
    weighed: bool
    plain: bool
    seconds: NDArray[np.int64]
    places: NDArray[np.uint64]
    sums: NDArray[np.uint64]
    ahead: NDArray[np.int32]


def windows_of(program: Program) -> Windows:
    """How the kernel goes through the program's features: windows of one source ascending, so that one walk does all."""
    table, asking = list[tuple[int, int, int, int]](), list[int]()
    for k, (source, aggregate, window_us, _) in enumerate(program.features.tolist()):
        alone = aggregate in (PREVIOUS, PREVIOUS_AGE)
        if table and table[-1][:2] == (source, window_us) and not alone:
            table[-1] = (*table[-1][:3], k + 1)
            asking[-1] |= int(program.asking[k])
        else:
            table.append((source, window_us, k, k + 1))
            asking.append(int(program.asking[k]))
    own = program.features[program.features[:, 0] == 0][:, 1] if len(program.features) else np.empty(0, np.int64)
    weighed = bool(((own >= SQUARES) & (own < SPAN)).any())
    plain = len(own) == len(program.features) and bool(np.isin(own, _PLAIN).all())
    wanted = np.ascontiguousarray(program.features[:, [1, 3]].T.astype(np.uint64))
    rows = np.array(table, np.int64).reshape(-1, 4)
    places = np.full((len(table), PLAIN), program.registers, np.uint64)
    for row, (_, _, first, last) in enumerate(table if plain else ()):
        for aggregate, register in wanted[:, first:last].T.tolist():
            places[row, _PLAIN.index(aggregate)] = register
    seconds, nothing = rows[:, 1] // NARROW_UNIT_US, np.empty((0, 0), np.int32)
    only = bool(plain and np.isin(own, (SUM, COUNT)).all())
    sums = np.ascontiguousarray(places[: len(places) * only, (SUM, COUNT)] * np.uint64(_WIDE))
    return Windows(rows, np.array(asking, np.int64), wanted, weighed, bool(plain), seconds, places, sums, nothing)


def own_window_us(program: Program) -> int:
    """How far back the values matter: the longest window over them, or what a forecast looks at."""
    forecasts = bool((program.features[:, 0] == FORECAST).any())
    return max(program.window_us, LOOKS_BACK_US if forecasts else 0)


class Work(NamedTuple):
    """Room to work in: registers of numbers and of flags (registers, _WIDE), whose parameters a column holds (_WIDE,),
    and what was found in a window (AGGREGATES,). `cells`: the registers of numbers one behind the other."""

    registers: NDArray[np.int64]
    cells: NDArray[np.int64]
    flags: NDArray[np.int8]
    filled: NDArray[np.int64]
    found: NDArray[np.int64]


@making_part
def new_work(program: Program) -> Work:
    """Room for `evaluate`, the constants filled in; the last register is spare."""
    registers = np.zeros((program.registers + 1, _WIDE), np.int64)
    for k in range(len(program.constants)):
        for column in range(_WIDE):
            registers[program.constants[k, 0], column] = program.constants[k, 1]
    flags = np.zeros((program.flag_registers + BYTES, _WIDE), np.int8)
    return Work(registers, registers.reshape(-1), flags, np.full(_WIDE, -1, np.int64), np.zeros(AGGREGATES, np.int64))


@part
def waiting(series: NDArray[np.void], touched: NDArray[np.int64], stop: Int) -> Int:
    """How many entries of the first `stop` patients are to be evaluated."""
    total: Int = 0
    for k in range(stop):
        one = series[np.uint64(touched[k])]
        total += one.count - one.first
    return total


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
def _gather(
    one: Series,
    pool: NDArray[np.uint32],
    entries: Entries,
    place: Int,
    end: Int,
    enabled: Int,
    program: Program,
    windows: Windows,
    found: NDArray[np.int64],
    work: NDArray[np.int64],
    column: Int,
    evaluation: Int,
) -> Int:
    """Write the features at the entry into its column of the work table; the entries before place `end` are those of
    its instant or before. The earliest instant that a window over the run looked for and could not see, else NEVER."""
    t_us = entries.times_us[np.uint64(place)]
    begin = end
    total, low, high = np.int64(0), np.int64(1 << 40), np.int64(0)
    above: Int = 0
    below: Int = 0
    if windows.weighed:
        for k in range(SQUARES, SPAN):
            found[k] = 0
    for w in range(np.uint64(len(windows.asking))):
        if not enabled & windows.asking[w]:
            continue
        source, window_us = windows.table[w, 0], windows.table[w, 1]
        first, last = windows.table[w, 2], windows.table[w, 3]
        if source == FORECAST and len(windows.ahead) > 0:
            for f in range(np.uint64(first), np.uint64(last)):
                work[windows.wanted[1, f], np.uint64(column)] = windows.ahead[
                    np.uint64(evaluation), windows.wanted[0, f]
                ]
            continue
        if source == FORECAST:
            if below == 0:
                above, below = slope(entries, end)
            value = entries.values[np.uint64(end - 1)]
            ahead: Int = UNKNOWN
            if window_us > 0:
                ahead = foretold(value, above, below, window_us)
            for f in range(np.uint64(first), np.uint64(last)):
                work[windows.wanted[1, f], np.uint64(column)] = ahead
            continue
        if source >= CONTEXT:
            gather_context(one, pool, source - CONTEXT, t_us - window_us, t_us, found)
        elif program.features[first, 1] >= PREVIOUS:
            _previous(one, pool, entries, place, found)
        else:
            before = begin
            from_us = t_us - window_us
            while begin > 0 and entries.times_us[np.uint64(begin - 1)] >= from_us:
                begin -= 1
            for k in range(np.uint64(begin), np.uint64(before)):  # a loop of its own, so that it is vectorised
                value = entries.values[k]
                total += value
                low = min(low, value)
                high = max(high, value)
            if windows.weighed:
                _weigh(entries, begin, before, t_us, found)
            found[0] = total
            found[1] = end - begin
            found[2] = low
            found[3] = high
            found[4] = entries.values[np.uint64(begin)]
            found[5] = entries.values[np.uint64(end - 1)]
            found[SPAN] = np.int64(np.uint64(t_us - entries.times_us[np.uint64(begin)]) // np.uint64(SECOND_US))
        for f in range(np.uint64(first), np.uint64(last)):
            work[windows.wanted[1, f], np.uint64(column)] = found[windows.wanted[0, f]]
    return begin


@inlined
def _gather_plain(
    one: Series,
    pool: NDArray[np.uint32],
    place: Int,
    end: Int,
    enabled: Int,
    windows: Windows,
    work: NDArray[np.int64],
    column: Int,
) -> Int:
    """The same as `_gather`, for `plain` windows and a narrow run: straight from the packed words. The place of the first
    entry that a window reached."""
    at = np.uint64(int(one.run) * UNIT + RUN_HEADER)
    into = np.uint64(column)
    begin = end
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
def _gather_sums(
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
def _behind(one: Series, pool: NDArray[np.uint32], end: Int) -> Int:
    """The place behind the last entry of the instant of the one before `end`, in a narrow run."""
    at = int(one.run) * UNIT + RUN_HEADER
    time = pool[np.uint64(at + end - 1)] >> NARROW_TIME_SHIFT
    while end < one.count and pool[np.uint64(at + end)] >> NARROW_TIME_SHIFT == time:
        end += 1
    return end


@part
def local_minute(profiles: Profiles, profile: Int, t_us: Int) -> Int:
    """The minute of the local day."""
    zone = profiles.zones[profiles.zone_of[profile]]
    low, high = 0, len(zone)  # the row that holds is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if zone[middle, 0] <= t_us:
            low = middle
        else:
            high = middle
    ahead_us: Int = zone[low, 1]
    return (t_us + ahead_us) % DAY_US // MINUTE_US


@part
def evaluate(
    series: NDArray[np.void],
    pool: NDArray[np.uint32],
    touched: NDArray[np.int64],
    stop: Int,
    program: Program,
    windows: Windows,
    profiles: Profiles,
    longest_us: Int,
    room: Work,
    entries: Entries,
    tally: NDArray[np.int64],
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
) -> None:
    """Fill in the breach and clear masks (n,) of the entries to be evaluated, in the order of the first `stop` of
    `touched`, then of time.

    What a mask says about a rule that does not look at the patient has no meaning: windows that none of the
    patient's rules asks for are not computed.
    """
    work, filled, found = room.registers, room.filled, room.found
    n = 0
    column = 0
    for k in range(stop):
        one = series[np.uint64(touched[np.uint64(k)])]
        profile = np.int64(one.profile)
        enabled = profiles.masks[np.uint64(profile)]
        count = int(one.count)
        end: Int = int(one.first)
        plain = windows.plain and not one.flags & WIDE
        if not plain:
            unpack_since(one, pool, entry_us(one, pool, end) - longest_us, entries)
        for place in range(end, count):
            end = max(end, place + 1)  # readings of the same instant are in the window too
            if plain:
                t_us = entry_us(one, pool, place)
                end = _behind(one, pool, end)
                if len(windows.sums) > 0:
                    begin = _gather_sums(one, pool, place, end, enabled, windows, room, column)
                else:
                    begin = _gather_plain(one, pool, place, end, enabled, windows, work, column)
            else:
                t_us = entries.times_us[np.uint64(place)]
                work[0, np.uint64(column)] = entries.values[np.uint64(place)]
                while end < count and entries.times_us[np.uint64(end)] == t_us:
                    end += 1
                begin = _gather(
                    one, pool, entries, place, end, enabled, program, windows, found, work, column, n + column
                )
            if begin == 0 and t_us - longest_us <= left_us(one, pool):
                tally[OVERFLOW] += 1
            if filled[column] != profile:
                filled[column] = profile
                for p in range(len(program.parameters)):
                    work[program.parameters[p, 1], column] = profiles.parameters[profile, program.parameters[p, 0]]
            if program.local_minute >= 0:
                work[program.local_minute, column] = local_minute(profiles, profile, t_us)
            column += 1
            if column == _WIDE:
                run(program, work, room.flags, column, breach, clear, n)
                n += column
                column = 0
    run(program, work, room.flags, column, breach, clear, n)
