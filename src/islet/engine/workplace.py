"""Room for the kernels to work in, made once a step, and what they hand each other there."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import making_part
from islet.engine.program import Program
from islet.engine.runs import new_entries
from islet.engine.said import Desk, new_desk
from islet.engine.series import MOST_READINGS, Entries
from islet.engine.told import WIDTH as EPISODE_WIDTH
from islet.engine.windows import Work, new_work

MOST_WORKED_ON: Final = 16_384
"""Episodes of one series that the evaluations of one block may make."""


class Workplace(NamedTuple):
    """Room to work in: for evaluations, for one run unpacked, and for the episodes of one rule and of one series."""

    work: Work
    entries: Entries
    desk: Desk
    known: NDArray[np.int64]


class Verdicts(NamedTuple):
    """What the evaluations came to (n,): masks of the rules that are breached, and of those that are clear."""

    breach: NDArray[np.int64]
    clear: NDArray[np.int64]


@making_part
def new_workplace(program: Program) -> Workplace:
    known = np.empty((MOST_WORKED_ON, EPISODE_WIDTH), np.int64)
    return Workplace(new_work(program), new_entries(), new_desk(MOST_READINGS + 1), known)
