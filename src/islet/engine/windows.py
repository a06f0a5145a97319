"""The windows of a program: how the kernel goes through its features, and the room that it works in.

Evaluations are gathered, AT_ONCE at a time, in the columns of a work table (registers, AT_ONCE) that stays in the
cache; an instruction does all of its columns in one loop that the compiler vectorises.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.foretell import LOOKS_BACK_US, undamped_s
from islet.engine.kernel import making_part
from islet.engine.program import (
    AGGREGATES,
    BYTES,
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
    VALUE,
    Features,
    Program,
)  # fmt: skip
from islet.engine.series import NARROW_UNIT_US

AT_ONCE: Final = 128
_PLAIN: Final = (SUM, COUNT, MIN, MAX, FIRST, LAST, SPAN)
PLAIN: Final = len(_PLAIN)


class Windows(NamedTuple):
    """The features of a program, those of one source and window together (w, 4): source, window_us, first feature and
    the one behind the last; `asking` (w,): the rules that need one of them. `wanted` (2, f): the aggregate and the
    register of each feature. `weighed` (w,): whether it or a wider one of values needs squares or ages. `undamped_s` (w,): of
    a forecast, how long the slope goes on to make what it makes damped. `plain`: all are those of values that need neither
    weights nor what was before the window; then `seconds` (w,) is how long each is, and `places` (w, PLAIN) the register
    of each of its aggregates, a spare one where nobody asks. `sums` (w, 2): where there are sums and counts only, the cells
    (of `Work`) in which those of column 0 stand, else without rows. Indices have no sign, so that it need not be looked at
    whether they count from the end. `longest_us`: how far back values matter. `ahead` (n, columns): what a model foretells
    at each of the entries to be evaluated; without rows, the damped slope foretells. `bounds` (w, 4): of a window of what is
    made from a bound upwards, which is a window by itself, that bound (`islet.engine.program.Features`)."""

    table: NDArray[np.int64]
    asking: NDArray[np.int64]
    wanted: NDArray[np.uint64]
    weighed: NDArray[np.bool_]
    undamped_s: NDArray[np.int64]
    plain: bool
    seconds: NDArray[np.int64]
    places: NDArray[np.uint64]
    sums: NDArray[np.uint64]
    longest_us: int
    ahead: NDArray[np.int32]
    bounds: NDArray[np.int64]


class Planned(NamedTuple):
    """What the kernels have of a plan: the program of its rules, and its windows."""

    program: Program
    windows: Windows


def windows_of(features: Features, registers: int, *, foretold: bool) -> Windows:
    """How the kernel goes through the features of a program with so many registers: windows of one source ascending, so
    that one walk does all. `foretold`: a model fills in forecasts, not the damped slope."""
    table, asking = list[tuple[int, int, int, int]](), list[int]()
    for k, (source, aggregate, window_us, _) in enumerate(features.table.tolist()):
        alone = aggregate in (PREVIOUS, PREVIOUS_AGE) or aggregate >= COUNT_FROM
        if table and table[-1][:2] == (source, window_us) and not alone:
            table[-1] = (*table[-1][:3], k + 1)
            asking[-1] |= int(features.asking[k])
        else:
            table.append((source, window_us, k, k + 1))
            asking.append(int(features.asking[k]))
    own = features.table[features.table[:, 0] == VALUE][:, 1]
    plain = len(own) == len(features.table) and bool(np.isin(own, _PLAIN).all())
    wanted = np.ascontiguousarray(features.table[:, [1, 3]].T.astype(np.uint64))
    rows = np.array(table, np.int64).reshape(-1, 4)
    places = np.full((len(table), PLAIN), registers, np.uint64)
    for row, (_, _, first, last) in enumerate(table if plain else ()):
        for aggregate, register in wanted[:, first:last].T.tolist():
            places[row, _PLAIN.index(aggregate)] = register
    seconds, nothing = rows[:, 1] // NARROW_UNIT_US, np.empty((0, 0), np.int32)
    only = bool(plain and np.isin(own, (SUM, COUNT)).all())
    sums = np.ascontiguousarray(places[: len(places) * only, (SUM, COUNT)] * np.uint64(AT_ONCE))
    slope = not foretold and bool((features.table[:, 0] == FORECAST).any())
    weighing = (features.table[:, 0] == VALUE) & (features.table[:, 1] >= SQUARES) & (features.table[:, 1] < SPAN)
    weighed = rows[:, 2] <= max(np.flatnonzero(weighing), default=-1)
    undamped = np.array([undamped_s(window_us) for window_us in rows[:, 1].tolist()], np.int64)
    longest_us = max(features.window_us, LOOKS_BACK_US if slope else 0)
    bounds = features.bounds[rows[:, 2]]
    asked = np.array(asking, np.int64)
    return Windows(rows, asked, wanted, weighed, undamped, plain, seconds, places, sums, longest_us, nothing, bounds)


class Work(NamedTuple):
    """Room to work in: registers of numbers and of flags (registers, AT_ONCE), whose parameters a column holds (AT_ONCE,),
    and what was found in a window (AGGREGATES,). `cells`: the registers of numbers one behind the other."""

    registers: NDArray[np.int64]
    cells: NDArray[np.int64]
    flags: NDArray[np.int8]
    filled: NDArray[np.int64]
    found: NDArray[np.int64]


@making_part
def new_work(program: Program) -> Work:
    """Room for `evaluate`, the constants filled in; the last register is spare."""
    registers = np.zeros((program.registers + 1, AT_ONCE), np.int64)
    for k in range(len(program.constants)):
        for column in range(AT_ONCE):
            registers[program.constants[k, 0], column] = program.constants[k, 1]
    flags = np.zeros((program.flag_registers + BYTES, AT_ONCE), np.int8)
    return Work(registers, registers.reshape(-1), flags, np.full(AT_ONCE, -1, np.int64), np.zeros(AGGREGATES, np.int64))
