"""Where on a person's own clock an instant falls."""

from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from islet.model.time import DAY_US, HOUR_US
from islet.model.time_zones import changed_between, offset_us

_STEP_US: Final = DAY_US  # no zone has changed its clock and changed it back within a day


class Stretch(NamedTuple):
    """from_us <= t < to_us, in which local time is t + offset_us."""

    from_us: int
    to_us: int
    offset_us: int


@lru_cache(maxsize=1_000)
def stretches(zone: ZoneInfo, from_us: int, to_us: int) -> tuple[Stretch, ...]:
    """The stretches of one offset from UTC that make up from_us <= t < to_us, in order.

    >>> [one.offset_us // 60_000_000 for one in stretches(ZoneInfo("Asia/Kolkata"), 0, 1)]
    [330]
    """
    bounds = [from_us]
    for start in range(from_us, to_us, _STEP_US):
        end = min(start + _STEP_US, to_us)
        if offset_us(zone, start) != offset_us(zone, end):
            bounds.append(changed_between(zone, start, end))
    bounds.append(to_us)
    return tuple(Stretch(start, end, offset_us(zone, start)) for start, end in pairwise(bounds) if start < end)


def local_day(zone: ZoneInfo, instant_us: int) -> int:
    """The local day of an instant, days since 1970-01-01."""
    return (instant_us + offset_us(zone, instant_us)) // DAY_US


def clock_us(zone: ZoneInfo, day: int, hour: int = 0) -> int:
    """The first instant at which the clock shows that hour of a local day, or, where it is skipped, a later one."""
    wanted_us = day * DAY_US + hour * HOUR_US
    early, late = wanted_us - DAY_US, wanted_us + DAY_US  # local time is less than a day from UTC
    while late - early > 1:
        middle = (early + late) // 2
        if middle + offset_us(zone, middle) >= wanted_us:
            late = middle
        else:
            early = middle
    return late
