"""Time in ranges: one bar of five bands; and a bar a day."""

from collections.abc import Iterator, Sequence
from typing import Final

from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT
from islet.model.translated import mark as _
from islet.reports.charts.marks import COLOURS, EDGE, INK, QUIET, apart, line, picture, rect, text
from islet.reports.document import Band, Day
from islet.reports.texts import BANDS, told_range
from islet.reports.voice import NO_VALUE, Voice

_WIDTH, _HEIGHT = 330.0, 250.0
_BAR_LEFT, _BAR_WIDTH, _TOP, _BOTTOM = 44.0, 54.0, 14.0, 236.0
_LEAST_SEGMENT: Final = 3.0
_LABEL: Final = 34.0


def bands_picture(bands: Sequence[Band], voice: Voice, *, a_day: bool = True) -> str:
    """The bar with each band's name, range, share and (`a_day`) time a day; "No readings" where there are none."""
    shares = {band.name: band.percent for band in bands if band.percent is not None}
    told = "; ".join(f"{voice.text(BANDS[band.name])} {voice.share(band.percent)}" for band in reversed(bands))
    title = f"{voice.text(_('Time in ranges'))}: {told if shares else voice.text(_('No readings'))}"
    parts = _bar(bands, voice, a_day) if shares else _nothing(voice)
    return picture(_WIDTH, _HEIGHT, title, parts)


def _nothing(voice: Voice) -> Iterator[str]:
    yield rect(_BAR_LEFT, _TOP, _BAR_WIDTH, _BOTTOM - _TOP, "#F2F5F6", edge=EDGE)
    yield text(_BAR_LEFT + _BAR_WIDTH + 22, (_TOP + _BOTTOM) / 2, voice.text(_("No readings")), size=13, fill=QUIET)


def _bar(bands: Sequence[Band], voice: Voice, a_day: bool) -> Iterator[str]:
    order = list(reversed(bands))
    sizes = _sizes([band.percent or 0.0 for band in order], _BOTTOM - _TOP)
    y, middles = _TOP, []
    for band, size in zip(order, sizes, strict=True):
        middles.append(y + size / 2)
        if size:
            yield rect(_BAR_LEFT, y, _BAR_WIDTH, size, COLOURS[band.name], edge=EDGE)
        y += size
    right = _BAR_LEFT + _BAR_WIDTH
    places = apart(middles, _LABEL, _TOP + 14, _BOTTOM - 10)
    for band, middle, place in zip(order, middles, places, strict=True):
        yield line(right + 1, middle, right + 16, place - 3, stroke=EDGE, width=0.7)
        yield rect(right + 19, place - 10, 9, 9, COLOURS[band.name], edge=EDGE)
        yield text(right + 33, place - 2, voice.text(BANDS[band.name]), size=12, bold=True)
        yield text(_WIDTH - 4, place - 2, voice.share(band.percent), size=14, anchor="end", bold=True)
        yield text(right + 33, place + 11, told_range(band, voice), size=10, fill=QUIET)
        if a_day:
            yield text(_WIDTH - 4, place + 11, voice.span(band.minutes_a_day), size=10, anchor="end", fill=QUIET)
    yield from _edges(order, sizes, voice)


def _edges(order: Sequence[Band], sizes: Sequence[float], voice: Voice) -> Iterator[str]:
    """The values where the bands meet, left of the bar, where they keep apart."""
    y, wanted, names = _TOP, [], []
    for band, size in zip(order[:-1], sizes[:-1], strict=True):
        y += size
        wanted.append(y + 4)
        names.append(voice.glucose(band.from_mg_dl))
    for place, name in zip(apart(wanted, 12.0, _TOP + 8, _BOTTOM), names, strict=True):
        yield text(_BAR_LEFT - 6, place, name, size=10, anchor="end", fill=QUIET)


def _sizes(percents: Sequence[float], whole: float) -> list[float]:
    """Heights in proportion; what is there at all can be seen, at the cost of the largest."""
    sizes = [0.0 if percent <= 0.0 else max(_LEAST_SEGMENT, percent / 100.0 * whole) for percent in percents]
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    sizes[largest] += whole - sum(sizes)
    return sizes


_ROW: Final = 27.0
_DAYS_WIDTH: Final = 350.0
_DAYS_LEFT, _DAYS_RIGHT = 84.0, 290.0


def days_picture(days: Sequence[Day], voice: Voice) -> str:
    """A bar a day, its share in range beside it."""
    told = "; ".join(f"{voice.weekday(day.date)} {_in_range(day, voice)}" for day in days)
    title = f"{voice.text(_('In range, day by day'))}: {told}"
    parts = [part for place, day in enumerate(days) for part in _day(day, 4 + place * _ROW, voice)]
    return picture(_DAYS_WIDTH, 8 + len(days) * _ROW, title, parts)


def _day(day: Day, y: float, voice: Voice) -> Iterator[str]:
    yield text(0, y + 14, voice.weekday(day.date), size=12)
    if not day.bands:
        yield rect(_DAYS_LEFT, y, _DAYS_RIGHT - _DAYS_LEFT, 20, "#F2F5F6", edge=QUIET)
        yield text((_DAYS_LEFT + _DAYS_RIGHT) / 2, y + 14, voice.text(_("No readings")), anchor="middle", fill=QUIET)
        yield text(_DAYS_WIDTH, y + 15, NO_VALUE, size=14, anchor="end", fill=QUIET)
        return
    x = _DAYS_LEFT
    sizes = _sizes(list(day.bands), _DAYS_RIGHT - _DAYS_LEFT)
    for name, size in zip(COLOURS, sizes, strict=True):
        if size:
            yield rect(x, y, size, 20, COLOURS[name], edge=EDGE)
        x += size
    full = day.active_percent >= ENOUGH_ACTIVE_PERCENT
    share = _in_range(day, voice)
    yield text(_DAYS_WIDTH, y + 15, share, size=14, anchor="end", bold=full, fill=INK if full else QUIET)


def _in_range(day: Day, voice: Voice) -> str:
    return voice.percent(day.bands[2]) if day.bands else NO_VALUE
