"""People whose glucose is drawn by hand, so that one sees what has to be found."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from islet.metrics.ranges import STANDARD
from islet.model.events import AnyEvent
from islet.model.series import Series
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us
from islet.patterns.course import Course
from islet.patterns.find import find
from islet.patterns.findings import Finding, PersonDays

START_US = 20_400 * DAY_US  # 2025-11-08T00:00:00Z
STEP_MIN = 5
A_DAY = 1440 // STEP_MIN


def flat(days: int, mg_dl: float = 110.0) -> NDArray[np.float64]:
    """Glucose every 5 min from midnight on, the same all the time."""
    return np.full(days * A_DAY, mg_dl)


def bump(glucose: NDArray[np.float64], day: int, hour: float, minutes: float, mg_dl: float) -> None:
    """Set a stretch to a value."""
    begin = day * A_DAY + round(hour * 60 / STEP_MIN)
    glucose[begin : begin + round(minutes / STEP_MIN)] = mg_dl


def hill(glucose: NDArray[np.float64], day: int, hour: float, rise: float, minutes: float = 180.0) -> None:
    """Add a rise that begins at an hour, is greatest in its middle, and is over after so many minutes."""
    begin = day * A_DAY + round(hour * 60 / STEP_MIN)
    n = round(minutes / STEP_MIN)
    glucose[begin : begin + n] += rise * np.sin(np.pi * np.arange(n) / n)


def at(day: int, hour: float) -> Any:
    """The instant, in UTC."""
    return from_us(START_US + day * DAY_US + round(hour * HOUR_US))


def person(glucose: NDArray[np.float64], events: Sequence[AnyEvent] = (), zone: str = "UTC", **more: Any) -> PersonDays:
    """Somebody with this glucose (NaN: no reading), the first reading at START_US."""
    known = np.isfinite(glucose)
    times = START_US + np.arange(len(glucose), dtype=np.int64) * STEP_MIN * MINUTE_US
    series = Series(
        time_us=times[known],
        glucose_tenths=np.round(glucose[known] * 10).astype(np.int32),
        range=np.zeros(int(known.sum()), np.int8),
    )
    return PersonDays(id="p", series=series, events=tuple(events), zone=ZoneInfo(zone), **more)


def course(one: PersonDays) -> Course:
    """With standard goals."""
    return Course(one, STANDARD)


def found(one: PersonDays, pattern: str, subject: str = "") -> Finding | None:
    """The finding of that name, if there is one."""
    return next((f for f in find(one) if f.pattern == pattern and f.subject == subject), None)
