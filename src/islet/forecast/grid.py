"""Readings on a grid of five minutes: whole recordings for training and evaluation, the last hours for serving.

Between two readings the grid is linear in time. That needs the later reading, which a live forecast does not have: so
each point of a recording also knows what would have been known of it at the time (`held`, the last reading before it)
and at which point of the grid the later reading was there (`known_at`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.time import MINUTE_US

STEP_MIN: Final = 5
STEP_US: Final = STEP_MIN * MINUTE_US
LOOKS_BACK: Final = 144  # points: 12 h
LONGEST_GAP_MIN: Final = 45  # between two readings; wider ones are unknown, as in GlucoBench's widest threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One unbroken recording of one person: points (n,) every 5 min from `start_min` on.

    start_min counts minutes from 1970-01-01 of the person's own clock. glucose and held are mg/dL, float32; known_at
    is the point from which on `glucose` and not `held` is what one knows of the point, at least the point itself.
    fresh: whether a reading came in the 5 minutes up to the point.
    """

    person: str
    start_min: int
    glucose: NDArray[np.float32]
    held: NDArray[np.float32]
    known_at: NDArray[np.int64]
    fresh: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.glucose)

    def between(self, begin: int, end: int) -> "Segment":
        """The points [begin, end) as a recording by itself."""
        return Segment(
            person=self.person,
            start_min=self.start_min + STEP_MIN * begin,
            glucose=self.glucose[begin:end],
            held=self.held[begin:end],
            known_at=self.known_at[begin:end] - begin,
            fresh=self.fresh[begin:end],
        )


def segments(
    person: str,
    minutes: NDArray[np.int64],
    glucose_mg_dl: NDArray[np.float32],
    *,
    gap_min: int,
    least: int,
) -> list[Segment]:
    """The recordings of one person, cut where two readings are more than `gap_min` apart, if they have `least` readings.

    minutes (n,) ascending, without doubles. The grid of a segment starts at its first reading.
    """
    cuts = np.flatnonzero(np.diff(minutes) > gap_min) + 1
    bounds: Sequence[int] = [0, *cuts.tolist(), len(minutes)]
    return [
        _regridded(person, minutes[begin:end], glucose_mg_dl[begin:end])
        for begin, end in pairwise(bounds)
        if end - begin >= least and end > begin
    ]


def _regridded(person: str, minutes: NDArray[np.int64], glucose: NDArray[np.float32]) -> Segment:
    grid = np.arange(minutes[0], minutes[-1] + 1, STEP_MIN)
    later = np.searchsorted(minutes, grid)  # the first reading at or after each point
    known_at = -((minutes[0] - minutes[later]) // STEP_MIN)  # rounded up: the first point not before that reading
    earlier = np.searchsorted(minutes, grid, side="right") - 1
    return Segment(
        person=person,
        start_min=int(minutes[0]),
        glucose=np.interp(grid, minutes, glucose).astype(np.float32),
        held=glucose[earlier].astype(np.float32),
        known_at=np.maximum(known_at, np.arange(len(grid))),
        fresh=grid - minutes[earlier] < STEP_MIN,
    )


def history(
    time_us: NDArray[np.int64], glucose_mg_dl: NDArray[np.float64], points: int = LOOKS_BACK
) -> NDArray[np.float32]:
    """What is known at the newest reading, (points,) mg/dL, the newest last; NaN where a gap is too wide, or before.

    time_us (n,) ascending without doubles, n >= 1. The grid ends at the newest reading, so nothing is taken from later.
    """
    at = time_us[-1] - STEP_US * np.arange(points - 1, -1, -1)
    row: NDArray[np.float32] = np.interp(at, time_us, glucose_mg_dl).astype(np.float32)
    later = np.searchsorted(time_us, at)
    earlier = np.searchsorted(time_us, at, side="right") - 1
    wide = time_us[later] - time_us[np.maximum(earlier, 0)] > LONGEST_GAP_MIN * MINUTE_US
    row[wide | (earlier < 0)] = np.nan
    return row
