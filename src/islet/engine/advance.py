"""The kernel of a step: rows into the runs, evaluated, folded into changes, a block at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.context import insert_context
from islet.engine.episodes import fold
from islet.engine.evaluate import Windows, evaluate, new_work, waiting
from islet.engine.insert import insert
from islet.engine.kernel import Int, kernel
from islet.engine.pool import grown, has_room
from islet.engine.program import Program
from islet.engine.revise import MOST_WORKED_ON
from islet.engine.runs import new_entries
from islet.engine.said import CHANGE_WIDTH, more_room, new_desk
from islet.engine.series import EVALUATIONS, MOST_READINGS, Bounds, ContextRows, Profiles, Rows
from islet.engine.told import WIDTH as EPISODE_WIDTH

_BLOCK_ROWS: Final = 768
"""Rows taken at once: what they touch stays in the cache between the stages."""
FEWEST_CHANGES: Final = 256
"""That there is room for: more than the rules that one reading can turn on or off."""


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
    work, entries, desk = new_work(program), new_entries(), new_desk(MOST_READINGS + 1)
    known = np.empty((MOST_WORKED_ON, EPISODE_WIDTH), np.int64)
    changes = np.empty((max(room, FEWEST_CHANGES), CHANGE_WIDTH), np.int64)
    touched = np.empty(_BLOCK_ROWS, np.int64)
    breach, clear = np.empty(_BLOCK_ROWS, np.int64), np.empty(_BLOCK_ROWS, np.int64)
    n: Int = 0
    row: Int = 0
    context_row: Int = 0
    while context_row < len(context.times_us) or row < len(rows.times_us):
        if not has_room(pool, heap):
            pool = grown(pool, heap)
        if context_row < len(context.times_us):
            stop = min(context_row + _BLOCK_ROWS, len(context.times_us))
            context_row, count = insert_context(series, pool, heap, context, context_row, stop, bounds, touched, tally)
        else:
            stop = min(row + _BLOCK_ROWS, len(rows.times_us))
            row, count = insert(series, pool, heap, ranks, rows, row, stop, bounds, touched, tally, entries)
        evaluations = waiting(series, touched, count)
        tally[EVALUATIONS] += evaluations
        if evaluations > len(breach):
            breach, clear = np.empty(2 * evaluations, np.int64), np.empty(2 * evaluations, np.int64)
        evaluate(
            series, pool, touched, count, program, windows, profiles, longest_us, work, entries, tally, breach, clear
        )
        place: Int = 0
        done: Int = 0
        while place < count:
            place, done, n = fold(
                series, pool, heap, ranks, profiles, bounds, touched, place, count, done, breach, clear, program, desk,
                known, entries, changes, n,
            )  # fmt: skip
            if not has_room(pool, heap):
                pool = grown(pool, heap)
            elif place < count:
                changes = more_room(changes, n)
    return pool, changes[:n]
