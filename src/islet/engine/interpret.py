"""The instructions of a program, done for many evaluations at once.

A register is a row of the work table, an evaluation a column of it; an instruction does all columns in one loop that
the compiler vectorises. Registers hold int64; true is 1 and false is 0. Nothing here can overflow: the planner has
looked at the bounds of every result (`islet.engine.code`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, part
from islet.engine.program import Program

# left and right are registers
ADD: Final = 0
SUBTRACT: Final = 1
MULTIPLY: Final = 2
GREATER: Final = 3
AT_LEAST: Final = 4
EQUAL: Final = 5
AND: Final = 6
OR: Final = 7
AND_NOT: Final = 8
# left is a register, right a number
ADD_NUMBER: Final = 9
TIMES_NUMBER: Final = 10
ABOVE_NUMBER: Final = 11
BELOW_NUMBER: Final = 12
EQUALS_NUMBER: Final = 13
DIVIDE_NUMBER: Final = 14  # left is never negative, right positive; rounds down
REMAINDER_NUMBER: Final = 15  # the same
# right has no meaning
ABSOLUTE: Final = 16
NOT: Final = 17


@part
def run(
    program: Program,
    work: NDArray[np.int64],
    columns: Int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    n: Int,
) -> None:
    """Do the program for the first `columns` of the work table; the masks go to places n and following.

    Rows are reached by two indices: a slice for each would cost as much as the loop over it.
    """
    for k in range(len(program.instructions)):
        kind, a = program.instructions[k, 0], program.instructions[k, 1]
        b, to = program.instructions[k, 2], program.instructions[k, 3]
        if kind == ABOVE_NUMBER:
            for c in range(columns):
                work[to, c] = work[a, c] > b
        elif kind == BELOW_NUMBER:
            for c in range(columns):
                work[to, c] = work[a, c] < b
        elif kind == GREATER:
            for c in range(columns):
                work[to, c] = work[a, c] > work[b, c]
        elif kind == AT_LEAST:
            for c in range(columns):
                work[to, c] = work[a, c] >= work[b, c]
        elif kind == TIMES_NUMBER:
            for c in range(columns):
                work[to, c] = work[a, c] * b
        elif kind == MULTIPLY:
            for c in range(columns):
                work[to, c] = work[a, c] * work[b, c]
        elif kind == ADD:
            for c in range(columns):
                work[to, c] = work[a, c] + work[b, c]
        elif kind == SUBTRACT:
            for c in range(columns):
                work[to, c] = work[a, c] - work[b, c]
        elif kind == ADD_NUMBER:
            for c in range(columns):
                work[to, c] = work[a, c] + b
        elif kind == AND:
            for c in range(columns):
                work[to, c] = work[a, c] & work[b, c]
        elif kind == OR:
            for c in range(columns):
                work[to, c] = work[a, c] | work[b, c]
        elif kind == AND_NOT:
            for c in range(columns):
                work[to, c] = work[a, c] & ~work[b, c]
        elif kind == NOT:
            for c in range(columns):
                work[to, c] = work[a, c] ^ 1
        else:
            _seldom(kind, a, b, to, work, columns)
    breached, cleared = breach[n : n + columns], clear[n : n + columns]
    breached[:] = 0
    cleared[:] = 0
    opposite = np.int64(0)
    for rule in range(len(program.flags)):
        a, b = program.flags[rule, 0], program.flags[rule, 1]
        if a >= 0:
            for c in range(columns):
                breached[c] |= work[a, c] << rule
        if b >= 0:
            for c in range(columns):
                cleared[c] |= work[b, c] << rule
        elif a >= 0:
            opposite |= np.int64(1) << rule
    for c in range(columns):
        cleared[c] |= ~breached[c] & opposite


@part
def _seldom(kind: Int, a: Int, b: Int, to: Int, work: NDArray[np.int64], columns: Int) -> None:
    """The instructions that few rules need."""
    for c in range(columns):
        if kind == DIVIDE_NUMBER:
            work[to, c] = work[a, c] // b
        elif kind == REMAINDER_NUMBER:
            work[to, c] = work[a, c] % b
        elif kind == ABSOLUTE:
            work[to, c] = abs(work[a, c])
        elif kind == EQUAL:
            work[to, c] = work[a, c] == work[b, c]
        else:
            work[to, c] = work[a, c] == b
