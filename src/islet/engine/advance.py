"""The kernel of a step: rows into the runs, evaluated, folded into changes, a block at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import insert_context
from islet.engine.insert import insert
from islet.engine.judge import FEWEST_CHANGES, judge, new_workplace
from islet.engine.kernel import Int, kernel
from islet.engine.pool import grown, has_room
from islet.engine.program import Program
from islet.engine.said import CHANGE_WIDTH
from islet.engine.series import Bounds, ContextRows, Profiles, Rows
from islet.engine.windows import Windows

_BLOCK_ROWS: Final = 768
"""Rows taken at once: what they touch stays in the cache between the stages."""


@kernel
def advance(
    series: NDArray[np.void],
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    profiles: Profiles,
    bounds: Bounds,
    context: ContextRows,
    rows: Rows,
    program: Program,
    windows: Windows,
    tally: NDArray[np.int64],
    room: Int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the rows; what people did counts as there before
    the readings. What became of each row is counted in `tally`.
    There is room for `room` changes before more has to be made.

    The loops over rows and patients are parts that make no arrays; where one needs more room, it stops and is gone on
    with here."""
    longest_us = bounds.horizon_us - bounds.lateness_us
    place = new_workplace(program)
    changes = np.empty((max(room, FEWEST_CHANGES), CHANGE_WIDTH), np.int64)
    touched = np.empty(_BLOCK_ROWS, np.int64)
    n: Int = 0
    row: Int = 0
    context_row: Int = 0
    while context_row < len(context.times_us) or row < len(rows.times_us):
        if not has_room(heap):
            pool = grown(pool, heap)
        if context_row < len(context.times_us):
            stop = min(context_row + _BLOCK_ROWS, len(context.times_us))
            context_row, count = insert_context(series, pool, heap, context, context_row, stop, bounds, touched, tally)
        else:
            stop = min(row + _BLOCK_ROWS, len(rows.times_us))
            row, count = insert(series, pool, heap, ranks, rows, row, stop, bounds, touched, tally, place.entries)
        pool, changes, n = judge(
            series, pool, heap, ranks, profiles, bounds, touched, count, program, windows, longest_us, place, tally,
            changes, n,
        )  # fmt: skip
    return pool, changes[:n]
