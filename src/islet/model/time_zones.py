"""Time zones by their IANA names, which people type and machines may not know."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from islet.errors import BadInput


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
