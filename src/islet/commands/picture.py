"""What a rule found, as pictures: a row a day, the values as a line, the episodes as shaded stretches of it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from islet.model.alerts import Severity
from islet.model.time import DAY_US, MINUTE_US, from_us, to_us

_GAP_US: Final = 16 * MINUTE_US
"""A line is drawn over two missed readings of a sensor that measures every five minutes, but not over three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """An episode as it is drawn; `end_us` is the picture's end where it has not ended."""

    onset_us: int
    end_us: int
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Values (n,) at times (n,), ascending, in [from_us, to_us); `band`: the range that one aims for, if there is one.
    Days are those of `zone`."""

    title: str
    subtitle: str
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    band: tuple[float, float] | None
    stretches: Sequence[Stretch]
    from_us: int
    to_us: int
    zone: tzinfo = UTC

    @property
    def scale(self) -> tuple[float, float]:
        """The least and the highest value that is drawn; what lies beyond is drawn at the edge."""
        seen = self.values if len(self.values) else np.array(self.band or (0.0, 1.0))
        low, high = self.band or (float(seen.min()), float(seen.max()))
        margin = max(1.0, (high - low) * 0.3)
        return min(low - margin, float(np.percentile(seen, 0.5))), max(high + margin, float(np.percentile(seen, 99.5)))

    @property
    def marks(self) -> Sequence[float]:
        """The values that have their number beside the axis: the range that one aims for, or what was seen."""
        seen = sorted({float(self.values.min()), float(self.values.max())}) if len(self.values) else []
        return self.band or seen

    def days(self) -> Iterator[tuple[date, int, int]]:
        """Each local day with its begin and end, ascending."""
        day = from_us(self.from_us).astimezone(self.zone).date()
        while True:
            begin, end = (to_us(_midnight(day + timedelta(days=n), self.zone)) for n in (0, 1))
            if begin >= self.to_us:
                return
            yield day, begin, end
            day += timedelta(days=1)

    def begun(self, begin_us: int, end_us: int) -> int:
        """How many episodes began in [begin_us, end_us)."""
        return sum(begin_us <= stretch.onset_us < end_us for stretch in self.stretches)

    def inside(self, begin_us: int, end_us: int) -> list[Stretch]:
        """The episodes that touch [begin_us, end_us)."""
        return [
            one
            for one in self.stretches
            if one.onset_us < end_us and (one.end_us > begin_us or one.onset_us >= begin_us)
        ]

    @property
    def days_seen(self) -> float:
        """Days from the first value to the end; all of them where there is no value."""
        first_us = int(self.times_us[0]) if len(self.times_us) else self.from_us
        return (self.to_us - first_us) / DAY_US

    def clock(self, instant_us: int) -> str:
        """An instant by the clock of the zone."""
        return from_us(instant_us).astimezone(self.zone).strftime("%Y-%m-%d %H:%M")


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


# as text, for a terminal

_CELLS: Final = 72
_LEVELS: Final = "▁▂▃▄▅▆▇█"


def drawn(scene: Scene) -> list[str]:
    """Two lines a day, a character every 20 minutes: the mean value as a height, and below it where episodes are."""
    low, high = scene.scale
    hours = "".join(f"{hour:<9d}" for hour in range(0, 24, 3))
    lines = [f"{'':10} {hours}"]
    for day, begin_us, end_us in scene.days():
        edges = np.linspace(begin_us, end_us, _CELLS + 1)
        first = np.searchsorted(scene.times_us, edges)
        cells = [_cell(scene.values[a:b], low, high) for a, b in itertools.pairwise(first)]
        lines.append(f"{day.isoformat()} {''.join(cells)} {scene.begun(begin_us, end_us) or '':>3}")
        touched = [
            "━" if scene.inside(int(a), int(b)) and a < scene.to_us else " " for a, b in itertools.pairwise(edges)
        ]
        if "━" in touched:
            lines.append(f"{'':10} {''.join(touched)}".rstrip())
    return lines


def _cell(values: NDArray[np.float64], low: float, high: float) -> str:
    if not len(values):
        return " "
    share = (float(values.mean()) - low) / (high - low)
    return _LEVELS[min(len(_LEVELS) - 1, max(0, int(share * len(_LEVELS))))]


# as SVG

_WIDTH: Final = 1000
_LEFT: Final = 104
_RIGHT: Final = 52
_TOP: Final = 92
_ROW: Final = 62
_PLOT: Final = 52
_Along = Callable[[int], float]
_Down = Callable[[float], float]
_STYLE: Final = """
  :root { color-scheme: light dark; }
  .ground { fill: #fbfcfd; } .row { fill: #e9eef1; fill-opacity: .6; } .band { fill: #2b8c6b; opacity: .13; }
  .line { fill: none; stroke: #33454f; stroke-width: 1.3; stroke-linejoin: round; } .dot { fill: #33454f; }
  .grid { stroke: #ccd6db; stroke-width: 1; } .text { fill: #14232b; } .quiet { fill: #5d6e78; }
  .urgent { fill: #a50026; } .warning { fill: #d9661f; } .notice { fill: #3b7fb0; } .technical { fill: #6b7680; }
  .shade { opacity: .26; } .edge { opacity: .9; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif;
    font-variant-numeric: tabular-nums; }
  .head { font-size: 19px; font-weight: 650; } .strong { font-weight: 650; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #121a20; } .row { fill: #1d2a33; fill-opacity: .6; } .band { fill: #4bb58f; opacity: .17; }
    .line { stroke: #c3d0d8; } .dot { fill: #c3d0d8; } .grid { stroke: #2f3f4a; }
    .text { fill: #e6eef2; } .quiet { fill: #9db0bb; }
    .urgent { fill: #ff6f7d; } .warning { fill: #f0905c; } .notice { fill: #7fb4e0; } .technical { fill: #a9b6c0; }
    .shade { opacity: .32; }
  }
"""


def svg(scene: Scene) -> str:
    """The picture as one SVG document, for light and dark screens."""
    days = list(scene.days())
    height = _TOP + _ROW * max(1, len(days)) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(scene.title, {chr(34): "&quot;"})}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        f'<text class="text head" x="24" y="34">{escape(scene.title)}</text>',
        f'<text class="quiet" x="24" y="56">{escape(scene.subtitle)}</text>',
        *_hours(height),
    ]
    for place, (day, begin_us, end_us) in enumerate(days):
        parts += _day_row(scene, day, begin_us, end_us, _TOP + place * _ROW)
    return "\n".join([*parts, "</svg>", ""])


def _hours(height: int) -> Iterator[str]:
    for hour in range(0, 25, 3):
        x = _across(hour / 24)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 16}"/>'
        yield f'<text class="quiet" x="{x:.1f}" y="{_TOP - 12}" text-anchor="middle">{hour % 24:02d}</text>'


def _across(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _day_row(scene: Scene, day: date, begin_us: int, end_us: int, top: int) -> Iterator[str]:
    low, high = scene.scale

    def down(value: float) -> float:
        return top + _PLOT * (1 - (min(max(value, low), high) - low) / (high - low))

    def along(time_us: int) -> float:
        return _across((min(max(time_us, begin_us), end_us) - begin_us) / (end_us - begin_us))

    yield f'<rect class="row" x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_PLOT}" rx="3"/>'
    if scene.band:
        y = down(scene.band[1])
        size = down(scene.band[0]) - y
        yield f'<rect class="band" x="{_LEFT}" y="{y:.1f}" width="{_WIDTH - _LEFT - _RIGHT}" height="{size:.1f}"/>'
    yield from _shades(scene, scene.inside(begin_us, min(end_us, scene.to_us)), along, top)
    yield from _lines(scene, begin_us, end_us, along, down)
    yield f'<text class="text" x="24" y="{top + 23}">{day.strftime("%m-%d")}</text>'
    yield f'<text class="quiet" x="24" y="{top + 39}">{day.strftime("%a")}</text>'
    for bound in scene.marks:
        yield f'<text class="quiet" x="{_LEFT - 8}" y="{down(bound) + 4:.1f}" text-anchor="end">{bound:g}</text>'
    if count := scene.begun(begin_us, end_us):
        yield f'<text class="text strong" x="{_WIDTH - _RIGHT + 12}" y="{top + _PLOT / 2 + 4:g}">{count}</text>'


def _shades(scene: Scene, stretches: Sequence[Stretch], along: _Along, top: int) -> Iterator[str]:
    for one in stretches:
        x = along(one.onset_us)
        size = max(1.5, along(one.end_us) - x)
        span = f"{scene.clock(one.onset_us)} to {scene.clock(one.end_us)}"
        yield (
            f'<g class="{one.severity}"><title>{span}</title>'
            f'<rect class="shade" x="{x:.1f}" y="{top}" width="{size:.1f}" height="{_PLOT}"/>'
            f'<rect class="edge" x="{x:.1f}" y="{top + _PLOT}" width="{size:.1f}" height="3"/></g>'
        )


def _lines(scene: Scene, begin_us: int, end_us: int, along: _Along, down: _Down) -> Iterator[str]:
    """The day's values, a line per unbroken run; a lone value is a dot."""
    first, last = np.searchsorted(scene.times_us, (begin_us, end_us)).tolist()
    times_us, values = scene.times_us[first:last], scene.values[first:last]
    breaks = np.flatnonzero(np.diff(times_us) > _GAP_US) + 1
    for run_us, run in zip(np.split(times_us, breaks), np.split(values, breaks), strict=True):
        points = [(along(t), down(v)) for t, v in zip(run_us.tolist(), run.tolist(), strict=True)]
        if len(points) == 1:
            yield f'<circle class="dot" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="1.8"/>'
        elif points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline class="line" points="{path}"/>'
