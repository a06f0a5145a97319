"""Time zones by their IANA names, which people type and machines may not know."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from islet.errors import BadInput
from islet.model.time import SECOND_US, from_us


def named_zone(name: str, what: str = "time zone") -> ZoneInfo:
    """The zone. Raises BadInput, which calls it `what`, for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last two: an empty name, one of a folder
        raise BadInput(
            f"{what}: expected a name such as Asia/Shanghai; got {name[:40]!r}", reason="time_zone"
        ) from None


def zone_or_utc(name: str) -> ZoneInfo:
    """The zone; UTC where this machine does not know it."""
    try:
        return named_zone(name)
    except BadInput:
        return ZoneInfo("UTC")


def offset_us(zone: ZoneInfo, instant_us: int) -> int:
    """What local time is ahead of UTC at an instant, in µs."""
    offset = from_us(instant_us).astimezone(zone).utcoffset()
    assert offset is not None  # an aware instant has one
    return round(offset.total_seconds()) * SECOND_US


def changed_between(zone: ZoneInfo, before_us: int, after_us: int) -> int:
    """The first instant of the new offset, where the clock changes once between two instants."""
    old = offset_us(zone, before_us)
    while after_us - before_us > 1:
        middle = (before_us + after_us) // 2
        if offset_us(zone, middle) == old:
            before_us = middle
        else:
            after_us = middle
    return after_us
