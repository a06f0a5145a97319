"""The instructions of a program, done for many evaluations at once.

A register is a row of a work table, an evaluation a column of it; an instruction does all columns in one loop that
the compiler vectorises. Registers of numbers hold int64, those of flags int8: all bits set is true and 0 is false, so
that a flag takes an eighth of the room. Nothing here can overflow: the planner has looked at the bounds of every
result (`islet.engine.code`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, part
from islet.engine.program import BYTES, Ladders, Program

# left and right are registers
ADD: Final = 0
SUBTRACT: Final = 1
MULTIPLY: Final = 2
DIVIDE: Final = 3  # right is positive where anybody asks; rounds down
GREATER: Final = 4
AT_LEAST: Final = 5
EQUAL: Final = 6
AND: Final = 7
OR: Final = 8
AND_NOT: Final = 9
# left is a register, right a number
ADD_NUMBER: Final = 10
TIMES_NUMBER: Final = 11
ABOVE_NUMBER: Final = 12
BELOW_NUMBER: Final = 13
EQUALS_NUMBER: Final = 14
DIVIDE_NUMBER: Final = 15  # right is positive; rounds down
REMAINDER_NUMBER: Final = 16  # left is never negative, right positive
# right has no meaning
ABSOLUTE: Final = 17
NOT: Final = 18
# what only the writer of registers makes: comparisons with a multiple, and a flag as 0 or 1
GREATER_TIMES: Final = 19  # left > right * number
TIMES_GREATER: Final = 20  # left * number > right
AT_LEAST_TIMES: Final = 21
TIMES_AT_LEAST: Final = 22
AS_NUMBER: Final = 23

ON_FLAGS: Final = frozenset((AND, OR, AND_NOT, NOT))
"""Their sides are flags, and so is what they give."""
COMPARISONS: Final = frozenset((GREATER, AT_LEAST, EQUAL, ABOVE_NUMBER, BELOW_NUMBER, EQUALS_NUMBER))
"""Their sides are numbers, and what they give is a flag."""


@part
def run(
    program: Program,
    work: NDArray[np.int64],
    flags: NDArray[np.int8],
    columns: Int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    n: Int,
) -> None:
    """Do the program for the first `columns` of the work tables; the masks go to places n and following.

    Rows are reached by two indices: a slice for each would cost as much as the loop over it.
    """
    for k in range(len(program.instructions)):
        kind, a, b = program.instructions[k, 0], program.instructions[k, 1], program.instructions[k, 2]
        number, to = program.instructions[k, 3], program.instructions[k, 4]
        if AND <= kind <= AND_NOT or kind == NOT:
            _combine(kind, a, b, to, flags, columns)
        elif kind in (ADD, SUBTRACT, MULTIPLY) or ADD_NUMBER <= kind <= TIMES_NUMBER:
            _calculate(kind, a, b, number, to, work, columns)
        elif GREATER_TIMES <= kind <= TIMES_AT_LEAST:
            _compare_multiples(kind, a, b, number, to, work, flags, columns)
        elif kind in (GREATER, AT_LEAST, ABOVE_NUMBER, BELOW_NUMBER):
            _compare(kind, a, b, number, to, work, flags, columns)
        elif kind == DIVIDE:
            for c in range(columns):
                work[to, c] = work[a, c] // max(work[b, c], 1)  # where nobody asks, anything may stand there
        else:
            _seldom(kind, a, b, number, to, work, flags, columns)
    breached, cleared = breach[n : n + columns], clear[n : n + columns]
    _gather(program, 0, flags, breached)
    _gather(program, 1, flags, cleared)
    for k in range(len(program.ladders.table)):
        _look_up(program.ladders, k, work, cleared if program.ladders.table[k, 0] else breached)
    for c in range(columns):
        cleared[c] |= ~breached[c] & program.opposite


@inlined
def _combine(kind: Int, a: Int, b: Int, to: Int, flags: NDArray[np.int8], columns: Int) -> None:
    if kind == OR:
        for c in range(columns):
            flags[to, c] = flags[a, c] | flags[b, c]
    elif kind == AND:
        for c in range(columns):
            flags[to, c] = flags[a, c] & flags[b, c]
    elif kind == AND_NOT:
        for c in range(columns):
            flags[to, c] = flags[a, c] & ~flags[b, c]
    else:
        for c in range(columns):
            flags[to, c] = ~flags[a, c]


@inlined
def _compare(
    kind: Int, a: Int, b: Int, number: Int, to: Int, work: NDArray[np.int64], flags: NDArray[np.int8], columns: Int
) -> None:
    if kind == ABOVE_NUMBER:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] > number)
    elif kind == BELOW_NUMBER:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] < number)
    elif kind == GREATER:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] > work[b, c])
    else:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] >= work[b, c])


@inlined
def _compare_multiples(
    kind: Int, a: Int, b: Int, number: Int, to: Int, work: NDArray[np.int64], flags: NDArray[np.int8], columns: Int
) -> None:
    if kind == GREATER_TIMES:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] > work[b, c] * number)
    elif kind == TIMES_GREATER:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] * number > work[b, c])
    elif kind == AT_LEAST_TIMES:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] >= work[b, c] * number)
    else:
        for c in range(columns):
            flags[to, c] = -np.int8(work[a, c] * number >= work[b, c])


@inlined
def _calculate(kind: Int, a: Int, b: Int, number: Int, to: Int, work: NDArray[np.int64], columns: Int) -> None:
    if kind == ADD_NUMBER:
        for c in range(columns):
            work[to, c] = work[a, c] + number
    elif kind == TIMES_NUMBER:
        for c in range(columns):
            work[to, c] = work[a, c] * number
    elif kind == SUBTRACT:
        for c in range(columns):
            work[to, c] = work[a, c] - work[b, c]
    elif kind == MULTIPLY:
        for c in range(columns):
            work[to, c] = work[a, c] * work[b, c]
    else:
        for c in range(columns):
            work[to, c] = work[a, c] + work[b, c]


@part
def _seldom(
    kind: Int, a: Int, b: Int, number: Int, to: Int, work: NDArray[np.int64], flags: NDArray[np.int8], columns: Int
) -> None:
    """The instructions that few rules need."""
    for c in range(columns):
        if kind == DIVIDE_NUMBER:
            work[to, c] = work[a, c] // number
        elif kind == REMAINDER_NUMBER:
            work[to, c] = work[a, c] % number
        elif kind == ABSOLUTE:
            work[to, c] = abs(work[a, c])
        elif kind == AS_NUMBER:
            work[to, c] = flags[a, c] & 1
        elif kind == EQUAL:
            flags[to, c] = -np.int8(work[a, c] == work[b, c])
        else:
            flags[to, c] = -np.int8(work[a, c] == number)


@part
def _look_up(ladders: Ladders, k: Int, work: NDArray[np.int64], masks: NDArray[np.int64]) -> None:
    """Add to the masks (columns,) what one ladder sets in them; the last register is spare."""
    left, right, up = ladders.table[k, 1], ladders.table[k, 2], ladders.table[k, 3]
    low, width = ladders.table[k, 4], ladders.table[k, 5]
    spare = len(work) - 1
    if right < 0:
        for c in range(len(masks)):
            work[spare, c] = min(max(work[left, c] - low, 0), width)
    else:
        for c in range(len(masks)):
            divisor = max(work[right, c], 1)  # where nobody asks for the quotient, anything may stand there
            quotient = np.int64(np.float64(work[left, c] + up * (divisor - 1)) / np.float64(divisor))
            work[spare, c] = min(max(quotient - low, 0), width)
    first_part, first_mask = np.uint64(ladders.table[k, 6]), np.uint64(ladders.table[k, 7])
    for c in range(np.uint64(len(masks))):
        masks[c] |= ladders.masks[first_mask + ladders.parts[first_part + np.uint64(work[np.uint64(spare), c])]]


@part
def _gather(program: Program, side: Int, flags: NDArray[np.int8], masks: NDArray[np.int64]) -> None:
    """Write the masks (columns,) of one side of the rules' flags. Eight rules are gathered in a byte a column first, in
    the last rows of the flags."""
    first = len(flags) - BYTES
    rules = len(program.flags)
    masks[:] = 0
    for start in range(0, rules, 8):
        into = first + start // 8
        some = np.int64(0)
        for rule in range(start, min(start + 8, rules)):
            a = program.flags[rule, side]
            if a < 0:
                continue
            bit = np.int8(np.int64(1) << (rule - start))
            if some == 0:
                for c in range(len(masks)):
                    flags[into, c] = flags[a, c] & bit
            else:
                for c in range(len(masks)):
                    flags[into, c] |= flags[a, c] & bit
            some = np.int64(1)
        if some:
            for c in range(len(masks)):
                masks[c] |= (np.int64(flags[into, c]) & 0xFF) << start
