"""Times as exports write them, and the instants that local times stand for."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from msgspec import structs

from islet.decode.imports.found import DateOrder, Found, wrong
from islet.decode.imports.tables import Cell
from islet.errors import BadInput

UNSET_TIME: Final = datetime(1, 1, 1)  # noqa: DTZ001 - of events that are being made
_TIME: Final = re.compile(
    r"(\d{1,4})\s?[-/.:年]\s?(\d{1,2}|[A-Za-z]{3,9})\.?\s?[-/.:月]\s?(\d{1,4})日?"
    r"(?:[T ,]\s*(上午|下午)?\s*(\d{1,2})[:.时](\d{2})(?:[:.分](\d{2})秒?(?:[.,]\d+)?)?\s*([AaPp]\.?\s?[Mm]\.?)?)?"
    r"\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
)
_LONGEST: Final = 80
_MONTH_FIRST: Final = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})(.*)")  # Mar 14, 2024 7:00 AM
_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES, 1)}


class Written(NamedTuple):
    """A date's three numbers in the order of the text, its clock time, and its offset from UTC where it has one."""

    first: int
    second: int
    third: int
    named_month: bool
    clock: time
    offset: timedelta | None
    short_year: bool = False
    """Two digits of this century, as 7/25/21."""
    dotted: bool = False


def written(text: str) -> Written | None:
    """The numbers of a time as it is written; None when it is no time."""
    text = text.strip()
    match = _TIME.fullmatch(_MONTH_FIRST.sub(r"\2-\1-\3\4", text)) if len(text) <= _LONGEST else None
    if match is None:
        return None
    first, second, third, morning, hour, minute, second_s, half, zone = match.groups()
    short_year = len(third) == 2 and len(first) < 3
    month = _MONTHS.get(second[:3].lower()) if second[0].isalpha() else int(second)
    clock = _clock(int(hour or 0), int(minute or 0), int(second_s or 0), half or morning)
    if month is None or clock is None:
        return None
    named, dotted = second[0].isalpha(), "." in match.string[: match.start(2)]
    return Written(int(first), month, int(third), named, clock, _offset(zone), short_year, dotted)


def _clock(hour: int, minute: int, second: int, half: str | None) -> time | None:
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP下" else 0)
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def _offset(zone: str | None) -> timedelta | None:
    if zone is None:
        return None
    if zone in ("Z", "UTC"):
        return timedelta(0)
    away = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -away if zone[0] == "-" else away


def date_order(
    texts: Iterable[tuple[int, str]], chosen: DateOrder | None, *, within: tuple[date, date] | None = None
) -> DateOrder:
    """The order of all dates of a file, from lines and texts. What a person chose goes first; then a day above 12
    somewhere decides (or a point between day and month), then the range of dates that the file itself states.

    Raises BadInput, reason "date_order", when both orders are possible: it tells both readings of the first date that
    differs, and the option that decides; or when no order fits all lines.
    """
    if chosen:
        return chosen
    first: tuple[int, Written] | None = None
    fits: dict[DateOrder, bool] = {"dmy": True, "mdy": True, "ymd": True}
    inside = dict(fits)
    for line, text in texts:
        parts = written(text)
        if parts is None:
            continue
        if parts.first > 31:
            return "ymd"
        if parts.named_month:
            return "dmy"
        for order in fits:
            day = _day(parts, order)
            fits[order] &= day is not None
            inside[order] &= day is not None and within is not None and within[0] <= day <= within[1]
        if first is None and parts.first != parts.second:
            first = line, parts
    left = [order for order, fit in fits.items() if fit]
    if len(left) > 1 and sum(inside.values()) == 1:
        left = [order for order in left if inside[order]]
    if len(left) == 1 or first is None:
        return left[0] if left else "ymd"
    line, parts = first
    if not left:
        raise BadInput(
            f"line {line}: the file's dates fit neither day-month-year nor month-day-year", reason="date_order"
        )
    readings = " or ".join(f"{_day(parts, order):%-d %B %Y} (--date-order {order})" for order in left)
    raise BadInput(f"line {line}: the date can be {readings}; nothing in the file decides", reason="date_order")


