"""The kernel of a step: rows into the runs, evaluated, folded into changes, a block at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import insert_context
from islet.engine.episodes import MOST_WORKED_ON, fold
from islet.engine.evaluate import Windows, evaluate, work_table
from islet.engine.insert import insert
from islet.engine.kernel import Int, kernel
from islet.engine.program import Program
from islet.engine.said import CHANGE_WIDTH, new_desk
from islet.engine.series import EVALUATIONS, MOST_READINGS, Bounds, ContextRows, Entries, Profiles, Rows
from islet.engine.told import WIDTH as EPISODE_WIDTH

_BLOCK_ROWS: Final = 2048
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
    context_history: NDArray[np.bool_],
    history: NDArray[np.bool_],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the rows; what people did counts as there before
    the readings. What became of each row is counted in `tally`; those that could revise nothing are marked."""
    longest_us = bounds.horizon_us - bounds.lateness_us
    work = work_table(program)
    filled = np.full(work.shape[1], -1, np.int64)
    entries = Entries(
        np.empty(MOST_READINGS + 1, np.int64),
        np.empty(MOST_READINGS + 1, np.int64),
        np.empty(MOST_READINGS + 1, np.int64),
    )
    desk = new_desk(MOST_READINGS + 1)
    known = np.empty((MOST_WORKED_ON, EPISODE_WIDTH), np.int64)
    changes = np.empty((64, CHANGE_WIDTH), np.int64)
    n: Int = 0
    touched = np.empty(_BLOCK_ROWS, np.int64)
    row: Int = 0
    context_row: Int = 0
    while context_row < len(context.times_us) or row < len(rows.times_us):
        if context_row < len(context.times_us):
            stop = min(context_row + _BLOCK_ROWS, len(context.times_us))
            pool, count = insert_context(
                series, pool, heap, context, context_row, stop, bounds, touched, tally, context_history
            )
            context_row = stop
        else:
            stop = min(row + _BLOCK_ROWS, len(rows.times_us))
            pool, row, count = insert(
                series, pool, heap, ranks, rows, row, stop, bounds, touched, tally, history, entries
            )
        mine = touched[:count]
        breach, clear = evaluate(
            series, pool, mine, program, windows, profiles, longest_us, work, filled, entries, tally
        )
        tally[EVALUATIONS] += len(breach)
        pool, changes, n = fold(
            series, pool, heap, ranks, profiles, bounds, mine, breach, clear, program, desk, known, entries, changes, n
        )
    return pool, changes[:n]
