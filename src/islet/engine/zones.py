"""Local clocks as numbers: when each time zone's clock is how far ahead of UTC."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from islet.model.time import DAY_US, EPOCH, SECOND_US, to_us

_FIRST: Final = to_us(datetime(2000, 1, 1, tzinfo=EPOCH.tzinfo))
_LAST: Final = to_us(datetime(2060, 1, 1, tzinfo=EPOCH.tzinfo))
_SECOND: Final = timedelta(seconds=1)


def zone_table(names: Sequence[str]) -> NDArray[np.int64]:
    """Per zone (z, k, 2): from when on (µs, UTC) the local clock is how far ahead (µs); see
    `islet.engine.reference.Reference.zones`. Raises ZoneInfoNotFoundError for a name that does not exist."""
    rows = [transitions(name) for name in names]
    longest = max(len(row) for row in rows)
    return np.array([[*row, *([row[-1]] * (longest - len(row)))] for row in rows], np.int64)


@lru_cache(maxsize=1024)
def transitions(name: str) -> tuple[tuple[int, int], ...]:
    """(From when on, how far ahead) from 2000 to 2060, ascending; 10 ms for a zone that has not been asked for before.

    >>> [ahead // 3_600_000_000 for _, ahead in transitions("Europe/Vienna")[:3]]
    [1, 2, 1]
    """
    zone = ZoneInfo(name)
    found = [(_FIRST, _ahead_us(zone, _FIRST))]
    for day_us in range(_FIRST + DAY_US, _LAST, DAY_US):
        ahead_us = _ahead_us(zone, day_us)
        if ahead_us != found[-1][1]:
            found.append((_between(zone, day_us - DAY_US, day_us), ahead_us))
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
