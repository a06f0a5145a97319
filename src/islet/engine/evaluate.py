"""From readings in the runs to breaches: the features of the trailing windows, and the program of all predicates."""

import numpy as np
from numpy.typing import NDArray

from islet.engine.gather import behind, gather, gather_plain, gather_sums
from islet.engine.interpret import run
from islet.engine.kernel import Int, inlined, part
from islet.engine.program import Program
from islet.engine.runs import entry_us, left_us, unpack_since
from islet.engine.series import OVERFLOW, WIDE, Memory, Profiles, Series
from islet.engine.windows import AT_ONCE, Planned, Windows, Work
from islet.engine.workplace import Verdicts, Workplace
from islet.model.time import DAY_US, MINUTE_US


@part
def waiting(series: NDArray[np.void], touched: NDArray[np.int64]) -> Int:
    """How many entries of these patients are to be evaluated."""
    total: Int = 0
    for k in range(np.uint64(len(touched))):
        one = series[np.uint64(touched[k])]
        total += one.count - one.first
    return total


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


@inlined
def _fill_in_patient(program: Program, profiles: Profiles, profile: Int, t_us: Int, room: Work, column: Int) -> None:
    """Write what the column is to know of the patient: parameters, where they are another's, and the time of day."""
    if room.filled[column] != profile:
        room.filled[column] = profile
        for p in range(len(program.parameters)):
            parameter = profiles.parameters[profile, program.parameters[p, 0]]
            room.registers[program.parameters[p, 1], column] = parameter
    if program.local_minute >= 0:
        room.registers[program.local_minute, column] = local_minute(profiles, profile, t_us)


@inlined
def _fill_in_entry(
    one: Series,
    pool: NDArray[np.uint32],
    parameters: NDArray[np.int64],
    place: Int,
    end: Int,
    enabled: Int,
    plain: bool,
    windows: Windows,
    room: Workplace,
    column: Int,
    evaluation: Int,
) -> tuple[Int, Int]:
    """Write what the column is to know of the entry, where those before `end` are known to be of its instant or before:
    readings of the same instant are in the window too. (The place behind them, the first place that a window reached.)"""
    if plain:
        end = behind(one, pool, end)
        if len(windows.sums) > 0:
            return end, gather_sums(one, pool, place, end, enabled, windows, room.work, column)
        return end, gather_plain(one, pool, place, end, enabled, windows, room.work, column)
    entries = room.entries
    while end < one.count and entries.times_us[np.uint64(end)] == entries.times_us[np.uint64(place)]:
        end += 1
    room.work.registers[0, np.uint64(column)] = entries.values[np.uint64(place)]
    return end, gather(one, pool, parameters, place, end, enabled, windows, room, column, evaluation)


@part
def evaluate(
    memory: Memory,
    touched: NDArray[np.int64],
    planned: Planned,
    room: Workplace,
    tally: NDArray[np.int64],
    verdicts: Verdicts,
) -> None:
    """Fill in the verdicts (n,) on the entries to be evaluated, in the order of the touched patients, then of time.

    What a mask says about a rule that does not look at the patient has no meaning: windows that none of the
    patient's rules asks for are not computed.
    """
    pool, profiles, work = memory.pool, memory.profiles, room.work
    parameters = profiles.parameters
    program, windows = planned
    n = column = 0
    for k in range(np.uint64(len(touched))):
        one = memory.series[np.uint64(touched[k])]
        profile = np.int64(one.profile)
        enabled = profiles.masks[np.uint64(profile)]
        end: Int = int(one.first)
        plain = windows.plain and not one.flags & WIDE
        if not plain:
            unpack_since(one, pool, entry_us(one, pool, end) - windows.longest_us, room.entries)
        for place in range(end, int(one.count)):
            behind_it = max(end, place + 1)
            end, begin = _fill_in_entry(
                one, pool, parameters, place, behind_it, enabled, plain, windows, room, column, n + column
            )
            t_us = entry_us(one, pool, place)
            if begin == 0 and t_us - windows.longest_us <= left_us(one, pool):
                tally[OVERFLOW] += 1
            _fill_in_patient(program, profiles, profile, t_us, work, column)
            column += 1
            if column == AT_ONCE:
                run(program, work.registers, work.flags, column, verdicts.breach, verdicts.clear, n)
                n += column
                column = 0
    run(program, work.registers, work.flags, column, verdicts.breach, verdicts.clear, n)
