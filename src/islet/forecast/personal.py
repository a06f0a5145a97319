"""A person's own correction of the pooled forecast: learnt as readings come, bounded, and silent unless it helps.

For each horizon a line says by how much the pooled median will miss the person, from what is known at the time (`given`).
The lines are those of least squares over what the forecasts missed in about five days, held towards nought as if as many
again as PRIOR had missed nothing. They are applied only while they have been better by more than a margin, after a day of
readings: else the pooled forecast stands. What is added is bounded, so that nothing a faulty sensor teaches can move a
forecast by more than BOUND_MG_DL.

An hour is learnt from LATE_POINTS after it was over: by then no reading of it can come any more that still counts, so that
the order in which readings came is forgotten. Memory, hold and margin were chosen on the people whom the first shipped
model was calibrated on; there a bias for each horizon instead of a line gained a fifth as much.

The state of a person is 205 float32: 820 bytes. The correction is measured, not served
(docs/decisions/0061-risks-and-the-personal-correction.md).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.network import MEDIAN, Array
from islet.forecast.windows import HORIZON

BOUND_MG_DL: Final = 20.0
LEAST_SEEN: Final = 288.0  # hours that were learnt from, one for each reading: a day of readings every 5 min
LATE_POINTS: Final = 24  # 2 h, the lateness bound's default
PRIOR: Final = 300.0
INPUTS: Final = 6
_KEEP: Final = np.float32(1 - 1 / 1440)  # of what is known, at each hour that is learnt from
_WILDEST_MG_DL: Final = 40.0  # a miss counts for no more
_MEMORY: Final = 1 / 576  # weight of the newest error: a mean over about two days
_BETTER: Final = 0.985  # the corrected error has to be below this share of the plain one
_RENEWED: Final = 12  # every so many hours learnt from, the lines
_HALF_HOUR: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Personal:
    """State of n people: moments (n, INPUTS, INPUTS) and cross (n, INPUTS, 12) of what was given and missed, the lines
    (n, INPUTS, 12), the mean errors plain and corrected (n, 12) mg/dL, and seen (n,), how many hours were learnt from."""

    moments: Array
    cross: Array
    lines: Array
    plain: Array
    corrected: Array
    seen: Array


def fresh(n: int) -> Personal:
    """People of whom nothing is known: their forecast is the pooled one."""
    none, errors = np.zeros((n, INPUTS, HORIZON), np.float32), np.zeros((n, HORIZON), np.float32)
    moments = np.zeros((n, INPUTS, INPUTS), np.float32)
    return Personal(
        moments=moments, cross=none, lines=none, plain=errors, corrected=errors, seen=np.zeros(n, np.float32)
    )


def given(history: Array, minute: Array, quantiles: Array) -> Array:
    """(n, INPUTS): 1, the level, its last 15 min, what is foretold in 30 min, and the time of day; about 1 each.

    history (n, points) and quantiles (n, 12, 5) mg/dL, minute (n,) of the day; an unknown one is a day without a time.
    """
    now = history[:, -1]
    angle = minute * np.float32(2 * np.pi / 1440)
    columns = (
        np.ones_like(now),
        (now - 120) / 60,
        np.nan_to_num(now - history[:, -4]) / 20,
        (quantiles[:, _HALF_HOUR, MEDIAN] - now) / 20,
        np.nan_to_num(np.sin(angle)),
        np.nan_to_num(np.cos(angle)),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def correction(state: Personal, known: Array) -> Array:
    """What to add to all quantiles (n, 12) mg/dL, by known (n, INPUTS); nought wherever it has not been proved to help."""
    helps = (state.corrected < _BETTER * state.plain) & (state.seen[:, None] >= LEAST_SEEN)
    return np.where(helps, _said(state, known), 0).astype(np.float32)


def learn(state: Personal, known: Array, missed: Array) -> Personal:
    """The state after hours were over in which the pooled medians had missed by missed (n, 12) mg/dL, what came less what
    was foretold; known (n, INPUTS) is what was given then. A row with a NaN teaches nothing.

    The lines are judged as they were before they learn from the same hour, so they cannot flatter themselves.
    """
    taught: NDArray[np.bool_] = np.all(~np.isnan(missed), axis=1)
    missed = np.where(taught[:, None], missed, 0)
    rate = np.where(taught, np.maximum(_MEMORY, 1 / (state.seen + 1)), 0)[:, None]
    left = missed - _said(state, known)
    keep, weight = np.where(taught, _KEEP, 1)[:, None, None], taught[:, None, None]
    wild = np.clip(missed, -_WILDEST_MG_DL, _WILDEST_MG_DL)
    moments = keep * state.moments + weight * known[:, :, None] * known[:, None, :]
    cross = keep * state.cross + weight * known[:, :, None] * wild[:, None, :]
    seen = state.seen + taught
    renewed = taught & (seen % _RENEWED == 0)
    lines = state.lines
    if renewed.any():
        lines = lines.copy()
        lines[renewed] = np.linalg.solve(moments[renewed] + PRIOR * np.eye(INPUTS), cross[renewed])
    return Personal(
        moments=moments.astype(np.float32),
        cross=cross.astype(np.float32),
        lines=lines,
        plain=(state.plain + rate * (np.abs(missed) - state.plain)).astype(np.float32),
        corrected=(state.corrected + rate * (np.abs(left) - state.corrected)).astype(np.float32),
        seen=seen.astype(np.float32),
    )


def _said(state: Personal, known: Array) -> Array:
    said: Array = np.clip(np.einsum("ni,nih->nh", known, state.lines), -BOUND_MG_DL, BOUND_MG_DL)
    return said
