"""The kernel of a step: rows into the runs, evaluated, folded into changes, a block at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import insert_context
from islet.engine.insert import insert
from islet.engine.judge import FEWEST_CHANGES, judge
from islet.engine.kernel import Int, kernel
from islet.engine.said import CHANGE_WIDTH
from islet.engine.series import ContextRows, Memory, Rows, with_room
from islet.engine.windows import Planned
from islet.engine.workplace import new_workplace

_BLOCK_ROWS: Final = 768
"""Rows taken at once: what they touch stays in the cache between the stages."""


@kernel
def advance(
    memory: Memory, context: ContextRows, rows: Rows, planned: Planned, tally: NDArray[np.int64], room: Int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the rows; what people did counts as there before
    the readings. What became of each row is counted in `tally`.
    There is room for `room` changes before more has to be made.

    The loops over rows and patients are parts that make no arrays; where one needs more room, it stops and is gone on
    with here."""
    place = new_workplace(planned.program)
    changes = np.empty((max(room, FEWEST_CHANGES), CHANGE_WIDTH), np.int64)
    touched = np.empty(_BLOCK_ROWS, np.int64)
    n: Int = 0
    row: Int = 0
    context_row: Int = 0
    while context_row < len(context.times_us) or row < len(rows.times_us):
        memory = with_room(memory)
        if context_row < len(context.times_us):
            stop = min(context_row + _BLOCK_ROWS, len(context.times_us))
            context_row, count = insert_context(memory, context, context_row, stop, touched, tally)
        else:
            stop = min(row + _BLOCK_ROWS, len(rows.times_us))
            row, count = insert(memory, rows, row, stop, touched, tally, place.entries)
        memory, changes, n = judge(memory, touched[:count], planned, place, tally, changes, n)
    return memory.pool, changes[:n]
