"""How well warnings foretold lows: events, not windows. Sensitivity, lead time, false alarms a day.

An event begins when glucose goes below the line and stays there for 15 minutes (consensus on CGM metrics, Battelino et
al. 2023, doi:10.1016/S2213-8587(22)00319-9). A warning counts while glucose is not below the line yet; the next one is
heard 30 minutes later at the earliest. It is true if an event begins within the horizon after it, else false.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.grid import STEP_MIN

_EVENT_POINTS: Final = 3  # 15 min
_QUIET_POINTS: Final = 6  # 30 min
_DAY_POINTS: Final = 288


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Counts that add up over people: events, those foretold, minutes of warning before each of them, alarms, false ones."""

    events: int = 0
    foretold: int = 0
    leads_min: tuple[int, ...] = ()
    alarms: int = 0
    false: int = 0
    days: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            events=self.events + other.events,
            foretold=self.foretold + other.foretold,
            leads_min=self.leads_min + other.leads_min,
            alarms=self.alarms + other.alarms,
            false=self.false + other.false,
            days=self.days + other.days,
        )

    @property
    def sensitivity(self) -> float:
        """Share of the events that were foretold; NaN without events."""
        return self.foretold / self.events if self.events else float("nan")

    @property
    def false_a_day(self) -> float:
        """False alarms a day of recording."""
        return self.false / self.days if self.days else float("nan")

    @property
    def lead_min(self) -> float:
        """Median minutes from the first true warning to the event."""
        return float(np.median(self.leads_min)) if self.leads_min else float("nan")


def onsets(glucose: NDArray[np.float32], line: float) -> list[int]:
    """Points at which an event begins, in an unbroken trace every 5 min. A trace that begins below has no onset there."""
    below = np.concatenate([[False], glucose < line, [False]])
    edges = np.diff(below.astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [int(b) for b, e in zip(begins, ends, strict=True) if e - b >= _EVENT_POINTS and b > 0]


def tally(glucose: NDArray[np.float32], warned: NDArray[np.bool_], *, line: float, horizon: int) -> Tally:
    """The counts of one trace. glucose (n,) mg/dL every 5 min; warned (n,): what was said with the reading of that point.

    Only events of which the whole horizon before them lies in the trace count, and only alarms with all of it after them.
    """
    n = len(glucose)
    begins = [b for b in onsets(glucose, line) if b >= horizon]
    starts = set(onsets(glucose, line))
    leads: dict[int, int] = {}
    alarms = false = 0
    quiet_until = -1
    for at in np.flatnonzero(warned & (glucose >= line)).tolist():
        if at < quiet_until or at + horizon >= n:
            continue
        quiet_until = at + _QUIET_POINTS
        alarms += 1
        came = next((b for b in range(at + 1, at + horizon + 1) if b in starts), None)
        if came is None:
            false += 1
        else:
            leads.setdefault(came, (came - at) * STEP_MIN)
    told = [leads[b] for b in begins if b in leads]
    return Tally(
        events=len(begins), foretold=len(told), leads_min=tuple(told), alarms=alarms, false=false, days=n / _DAY_POINTS
    )


def total(some: Iterable[Tally]) -> Tally:
    """All of them together."""
    return sum(some, Tally())
