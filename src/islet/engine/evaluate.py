"""From readings in the rings to breaches: the features of the trailing windows, and the program of all predicates.

Evaluations are gathered, `_WIDE` at a time, in the columns of a work table (registers, _WIDE) that stays in the cache;
an instruction does all of its columns in one loop that the compiler vectorises.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import part
from islet.engine.predicates import ADD, AND, AT_LEAST, EQUAL, GREATER, MULTIPLY
from islet.engine.windows import slot

_WIDE: Final = 128


class Program(NamedTuple):
    """All rules of a plan as the kernels read them; rule i is bit i of every mask.

    `windows_us` (w,): distinct windows, ascending; `asking` (w,): the rules that look at them. `places` (w, 6): which
    register holds the sum, count, min, max, first and last of each window, -1 where no rule asks for it; glucose is
    register 0. `instructions` (k, 4): instruction, left, right, result. `constants` (c, 2): register, value. `flags`
    (r, 2): the registers of breach and clear, -1 for a silence. `silence_us` (r,): its length, 0 for the others.
    `reading_bits`: the rules that look at readings.
    """

    windows_us: NDArray[np.int64]
    asking: NDArray[np.int64]
    places: NDArray[np.int64]
    instructions: NDArray[np.int64]
    constants: NDArray[np.int64]
    registers: int
    flags: NDArray[np.int64]
    silence_us: NDArray[np.int64]
    reading_bits: int


@part
def work_table(program: Program) -> NDArray[np.int64]:
    """Registers for `evaluate` (registers, _WIDE), the constants filled in."""
    work = np.zeros((program.registers, _WIDE), np.int64)
    for k in range(len(program.constants)):
        for column in range(_WIDE):
            work[program.constants[k, 0], column] = program.constants[k, 1]
    return work


@part
def _window(
    rings: NDArray[np.void],
    patient: int,
    head: int,
    end: int,
    from_us: int,
    places: NDArray[np.int64],
    window: int,
    work: NDArray[np.int64],
    column: int,
) -> None:
    """Aggregates of the entries before place `end` that are not older than `from_us`, written where the plan says."""
    last = np.int64(rings[patient, slot(rings, head, end - 1)].tenths)
    first, low, high, total = last, last, last, np.int64(0)
    begin = end
    while begin > 0:
        entry = rings[patient, slot(rings, head, begin - 1)]
        if entry.time_us < from_us:
            break
        first = np.int64(entry.tenths)
        total += first
        low = min(low, first)
        high = max(high, first)
        begin -= 1
    found = (total, end - begin, low, high, first, last)
    for k in range(6):
        if places[window, k] >= 0:
            work[places[window, k], column] = found[k]


@part
def _run(
    program: Program,
    work: NDArray[np.int64],
    columns: int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    n: int,
) -> None:
    """Do the program for the first `columns` of the work table; the masks go to places n and following."""
    for k in range(len(program.instructions)):
        instruction = program.instructions[k, 0]
        left = work[program.instructions[k, 1]]
        right = work[program.instructions[k, 2]]
        result = work[program.instructions[k, 3]]
        if instruction == GREATER:
            for c in range(columns):
                result[c] = left[c] > right[c]
        elif instruction == AT_LEAST:
            for c in range(columns):
                result[c] = left[c] >= right[c]
        elif instruction == EQUAL:
            for c in range(columns):
                result[c] = left[c] == right[c]
        elif instruction == ADD:
            for c in range(columns):
                result[c] = left[c] + right[c]
        elif instruction == MULTIPLY:
            for c in range(columns):
                result[c] = left[c] * right[c]
        elif instruction == AND:
            for c in range(columns):
                result[c] = left[c] & right[c]
        else:
            for c in range(columns):
                result[c] = left[c] | right[c]
    for c in range(columns):
        breach[n + c] = 0
        clear[n + c] = 0
    for rule in range(len(program.flags)):
        if program.flags[rule, 0] >= 0:
            breached = work[program.flags[rule, 0]]
            cleared = work[program.flags[rule, 1]]
            for c in range(columns):
                breach[n + c] |= breached[c] << rule
                clear[n + c] |= cleared[c] << rule


@part
def evaluate(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    touched: NDArray[np.int64],
    program: Program,
    work: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Breach and clear masks (n,) of the entries to be evaluated, in the order of `touched`, then of time.

    What a mask says about a rule that does not look at the patient has no meaning: windows that none of the
    patient's rules asks for are not computed.
    """
    total = 0
    for patient in touched:
        total += series[patient].count - series[patient].touched
    breach = np.empty(total, np.int64)
    clear = np.empty(total, np.int64)
    n = 0
    column = 0
    for patient in touched:
        one = series[patient]
        head, count, end = int(one.head), int(one.count), int(one.touched)
        for place in range(end, count):
            entry = rings[patient, slot(rings, head, place)]
            work[0, column] = entry.tenths
            end = max(end, place + 1)  # readings of the same instant are in the window too
            while end < count and rings[patient, slot(rings, head, end)].time_us == entry.time_us:
                end += 1
            for w in range(len(program.windows_us)):
                if one.enabled & program.asking[w]:
                    from_us = entry.time_us - program.windows_us[w]
                    _window(rings, patient, head, end, from_us, program.places, w, work, column)
            column += 1
            if column == _WIDE:
                _run(program, work, column, breach, clear, n)
                n += column
                column = 0
    _run(program, work, column, breach, clear, n)
    return breach, clear
