"""Windows of recordings: what was known, and what came of it. For training and evaluation, never for serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.grid import LOOKS_BACK, STEP_MIN, Segment

HORIZON: Final = 12  # points: 1 h
_DAY_MIN: Final = 24 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The points [begin, end) of a segment; nothing outside of them is looked at."""

    segment: Segment
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """history (n, LOOKS_BACK) mg/dL, the newest last, NaN before the part began; minute (n,) of the day of the newest;
    target (n, HORIZON) mg/dL; part (n,) which of the parts, and origin (n,) the newest point within its segment."""

    history: NDArray[np.float32]
    minute: NDArray[np.float32]
    target: NDArray[np.float32]
    part: NDArray[np.int64]
    origin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origin)


def windows(
    parts: Sequence[Part], *, start: int, stride: int, causal: bool = False, at_readings: bool = False
) -> Windows:
    """All windows of the parts whose first target is at the part's point start, start + stride, …

    causal: the points between two readings of which the later one was not there yet are held, not interpolated.
    at_readings: only windows whose newest point has a reading of its own, as a live forecast has; where the stride meets
    none, the next that does before the stride's next point.
    """
    some = [_of_part(number, part, start, stride, causal, at_readings) for number, part in enumerate(parts)]
    if not some:
        some = [_none()]
    return Windows(
        history=np.concatenate([w.history for w in some]),
        minute=np.concatenate([w.minute for w in some]),
        target=np.concatenate([w.target for w in some]),
        part=np.concatenate([w.part for w in some]),
        origin=np.concatenate([w.origin for w in some]),
    )


def _of_part(number: int, part: Part, start: int, stride: int, causal: bool, at_readings: bool) -> Windows:
    segment = part.segment
    first = np.arange(part.begin + start, part.end - HORIZON + 1, stride, dtype=np.int64)
    if at_readings:  # a sensor's step and the stride may never meet: every 15 min, and 15 min from another point on
        after = np.append(np.flatnonzero(segment.fresh) + 1, len(segment) + 1)
        found = after[np.searchsorted(after, first)]
        first = found[(found < first + stride) & (found <= part.end - HORIZON)]
    origin = first - 1
    at = origin[:, None] + np.arange(1 - LOOKS_BACK, 1)
    seen = np.maximum(at, 0)
    history = segment.glucose[seen]
    if causal:
        history = np.where(segment.known_at[seen] <= origin[:, None], history, segment.held[seen])
    history[at < part.begin] = np.nan
    return Windows(
        history=history,
        minute=((segment.start_min + STEP_MIN * origin) % _DAY_MIN).astype(np.float32),
        target=segment.glucose[first[:, None] + np.arange(HORIZON)],
        part=np.full(len(origin), number, np.int64),
        origin=origin,
    )


def _none() -> Windows:
    return Windows(
        history=np.empty((0, LOOKS_BACK), np.float32),
        minute=np.empty(0, np.float32),
        target=np.empty((0, HORIZON), np.float32),
        part=np.empty(0, np.int64),
        origin=np.empty(0, np.int64),
    )
