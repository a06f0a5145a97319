"""A percentile profile as an SVG picture, for light and dark screens and for paper."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from islet.metrics.columns import Floats
from islet.metrics.ranges import Goals
from islet.model.units import MG_DL_PER_MMOL_L

_WIDTH, _HEIGHT = 760, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 64.0, 56.0, 36.0
_LEAST_TOP_MG_DL: Final = 300.0
_HIGHEST_MG_DL: Final = 350.0  # what lies above is drawn at the edge
_STYLE: Final = """
  :root { color-scheme: light dark; }
  .ground { fill: #fbfcfd; } .target { fill: #2b8c6b; opacity: .13; } .edge { stroke: #2b8c6b; stroke-width: 1.5; }
  .outer { fill: #3b4cc0; opacity: .16; } .inner { fill: #3b4cc0; opacity: .30; }
  .median { fill: none; stroke: #14232b; stroke-width: 2.5; stroke-linejoin: round; }
  .grid { stroke: #ccd6db; } .text { fill: #14232b; } .quiet { fill: #5d6e78; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif;
    font-variant-numeric: tabular-nums; }
  .head { font-size: 16px; font-weight: 650; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #121a20; } .outer, .inner { fill: #8fb8de; } .median { stroke: #e6eef2; } .grid { stroke: #2f3f4a; }
    .text { fill: #e6eef2; } .quiet { fill: #9db0bb; } .target { fill: #4bb58f; } .edge { stroke: #4bb58f; }
  }
"""


def profile_svg(smooth_mg_dl: Floats, goals: Goals, *, title: str, nothing: str, unit: str = "mg/dL") -> str:
    """One person's smooth percentiles (24, 5) as an SVG document: the median as a line in the bands of half and of
    nine tenths of readings, over the target range. Hours without readings are left out; lines are drawn from hour to
    hour, and round midnight to the edges. `title` and, where there is nothing to draw, `nothing` are shown as they
    are: texts for people are the caller's, in their language. `unit`: mg/dL or mmol/L.
    """
    seen = smooth_mg_dl[~np.isnan(smooth_mg_dl)]
    top = float(min(_HIGHEST_MG_DL, max(_LEAST_TOP_MG_DL, np.ceil(seen.max() / 50.0) * 50.0 if len(seen) else 0.0)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}"><style>{_STYLE}</style>',
        f'<rect class="ground" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="text head" x="{_LEFT:g}" y="26">{escape(title)}</text>',
        *_axes(goals, top, unit),
    ]
    if not len(seen):
        middle = (_LEFT + _WIDTH - _RIGHT) / 2.0
        parts.append(
            f'<text class="quiet" x="{middle:g}" y="{_HEIGHT / 2:g}" text-anchor="middle">{escape(nothing)}</text>'
        )
    for hours in _stretches(smooth_mg_dl):
        parts += _stretch(hours, top)
    parts += _names(smooth_mg_dl, top)
    return "\n".join([*parts, "</svg>\n"])


def _axes(goals: Goals, top: float, unit: str) -> Iterator[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    high, low = _y(goals.high_mg_dl, top), _y(goals.low_mg_dl, top)
    yield f'<rect class="target" x="{_LEFT:g}" y="{high:.1f}" width="{right - _LEFT:g}" height="{low - high:.1f}"/>'
    yield f'<text class="quiet" x="{_LEFT - 6:g}" y="{_TOP - 10:g}" text-anchor="end">{unit}</text>'
    below = 0.0
    for level in sorted({54.0, goals.low_mg_dl, goals.high_mg_dl, 250.0, top}, reverse=True):
        aimed = level in (goals.low_mg_dl, goals.high_mg_dl)
        y = _y(level, top)
        below = max(y + 4.0, below + 12.0)  # names keep apart where levels are near
        shown = f"{level:g}" if unit == "mg/dL" else f"{level / MG_DL_PER_MMOL_L:.1f}"
        yield f'<line class="{"edge" if aimed else "grid"}" x1="{_LEFT:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="quiet" x="{_LEFT - 6:g}" y="{below:.1f}" text-anchor="end">{shown}</text>'
    for hour in range(0, 25, 3):
        x = _x(hour)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:g}" y2="{bottom + 5:g}"/>'
        yield f'<text class="quiet" x="{x:.1f}" y="{bottom + 20:g}" text-anchor="middle">{hour:02}:00</text>'


def _stretches(smooth_mg_dl: Floats) -> Iterator[list[tuple[float, Floats]]]:
    """Stretches of hours with values, as (time of day in hours, percentiles); those that go on over midnight are
    drawn up to it on both sides."""
    there = ~np.isnan(smooth_mg_dl[:, 0])
    points: list[tuple[float, Floats]] = [(hour + 0.5, smooth_mg_dl[hour]) for hour in range(len(smooth_mg_dl))]
    if there[0] and there[-1]:
        midnight = (smooth_mg_dl[0] + smooth_mg_dl[-1]) / 2.0
        points = [(0.0, midnight), *points, (24.0, midnight)]
    stretch: list[tuple[float, Floats]] = []
    for point in points:
        if np.isnan(point[1][0]):
            if stretch:
                yield stretch
            stretch = []
        else:
            stretch.append(point)
    if stretch:
        yield stretch


def _stretch(points: Sequence[tuple[float, Floats]], top: float) -> Iterator[str]:
    if len(points) == 1:  # an hour alone is drawn as wide as it is
        points = [(points[0][0] - 0.5, points[0][1]), (points[0][0] + 0.5, points[0][1])]
    for name, low, high in (("outer", 0, 4), ("inner", 1, 3)):
        edge = [
            *((hour, values[high]) for hour, values in points),
            *((hour, values[low]) for hour, values in points[::-1]),
        ]
        yield f'<polygon class="{name}" points="{_path(edge, top)}"/>'
    yield f'<polyline class="median" points="{_path([(hour, values[2]) for hour, values in points], top)}"/>'


def _names(smooth_mg_dl: Floats, top: float) -> Iterator[str]:
    """The percentiles' names at the right edge, at least 13 apart, where the profile reaches it."""
    if np.isnan(smooth_mg_dl[[0, -1]]).any():
        return
    above = float(_HEIGHT)
    for name, value in zip((5, 25, 50, 75, 95), (smooth_mg_dl[0] + smooth_mg_dl[-1]) / 2.0, strict=True):
        y = min(_y(value, top) + 4.0, above - 13.0)
        above = y
        yield f'<text class="quiet" x="{_WIDTH - _RIGHT + 8:g}" y="{y:.1f}">{name} %</text>'


def _path(points: Sequence[tuple[float, float]], top: float) -> str:
    return " ".join(f"{_x(hour):.1f},{_y(value, top):.1f}" for hour, value in points)


def _x(hour: float) -> float:
    return _LEFT + hour / 24.0 * (_WIDTH - _LEFT - _RIGHT)


def _y(glucose_mg_dl: float, top: float) -> float:
    share = min(1.0, max(0.0, float(glucose_mg_dl) / top))
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
