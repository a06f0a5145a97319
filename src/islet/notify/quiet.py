"""Hours in which a patient is not to be woken for little, in their own time zone. Pure."""

import re
from datetime import datetime, time, timedelta
from typing import Final

from msgspec import Struct

from islet.errors import BadInput
from islet.model.alerts import Severity
from islet.model.time import MINUTE_US, from_us, to_us
from islet.model.time_zones import changed_between, offset_us, zone_or_utc

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `begin` to `end` ("22:00" to "07:00": over midnight) alerts of these severities wait.

    Technical alerts are not among them by default: a sensor that is silent at night cannot warn of a low.
    """

    begin: str
    end: str
    severities: tuple[Severity, ...] = (Severity.WARNING, Severity.NOTICE)


def check_quiet(quiet: QuietHours) -> None:
    """Raises BadInput for hours that are none, and for any attempt to silence urgent alerts."""
    if clock(quiet.begin) == clock(quiet.end):
        raise BadInput("quiet hours: begin and end are the same; leave them out instead", reason="policy")
    if Severity.URGENT in quiet.severities:
        raise BadInput("quiet hours: urgent alerts are never silenced; leave 'urgent' out", reason="policy")


def clock(text: str) -> time:
    """The time of day for "22:00". Raises BadInput."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise BadInput("quiet hours: expected a time of day as 22:00", reason="policy")
    return time(int(found[1]), int(found[2]))


def quiet_until_us(quiet: QuietHours, zone: str, now_us: int) -> int | None:
    """When the quiet hours end that `now_us` is in; None outside of them. Always later than `now_us`.

    By the clock on the wall: where a change to winter time shows an hour twice, both are quiet, and where a change jumps
    over their end, or back to before their begin, they end with it.

    >>> night = QuietHours(begin="22:00", end="07:00")
    >>> quiet_until_us(night, "UTC", 0) == 7 * 3_600_000_000, quiet_until_us(night, "UTC", 8 * 3_600_000_000)
    (True, None)
    """
    there = zone_or_utc(zone)
    local = from_us(now_us).astimezone(there)
    if not _is_quiet(quiet, local.time()):
        return None
    end = clock(quiet.end)
    day = local.date() if local.time() < end else local.date() + timedelta(days=1)
    ends = datetime.combine(day, end, there)
    instants = [to_us(ends.replace(fold=fold)) for fold in (0, 1)]
    latest = max(*instants, now_us + MINUTE_US)
    if offset_us(there, now_us) != offset_us(there, latest):
        instants.append(changed_between(there, now_us, latest))
    over = (one for one in instants if one > now_us and not _is_quiet(quiet, from_us(one).astimezone(there).time()))
    return min(over, default=latest)  # a change jumps over all that is not quiet: who asks again then gets the rest


def _is_quiet(quiet: QuietHours, shown: time) -> bool:
    begin, end = clock(quiet.begin), clock(quiet.end)
    return begin <= shown < end if begin < end else shown >= begin or shown < end
