"""A person's own correction of the pooled forecast: learnt as readings come, bounded, and silent unless it helps.

For each horizon it keeps by how much the pooled median misses the person's own median (moved a little towards the side
on which a reading came, so that a few wild ones do not count for more), and running means of the absolute errors with
and without the correction. It is applied only while it has been better by more than a margin, after a day of readings:
else the pooled forecast stands. It is bounded, so that nothing a faulty sensor teaches can move a forecast by more than
BOUND_MG_DL. Steps, memory and margin were chosen on the people whom the shipped model was calibrated on; learning the
mean of the errors instead, or faster, made forecasts worse there.

The state of a person is STATE_FLOATS float32: 148 bytes, to be saved beside the windows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from islet.forecast.network import Array
from islet.forecast.windows import HORIZON

BOUND_MG_DL: Final = 20.0
LEAST_SEEN: Final = 288.0  # forecasts that have come due: a day
_MEMORY: Final = 1 / 576  # weight of the newest error: a mean over about two days
_STEP: Final = 0.002  # of the mean error, towards the side on which a reading came
_BETTER: Final = 0.985  # the corrected error has to be below this share of the plain one
STATE_FLOATS: Final = 3 * HORIZON + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Personal:
    """State of n people: bias, and the mean errors plain and corrected, each (n, 12) mg/dL; seen (n,), how many came due.

    The medians that were forecast are kept by the caller until they come due; `learn` is given both.
    """

    bias: Array
    plain: Array
    corrected: Array
    seen: Array


def fresh(n: int) -> Personal:
    """People of whom nothing is known: their forecast is the pooled one."""
    zeros = np.zeros((n, HORIZON), np.float32)
    return Personal(bias=zeros, plain=zeros, corrected=zeros, seen=np.zeros(n, np.float32))


def correction(state: Personal) -> Array:
    """What to add to all quantiles (n, 12) mg/dL; nought wherever it has not been proved to help."""
    helps = (state.corrected < _BETTER * state.plain) & (state.seen[:, None] >= LEAST_SEEN)
    return np.where(helps, np.clip(state.bias, -BOUND_MG_DL, BOUND_MG_DL), 0).astype(np.float32)


def learn(state: Personal, medians: Array, came: Array) -> Personal:
    """The state after readings came (n,) mg/dL of which medians (n, 12) had been the pooled forecasts, by horizon.

    medians[:, h] was forecast 5 (h + 1) minutes before; NaN in either teaches nothing. The correction is judged as it
    was before it learns from the same reading, so it cannot flatter itself.
    """
    missed = came[:, None] - medians
    valid = ~np.isnan(missed)
    missed = np.where(valid, missed, 0)
    rate = np.where(valid, np.maximum(_MEMORY, 1 / (state.seen[:, None] + 1)), 0).astype(np.float32)
    left = missed - np.clip(state.bias, -BOUND_MG_DL, BOUND_MG_DL)
    plain = state.plain + rate * (np.abs(missed) - state.plain)
    step = np.where(valid, np.sign(left), 0) * _STEP * np.maximum(plain, 1)
    return Personal(
        bias=np.clip(state.bias + step, -BOUND_MG_DL, BOUND_MG_DL).astype(np.float32),
        plain=plain,
        corrected=state.corrected + rate * (np.abs(left) - state.corrected),
        seen=state.seen + valid.any(axis=1),
    )


def to_floats(state: Personal) -> Array:
    """(n, STATE_FLOATS) to be saved."""
    return np.column_stack([state.bias, state.plain, state.corrected, state.seen]).astype(np.float32)


def from_floats(saved: Array) -> Personal:
    """What was saved."""
    return Personal(
        bias=saved[:, :HORIZON],
        plain=saved[:, HORIZON : 2 * HORIZON],
        corrected=saved[:, 2 * HORIZON : 3 * HORIZON],
        seen=saved[:, 3 * HORIZON],
    )
