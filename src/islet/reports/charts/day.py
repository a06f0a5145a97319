"""One day: its curve over the target range, and below it what was eaten, injected, taken and trained."""

from collections.abc import Iterator, Sequence
from typing import Final

from islet.model.translated import mark as _
from islet.reports.charts.marks import COLOURS, EDGE, INK, LINE, QUIET, curve, dot, line, picture, rect, shape, text
from islet.reports.charts.scale import DAY_MIN, Scale
from islet.reports.document import Act, Day, Left
from islet.reports.texts import ACTS
from islet.reports.voice import NO_VALUE, Voice

WIDTH: Final = 346.0
_HEIGHT: Final = 95.0
_EMPTY_HEIGHT: Final = 68.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 26.0, 342.0, 16.0, 64.0
_LANES: Final = {"meal": 71.0, "insulin": 79.5, "exercise": 88.0, "medication": 88.0}
"""The place of each kind's lane; exercise and drugs share one."""
_USUAL_TOP_MG_DL: Final = 300.0
_HIGHEST_MG_DL: Final = 400.0
_RIM: Final = "#71828C"
"""Around the curve, whose palest colour is 2:1 on white."""
_LETTER: Final = 4.6
"""Width of a letter of an amount."""
_FILLS: Final = {"meal": "#7A5C00", "insulin": "#3B4CC0"}
_SHADE: Final = 8.0
"""Height of what is on board, where it is most."""
_LEAST_U, _LEAST_G = 2.0, 20.0


def day_picture(day: Day, number: int, scale: Scale, most: Left, voice: Voice) -> str:
    """`number` makes the picture's paint its own among those of a page; the scale is that of all its days, and `most` is
    on board in any of them."""
    paint = f"day-zones-{number}"
    parts = [scale.paint(paint), *_head(day, voice), *_frame(scale, voice)]
    if day.runs:
        parts += _curve(day, scale, paint)
    else:
        middle = (_LEFT + _RIGHT) / 2
        parts.append(text(middle, 44, voice.text(_("No readings")), anchor="middle", fill=QUIET))
    parts += [*_on_board(day.on_board, scale, most), *_acts(day.acts, scale)]
    return picture(WIDTH, _HEIGHT if day.runs or day.acts else _EMPTY_HEIGHT, _told(day, voice), parts)


def days_scale(days: Sequence[Day], low_mg_dl: float, high_mg_dl: float) -> Scale:
    """One scale for all days, up to 300 mg/dL, or to 400, which sensors show at most."""
    highest = max((point.mg_dl for day in days for run in day.runs for point in run), default=0.0)
    return Scale(
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        top_mg_dl=_HIGHEST_MG_DL if highest > _USUAL_TOP_MG_DL else _USUAL_TOP_MG_DL,
        low_mg_dl=low_mg_dl,
        high_mg_dl=high_mg_dl,
    )


def most_on_board(days: Sequence[Day]) -> Left:
    """What fills the height of a shade: the most of any of the days, and not less than 2 U and 20 g."""
    every = [left for day in days for left in day.on_board]
    insulin_u = max((left.insulin_u for left in every), default=0.0)
    carbs_g = max((left.carbs_g for left in every), default=0.0)
    return Left(minute=0, insulin_u=max(_LEAST_U, insulin_u), carbs_g=max(_LEAST_G, carbs_g))


def _head(day: Day, voice: Voice) -> Iterator[str]:
    yield text(_LEFT, 12, voice.weekday(day.date), size=11, bold=True)
    if not day.bands:
        return
    said = voice.text(_("{share} in range, mean {mean}"))
    share, mean = voice.percent(day.bands[2]), voice.glucose(day.mean_mg_dl)
    yield text(_RIGHT, 12, said.format(share=share, mean=mean), size=10, anchor="end", fill=QUIET)


def _frame(scale: Scale, voice: Voice) -> Iterator[str]:
    yield rect(scale.left, scale.top, scale.right - scale.left, scale.bottom - scale.top, "#FBFCFD", edge=LINE)
    low, high = scale.y(scale.low_mg_dl), scale.y(scale.high_mg_dl)
    yield rect(scale.left, high, scale.right - scale.left, low - high, COLOURS["in_range"], opacity=0.14)
    for level, y in ((scale.low_mg_dl, low), (scale.high_mg_dl, high)):
        yield text(scale.left - 3, y + 3, voice.glucose(level), size=8.5, anchor="end", fill=QUIET)
    for hour in (6, 12, 18):
        x = scale.x(60.0 * hour)
        yield line(x, scale.top, x, scale.bottom, stroke=LINE, width=0.7)
        yield text(x + 2, scale.top + 8, f"{hour:02}", size=8, fill=QUIET)


