"""The kernel of a step: rows into the rings, evaluated, folded into changes, a block at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.episodes import WIDTH, fold
from islet.engine.evaluate import Program, evaluate, work_table
from islet.engine.kernel import kernel
from islet.engine.windows import EVALUATIONS, Rows, insert

_BLOCK_ROWS: Final = 2048
"""Rows taken at once: what they touch stays in the cache between the stages."""


@kernel
def advance(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    base_onset: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    rows: Rows,
    program: Program,
    lateness_us: int,
    now_us: int,
    tally: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The changes (n, WIDTH) that follow from the rows; what became of each row is counted in `tally`."""
    window_us = program.windows_us[-1] if len(program.windows_us) else 0
    work = work_table(program)
    changes = np.empty((64, WIDTH), np.int64)
    n = 0
    touched = np.empty(min(_BLOCK_ROWS, len(rows.times_us)), np.int64)
    row = 0
    while row < len(rows.times_us):
        stop = min(row + _BLOCK_ROWS, len(rows.times_us))
        row, count = insert(
            series,
            rings,
            base_onset,
            ranks,
            rows,
            row,
            stop,
            lateness_us,
            window_us,
            program.reading_bits,
            touched,
            tally,
        )
        mine = touched[:count]
        breach, clear = evaluate(series, rings, mine, program, work)
        tally[EVALUATIONS] += len(breach)
        changes, n = fold(series, rings, base_onset, mine, breach, clear, program, now_us, changes, n)
    return changes[:n]
