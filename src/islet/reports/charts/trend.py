"""Three months: time in range and mean glucose of rolling windows of 14 days, with laboratory values."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from islet.model.translated import mark as _
from islet.reports.charts.marks import COLOURS, LINE, QUIET, curve, dot, line, picture, rect, text
from islet.reports.document import Goal, Programme, Window
from islet.reports.voice import Voice

_WIDTH, _HEIGHT = 700.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 590.0, 14.0, 184.0
_LINES: Final = (
    ("in_range_percent", "#2B8C6B", 2.8, ""),
    ("above_percent", "#3B4CC0", 1.8, "6 3"),
    ("below_percent", "#A50026", 1.8, "2 2"),
)


def trend_picture(report: Programme, voice: Voice) -> str:
    """The shares in, above and below the target range of the 14 days that end with each day. Windows with below 70 % of
    their readings are gaps."""
    first, last = report.rolling[0].last, report.rolling[-1].last
    parts = [*_frame(first, last, voice), *_goal(report.goals)]
    names: list[tuple[float, str, str]] = []
    for field, colour, width, dash in _LINES:
        pieces = list(_pieces(report.rolling, field, first, last))
        for piece in pieces:
            parts.append(_piece(piece, colour, width, dash))
        if pieces:
            names.append((pieces[-1][-1][1], colour, field))
    parts += _names(names, voice)
    if not names:
        middle = (_LEFT + _RIGHT) / 2
        said = voice.text(_("No 14 days have enough readings."))
        parts.append(text(middle, 100, said, size=13, anchor="middle", fill=QUIET))
    return picture(_WIDTH, _HEIGHT, _told(report, voice), parts)


def _x(day: date, first: date, last: date) -> float:
    return _LEFT + (day - first).days / max(1, (last - first).days) * (_RIGHT - _LEFT)


def _y(percent: float) -> float:
    return _BOTTOM - percent / 100.0 * (_BOTTOM - _TOP)


def _frame(first: date, last: date, voice: Voice) -> Iterator[str]:
    yield rect(_LEFT, _TOP, _RIGHT - _LEFT, _BOTTOM - _TOP, "#FBFCFD")
    for percent in (0, 25, 50, 75, 100):
        yield line(_LEFT, _y(percent), _RIGHT, _y(percent), stroke=LINE, width=0.8)
        yield text(_LEFT - 5, _y(percent) + 4, f"{percent} %", size=10, anchor="end", fill=QUIET)
    days = (last - first).days
    for place in range(0, days + 1, 14):
        day = date.fromordinal(last.toordinal() - place)
        x = _x(day, first, last)
        yield line(x, _BOTTOM, x, _BOTTOM + 4)
        yield text(x, _BOTTOM + 17, voice.day(day), size=10, anchor="middle", fill=QUIET)


def _goal(goals: Sequence[Goal]) -> Iterator[str]:
    for goal in goals:
        if goal.name == "in_range":
            y = _y(goal.bound_percent)
            yield line(_LEFT, y, _RIGHT, y, stroke=COLOURS["in_range"], width=1.0, dash="5 4")


def _pieces(windows: Sequence[Window], field: str, first: date, last: date) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for window in windows:
        value = getattr(window, field)
        if value is not None:
            piece.append((_x(window.last, first, last), _y(value)))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _piece(piece: list[tuple[float, float]], colour: str, width: float, dash: str) -> str:
    if len(piece) == 1:
        return dot(*piece[0], 2.4, colour)
    drawn = curve(piece, stroke=colour, width=width)
    return drawn.replace("/>", f' stroke-dasharray="{dash}"/>') if dash else drawn


def _names(names: Sequence[tuple[float, str, str]], voice: Voice) -> Iterator[str]:
    said = {
        "in_range_percent": voice.text(_("In range")),
        "above_percent": voice.text(_("Above range")),
        "below_percent": voice.text(_("Below range")),
    }
    lowest = _TOP - 12.0
    for y, colour, field in sorted(names):
        lowest = max(y + 4, lowest + 14)
        yield text(_RIGHT + 8, lowest, said[field], size=12, fill=colour, bold=True)


def _told(report: Programme, voice: Voice) -> str:
    head = voice.text(_("Rolling windows of 14 days"))
    known = [window for window in report.rolling if window.in_range_percent is not None]
    if not known:
        return f"{head}: {voice.text(_('No 14 days have enough readings.'))}"
    said = voice.text(_("in range {first} at first, {last} at last"))
    return f"{head}: " + said.format(
        first=voice.share(known[0].in_range_percent), last=voice.share(known[-1].in_range_percent)
    )