def _curve(day: Day, scale: Scale, paint: str) -> Iterator[str]:
    for run in day.runs:
        places = [(scale.x(point.minute), scale.y(point.mg_dl)) for point in run]
        if len(places) == 1:
            yield dot(*places[0], 1.6, INK)
            continue
        yield curve(places, stroke=_RIM, width=2.7)
        flat = max(y for _, y in places) - min(y for _, y in places) < 0.1
        yield curve(places, stroke=_zone_colour(scale, places[0][1]) if flat else f"url(#{paint})", width=1.9)


def _zone_colour(scale: Scale, y: float) -> str:
    """The colour at a height: a line without height has no box for a gradient in some programs."""
    return next((COLOURS[name] for name, above, below in scale.zones() if above <= y <= below), INK)


def _on_board(found: Sequence[Left], scale: Scale, most: Left) -> Iterator[str]:
    """A quiet shade behind the lane of meals, of the carbs that are still to come, and one behind that of insulin."""
    shades = (
        ("meal", [left.carbs_g / most.carbs_g for left in found]),
        ("insulin", [left.insulin_u / most.insulin_u for left in found]),
    )
    for kind, heights in shades:
        if not any(heights):
            continue
        bottom = _LANES[kind] + _SHADE / 2
        tops = [
            (scale.x(float(left.minute)), bottom - _SHADE * height) for left, height in zip(found, heights, strict=True)
        ]
        yield shape([(tops[0][0], bottom), *tops, (tops[-1][0], bottom)], fill=_FILLS[kind], opacity=0.22)


def _acts(acts: Sequence[Act], scale: Scale) -> Iterator[str]:
    """Each kind in its lane; an amount stands beside its mark where the next mark of the lane leaves room for it."""
    for lane in dict.fromkeys(_LANES.values()):
        marks = [(scale.x(act.at.hour * 60.0 + act.at.minute), act) for act in acts if _LANES.get(act.kind) == lane]
        for (x, act), end in zip(marks, [*(x for x, later in marks[1:]), WIDTH + 6.0], strict=False):
            length = min(scale.right - x, (act.amount or 0.0) / DAY_MIN * (scale.right - scale.left))
            yield from _mark(act.kind, x, lane, length)
            said = "" if act.amount is None or act.kind == "exercise" else f"{act.amount:g} {act.unit}".strip()
            if said and x + 9 + _LETTER * len(said) <= end:
                yield text(x + 5, lane + 3, said, size=8, fill=INK)


def _mark(kind: str, x: float, lane: float, length: float) -> Iterator[str]:
    """A shape of its own for each kind: a triangle for a meal, a bar for insulin, a stretch for exercise, a diamond
    for a drug."""
    match kind:
        case "meal":
            yield shape([(x - 3.5, lane + 3), (x + 3.5, lane + 3), (x, lane - 4)], fill=_FILLS[kind])
        case "insulin":
            yield rect(x - 1.5, lane - 4, 3, 7.5, _FILLS[kind])
        case "exercise":
            yield rect(x, lane - 1.5, max(3.0, length), 4, "#2B8C6B", edge=EDGE)
        case _:
            yield shape([(x, lane - 4), (x + 3.5, lane), (x, lane + 4), (x - 3.5, lane)], fill="#53646E")


def legend(voice: Voice) -> str:
    """What the marks below the curves are."""
    parts, x = list[str](), 4.0
    for kind in _LANES:
        length = 12.0 if kind == "exercise" else 0.0
        parts += _mark(kind, x, 8.0, length)
        name = voice.text(ACTS[kind])
        parts.append(text(x + 8 + length, 11, name, size=10, fill=QUIET))
        x += 26 + length + sum(10.5 if ord(letter) > 0x2E80 else 5.8 for letter in name)
    return picture(x, 16, voice.text(_("Marks")), parts)


def _told(day: Day, voice: Voice) -> str:
    acts = sum(act.kind in _LANES for act in day.acts)
    said = voice.text(_("{day}: {share} in range, mean {mean}, events: {acts}"))
    share = voice.percent(day.bands[2]) if day.bands else NO_VALUE
    told = said.format(day=voice.weekday(day.date), share=share, mean=voice.with_unit(day.mean_mg_dl), acts=acts)
    if not day.on_board:
        return told
    said = voice.text(_("on board at most, by a model: insulin {u} U, carbs {g} g"))
    u, g = (max(getattr(left, name) for left in day.on_board) for name in ("insulin_u", "carbs_g"))
    return f"{told}; {said.format(u=f'{u:.1f}', g=f'{g:.0f}')}"
