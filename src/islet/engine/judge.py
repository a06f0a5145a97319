"""What follows from the runs that a block of rows touched: evaluated, and folded into changes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.episodes import fold
from islet.engine.evaluate import evaluate, waiting
from islet.engine.kernel import Int, making_part
from islet.engine.pool import has_room
from islet.engine.said import more_room
from islet.engine.series import EVALUATIONS, Memory, with_room
from islet.engine.windows import Planned
from islet.engine.workplace import Verdicts, Workplace

FEWEST_CHANGES: Final = 256
"""That there is room for: more than the rules that one reading can turn on or off."""


@making_part
def judge(
    memory: Memory,
    touched: NDArray[np.int64],
    planned: Planned,
    room: Workplace,
    tally: NDArray[np.int64],
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[Memory, NDArray[np.int64], Int]:
    """Write the changes that follow from the touched patients' runs from place n on; the memory and the changes, both
    with more room where it was needed, and how many changes there are now."""
    evaluations = waiting(memory.series, touched)
    tally[EVALUATIONS] += evaluations
    verdicts = Verdicts(np.empty(evaluations, np.int64), np.empty(evaluations, np.int64))
    evaluate(memory, touched, planned, room, tally, verdicts)
    place: Int = 0
    done: Int = 0
    while place < len(touched):
        place, done, n = fold(memory, touched, place, done, verdicts, planned.program, room, changes, n)
        if not has_room(memory.heap):
            memory = with_room(memory)
        elif place < len(touched):
            changes = more_room(changes, n)
    return memory, changes, n