def _day(parts: Written, order: DateOrder) -> date | None:
    first, second, third = parts[:3]
    year, month, day = {
        "ymd": (first, second, third),
        "dmy": (third, second, first),
        "mdy": (third, first, second),
    }[order]
    if parts.dotted and order == "mdy":
        return None  # no language writes the month first with points
    if parts.short_year and order == "ymd" and (first < 10 or parts.dotted):
        return None  # nor a year of one digit, or of two with points
    year += 2000 if parts.short_year else 0
    try:
        return date(year, month, day) if 1900 <= year < 3000 else None
    except ValueError:
        return None


def local_time(cell: Cell, order: DateOrder, line: int, column: str) -> datetime:
    """The time in a cell: aware where the text has an offset, else local. Raises BadInput, reason "time"."""
    if isinstance(cell, date):
        told = cell if isinstance(cell, datetime) else datetime.combine(cell, time(0))  # a workbook's midnight
        if not 1900 <= told.year < 3000:
            raise wrong(line, column, "a date of this age", reason="time")
        return told
    parts = written(str(cell))
    day = None if parts is None else _day(parts, "ymd" if parts.first > 31 else "dmy" if parts.named_month else order)
    if parts is None or day is None:
        raise wrong(line, column, f"a date and time ({order})", reason="time")
    local = datetime.combine(day, parts.clock)
    return local if parts.offset is None else (local - parts.offset).replace(tzinfo=UTC)


def instants(times: Sequence[datetime], zone: tzinfo) -> list[datetime]:
    """The instants (n,) of one device's local times in the order of its file, which may run backwards.

    Of the hour that happens twice in autumn, times belong to its first pass until they step back. A time in the hour
    that spring leaves out is one of a clock that was not yet changed: it is read with the offset before the change, and
    so are those after it until times step back, or forward by more than the hour (in T1D-UOM a day later): else two
    readings get one instant.
    """
    backwards = len(times) > 1 and times[0] > times[-1]
    told: list[datetime] = []
    before: datetime | None = None
    second_pass = False
    unchanged: timedelta | None = None
    skipped = timedelta(0)
    for local in reversed(times) if backwards else times:
        early, late = local.replace(tzinfo=zone, fold=0).utcoffset(), local.replace(tzinfo=zone, fold=1).utcoffset()
        if early is None or late is None:
            raise BadInput("time zone: expected one with an offset", reason="time_zone")
        step = timedelta(-1) if before is None else local - before
        if early < late:  # the hour that spring leaves out
            unchanged, skipped = early, late - early
        elif unchanged is not None and not timedelta(0) <= step <= skipped:
            unchanged = None
        if early <= late:
            second_pass = False
        elif timedelta(hours=-2) < step < timedelta(0):
            second_pass = True
        offset = unchanged if unchanged is not None else late if second_pass else early
        told.append((local - offset).replace(tzinfo=UTC))
        before = local
    return told[::-1] if backwards else told


def in_zone(found: Sequence[Found], zone: tzinfo | None) -> list[Found]:
    """The same, with instants for local times, device by device. Raises BadInput, reason "time_zone", when there are
    local times and no zone is known."""
    settled = list(found)
    streams: defaultdict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(found):
        if one.event.time.tzinfo is None:
            streams[f"{one.device} {type(one.event).__name__}"].append(place)
    if streams and zone is None:
        raise BadInput(
            "the file's times are local: say where with --zone, for example Europe/Vienna", reason="time_zone"
        )
    for places in streams.values():
        assert zone is not None
        told = instants([settled[place].event.time for place in places], zone)
        for place, instant in zip(places, told, strict=True):
            one = settled[place]
            settled[place] = one._replace(event=structs.replace(one.event, time=instant))
    return settled
