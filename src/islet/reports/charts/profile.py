"""The percentile profile of the day: the median in the bands of half and of nine tenths of readings."""

from collections.abc import Iterator, Sequence
from typing import Final

from islet.model.translated import mark as _
from islet.reports.charts.marks import COLOURS, INK, LINE, QUIET, apart, curve, line, picture, rect, shape, text
from islet.reports.charts.scale import DAY_MIN, Scale, top_for
from islet.reports.document import Hour
from islet.reports.voice import Voice

_WIDTH, _HEIGHT = 700.0, 206.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 644.0, 18.0, 184.0
_LEAST_APART: Final = 12.0
_NAMES: Final = ("5 %", "25 %", "50 %", "75 %", "95 %")

Percentiles = tuple[float, float, float, float, float]


def profile_picture(hours: Sequence[Hour], low_mg_dl: float, high_mg_dl: float, voice: Voice, paint: str) -> str:
    """`paint` names the picture's colours, once on a page. Hours without readings are left out; the profile goes on over midnight. Percentiles stand at half past."""
    known = {hour.hour: _values(hour) for hour in hours if hour.p5 is not None}
    highest = max((values[4] for values in known.values()), default=None)
    scale = Scale(
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        top_mg_dl=top_for(highest),
        low_mg_dl=low_mg_dl,
        high_mg_dl=high_mg_dl,
    )
    parts = [scale.paint(paint), *frame(scale, voice)]
    for stretch in _stretches(known):
        parts += _bands(stretch, scale, paint)
    if known:
        parts += _names(known, scale)
    else:
        middle = (_LEFT + _RIGHT) / 2
        y = (scale.y(high_mg_dl) + scale.y(250.0)) / 2 + 5
        parts.append(text(middle, y, voice.text(_("No readings")), size=14, anchor="middle", fill=QUIET))
    return picture(_WIDTH, _HEIGHT, _told(known, voice), parts)


def _values(hour: Hour) -> Percentiles:
    assert hour.p5 is not None and hour.p25 is not None and hour.p50 is not None
    assert hour.p75 is not None and hour.p95 is not None
    return hour.p5, hour.p25, hour.p50, hour.p75, hour.p95


def frame(scale: Scale, voice: Voice, *, hours: bool = True, unit: bool = True) -> Iterator[str]:
    """The target range, lines at the levels that matter with their values, and the hours below."""
    yield rect(scale.left, scale.top, scale.right - scale.left, scale.bottom - scale.top, "#FBFCFD")
    low, high = scale.y(scale.low_mg_dl), scale.y(scale.high_mg_dl)
    yield rect(scale.left, high, scale.right - scale.left, low - high, COLOURS["in_range"], opacity=0.12)
    levels = sorted({54.0, scale.low_mg_dl, scale.high_mg_dl, 250.0, scale.top_mg_dl}, reverse=True)
    places = apart([scale.y(level) + 4 for level in levels], 10.5, scale.top + 4, scale.bottom + 4)
    for level, place in zip(levels, places, strict=True):
        aimed = level in (scale.low_mg_dl, scale.high_mg_dl)
        colour = COLOURS["in_range"] if aimed else LINE
        y = scale.y(level)
        yield line(scale.left, y, scale.right, y, stroke=colour, width=1.3 if aimed else 0.8)
        yield text(scale.left - 5, place, voice.glucose(level), size=10, anchor="end", fill=INK if aimed else QUIET)
    if unit:
        yield text(2, scale.top - 8, voice.unit, size=10, fill=QUIET)
    for hour in range(0, 25, 3) if hours else ():
        x = scale.x(60.0 * hour)
        yield line(x, scale.bottom, x, scale.bottom + 4)
        yield text(x, scale.bottom + 16, f"{hour:02}:00", size=10, anchor="middle", fill=QUIET)


def _stretches(known: dict[int, Percentiles]) -> Iterator[list[tuple[float, Percentiles]]]:
    """Pieces of (minute, percentiles) without a gap; those that go on over midnight reach it on both sides."""
    points = [(60.0 * hour + 30.0, known.get(hour)) for hour in range(24)]
    if 0 in known and 23 in known:
        middle = _middle(known)
        points = [(0.0, middle), *points, (DAY_MIN, middle)]
    stretch: list[tuple[float, Percentiles]] = []
    for minute, values in [*points, (DAY_MIN, None)]:
        if values is not None:
            stretch.append((minute, values))
            continue
        if len(stretch) == 1:  # an hour alone is drawn as wide as it is
            (at, alone) = stretch[0]
            stretch = [(at - 30.0, alone), (at + 30.0, alone)]
        if stretch:
            yield stretch
        stretch = []


def _middle(known: dict[int, Percentiles]) -> Percentiles:
    a, b, c, d, e = ((before + after) / 2 for before, after in zip(known[23], known[0], strict=True))
    return a, b, c, d, e


def _bands(points: Sequence[tuple[float, Percentiles]], scale: Scale, paint: str) -> Iterator[str]:
    for below, above, opacity in ((0, 4, 0.32), (1, 3, 0.62)):
        edge = [(scale.x(minute), scale.y(values[above])) for minute, values in points]
        edge += [(scale.x(minute), scale.y(values[below])) for minute, values in reversed(points)]
        yield shape(edge, fill=f"url(#{paint})", opacity=opacity)
    middle = [(scale.x(minute), scale.y(values[2])) for minute, values in points]
    yield curve(middle, stroke="#FFFFFF", width=4.5)
    yield curve(middle, stroke=INK, width=2.4)


def _names(known: dict[int, Percentiles], scale: Scale) -> Iterator[str]:
    """The percentiles' names beside the right end of the last hour; only the median's where all lie within a line's width."""
    last = max(known)
    values = _middle(known) if last == 23 and 0 in known else known[last]
    wanted = [scale.y(value) + 4 for value in reversed(values)]
    x = (scale.right if last == 23 else scale.x(60.0 * last + 60.0)) + 6
    if wanted[-1] - wanted[0] < _LEAST_APART:
        yield text(x, wanted[2], "50 %", size=10, bold=True)
        return
    for name, place in zip(reversed(_NAMES), apart(wanted, _LEAST_APART, scale.top, scale.bottom + 4), strict=True):
        yield text(x, place, name, size=10, fill=INK if name == "50 %" else QUIET, bold=name == "50 %")


def _told(known: dict[int, Percentiles], voice: Voice) -> str:
    head = voice.text(_("Percentile profile of the day"))
    if not known:
        return f"{head}: {voice.text(_('No readings'))}"
    low = min(known, key=lambda hour: known[hour][2])
    high = max(known, key=lambda hour: known[hour][2])
    sentence = voice.text(_("median lowest {low} at {low_hour}, highest {high} at {high_hour}"))
    said = sentence.format(
        low=voice.with_unit(known[low][2]),
        low_hour=f"{low:02}:30",
        high=voice.with_unit(known[high][2]),
        high_hour=f"{high:02}:30",
    )
    return f"{head}: {said}"
