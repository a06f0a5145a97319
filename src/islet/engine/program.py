"""What the planner gives and the kernels read: all rules of one stream as features, integer arithmetic and flags.

A stream is one measured quantity (glucose, pulse, battery …), a whole number in fixed point per (patient, device,
instant). At each of its values the kernel fills in the features, runs the instructions, and reads the flags.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Where a feature comes from.
VALUE: Final = 0
"""The stream's own values in the trailing window [t - window_us, t]."""
FORECAST: Final = 1
"""What is foretold at t: the column `aggregate` of `islet.model.ahead`. `window_us`: how far ahead, where it is glucose,
of which the damped slope, too, has an opinion; else 0."""
CONTEXT: Final = 2
"""CONTEXT + k: the context column k (see CONTEXT_COLUMNS), its events in the trailing window [t - window_us, t]."""

CONTEXT_COLUMNS: Final = ("carbs_g", "bolus_u", "basal_u", "exercise_min")
"""What people do beside the stream: how much, at an instant; several events of one instant all count."""
NOTHING: Final = len(CONTEXT_COLUMNS)
"""The column of an entry that only replaces another."""
CONTEXT_SCALE: Final = (10, 100, 100, 10)
"""Fixed point: a context column's integers are this many to its unit."""

# What is made of the values of a window. Over the stream itself there is always at least one; a SUM or a COUNT over a
# context without events is 0, and so is what is made from a bound upwards; the others have no meaning then (the planner asks for the COUNT beside them).
SUM: Final = 0
COUNT: Final = 1
MIN: Final = 2
MAX: Final = 3
FIRST: Final = 4
LAST: Final = 5
SQUARES: Final = 6  # sum of squares
AGES: Final = 7  # sum of x; x = whole seconds from the value's instant to t, never negative
AGES_SQUARED: Final = 8  # sum of x * x
AGES_VALUES: Final = 9  # sum of x * value
SPAN: Final = 10  # whole seconds from the first value of the window to t
PREVIOUS: Final = 11  # value of the last instant before t, however long ago (window_us is 0); 0 where there is none
PREVIOUS_AGE: Final = 12  # whole seconds from that instant to t; -1 where there is none
COUNT_FROM: Final = 13  # how many values are at least a bound
SUM_FROM: Final = 14  # what those add up to
AGE_FROM: Final = 15  # one more than the whole seconds from the last of those to t; 0 where there is none
AGGREGATES: Final = 16

MOST_RULES: Final = 62
"""Rules of one stream: a rule is a bit of an int64 mask."""


BYTES: Final = (MOST_RULES + 7) // 8
"""Of a mask: so many rows of flags there are beside the registers, to gather masks in."""


class Ladders(NamedTuple):
    """Quantities that many comparisons with numbers are about (`islet.engine.ladders`).

    `table` (l, 8): the side whose masks it adds to (0 breach, 1 clear), the registers left and right of a quotient
    (right -1: left alone is the quantity), whether it is rounded up, the least number compared with, how far above it
    the quantity makes a difference, and where its parts and its masks begin. `parts`: for each quantity from the least
    number on, in which part of the range it is; `masks`: what is set there."""

    table: NDArray[np.int64]
    parts: NDArray[np.uint16]
    masks: NDArray[np.int64]


class Features(NamedTuple):
    """What a program looks at, for `islet.engine.windows` to order; no kernel sees it. `table` (f, 4): source, aggregate,
    window_us, register; by source, then window, then aggregate. `asking` (f,): the rules that need the feature. `bounds`
    (f, 4): of a COUNT_FROM, SUM_FROM or AGE_FROM a column of the patients' parameters, times, plus, per: the bound is (the parameter * times +
    plus) / per, rounded down; without a parameter (-1) that is 0."""

    table: NDArray[np.int64]
    asking: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @property
    def window_us(self) -> int:
        """The longest window over the stream's own values."""
        own = self.table[self.table[:, 0] == VALUE]
        return int(own[:, 2].max(initial=0))

    @property
    def context_us(self) -> int:
        """The longest window over a context column; 0 where no rule looks at one."""
        context = self.table[self.table[:, 0] >= CONTEXT]
        return int(context[:, 2].max(initial=0))


class Program(NamedTuple):
    """All rules of one stream; rule i is bit i of every mask (int64, never negative).

    `parameters` (p, 2): column of the patients' parameters, register. `local_minute`:
    the register of the minute of the local day (0 to 1439), -1 where no rule asks. `instructions` (k, 5):
    instruction, left, right, number, result. `constants` (c, 2): register, value. `registers`: how many hold numbers;
    `flag_registers`: how many hold flags. `ladders`: what is looked up instead. `flags` (r, 2): the registers
    of what else breaches and clears, -1 where nothing does. `opposite`: the rules that are clear wherever there is no
    breach. `silence_us` (r,): its length, 0 for the others.
    `sustained_us` (r,): how long an episode has to last before anybody is told. `reading_bits`: the rules that look at
    values (all but the silences). The value itself is register 0.
    """

    parameters: NDArray[np.int64]
    local_minute: int
    instructions: NDArray[np.int64]
    constants: NDArray[np.int64]
    registers: int
    flag_registers: int
    ladders: Ladders
    flags: NDArray[np.int64]
    opposite: int
    silence_us: NDArray[np.int64]
    sustained_us: NDArray[np.int64]
    reading_bits: int
