"""What follows from the runs that a block of rows touched: evaluated, and folded into changes."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.episodes import fold
from islet.engine.evaluate import evaluate, waiting
from islet.engine.kernel import Int, making_part
from islet.engine.pool import grown, has_room
from islet.engine.program import Program
from islet.engine.revise import MOST_WORKED_ON
from islet.engine.runs import new_entries
from islet.engine.said import Desk, more_room, new_desk
from islet.engine.series import EVALUATIONS, MOST_READINGS, Bounds, Entries, Profiles
from islet.engine.told import WIDTH as EPISODE_WIDTH
from islet.engine.windows import Windows, Work, new_work

FEWEST_CHANGES: Final = 256
"""That there is room for: more than the rules that one reading can turn on or off."""


class Workplace(NamedTuple):
    """Room to work in: for evaluations, for one run unpacked, and for the episodes of one series."""

    work: Work
    entries: Entries
    desk: Desk
    known: NDArray[np.int64]


@making_part
def new_workplace(program: Program) -> Workplace:
    known = np.empty((MOST_WORKED_ON, EPISODE_WIDTH), np.int64)
    return Workplace(new_work(program), new_entries(), new_desk(MOST_READINGS + 1), known)


@making_part
def judge(
    series: NDArray[np.void],
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    profiles: Profiles,
    bounds: Bounds,
    touched: NDArray[np.int64],
    count: Int,
    program: Program,
    windows: Windows,
    longest_us: Int,
    room: Workplace,
    tally: NDArray[np.int64],
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64], Int]:
    """Write the changes that follow from the first `count` of `touched` from place n on; the pool and the changes, both
    with more room where it was needed, and how many changes there are now. `longest_us`: of the windows over values."""
    evaluations = waiting(series, touched, count)
    tally[EVALUATIONS] += evaluations
    breach, clear = np.empty(evaluations, np.int64), np.empty(evaluations, np.int64)
    evaluate(
        series, pool, touched, count, program, windows, profiles, longest_us, room.work, room.entries, tally, breach,
        clear,
    )  # fmt: skip
    place: Int = 0
    done: Int = 0
    while place < count:
        place, done, n = fold(
            series, pool, heap, ranks, profiles, bounds, touched, place, count, done, breach, clear, program,
            room.desk, room.known, room.entries, changes, n,
        )  # fmt: skip
        if not has_room(heap):
            pool = grown(pool, heap)
        elif place < count:
            changes = more_room(changes, n)
    return pool, changes, n
