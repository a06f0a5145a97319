"""Local clocks as numbers: when each time zone's clock is how far ahead of UTC."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from islet.model.time import DAY_US, EPOCH, RECORDS_SINCE_US, SECOND_US, to_us

_FIRST: Final = RECORDS_SINCE_US
_LAST: Final = to_us(datetime(2060, 1, 1, tzinfo=EPOCH.tzinfo))
_SECOND: Final = timedelta(seconds=1)
_STEP_US: Final = 3 * DAY_US
"""No zone has changed its clock twice in so short a time since 1900; Freetown did within four days, in 1939."""


def zone_table(names: Sequence[str]) -> NDArray[np.int64]:
    """Per zone (z, k, 2): from when on (µs, UTC) the local clock is how far ahead (µs); see
    `islet.engine.reference.Reference.zones`. Raises ZoneInfoNotFoundError for a name that does not exist."""
    rows = [transitions(name) for name in names]
    longest = max(len(row) for row in rows)
    return np.array([[*row, *([row[-1]] * (longest - len(row)))] for row in rows], np.int64)


@lru_cache(maxsize=1024)
def transitions(name: str) -> tuple[tuple[int, int], ...]:
    """(From when on, how far ahead) from 1900 to 2060, ascending; a zone not asked for before takes tens of ms.

    >>> [ahead // 3_600_000_000 for _, ahead in transitions("Europe/Vienna")[:3]]
    [1, 2, 1]
    """
    zone = ZoneInfo(name)
    found = [(_FIRST, _ahead_us(zone, _FIRST))]
    for at_us in range(_FIRST + _STEP_US, _LAST, _STEP_US):
        ahead_us = _ahead_us(zone, at_us)
        if ahead_us != found[-1][1]:
            found.append((_between(zone, at_us - _STEP_US, at_us), ahead_us))
    return tuple(found)


def _ahead_us(zone: ZoneInfo, at_us: int) -> int:
    ahead = (EPOCH + timedelta(seconds=at_us // SECOND_US)).astimezone(zone).utcoffset()
    assert ahead is not None
    return ahead // _SECOND * SECOND_US


def _between(zone: ZoneInfo, before_us: int, after_us: int) -> int:
    """The first second in (before, after] at which the clock is as at `after_us`."""
    wanted = _ahead_us(zone, after_us)
    while after_us - before_us > SECOND_US:
        middle_us = (before_us + after_us) // 2 // SECOND_US * SECOND_US
        if _ahead_us(zone, middle_us) == wanted:
            after_us = middle_us
        else:
            before_us = middle_us
    return after_us
