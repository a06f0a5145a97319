"""What all pictures share: colours, letters, and SVG elements with their text escaped.

Everything is an attribute: no style sheet and no script is needed, so that a page's content policy, a browser and
WeasyPrint show the same. Fills that are pale on white (#8FB8DE is 2.1:1) have a darker edge, and no picture tells
anything by colour alone.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

COLOURS: Final = {
    "very_low": "#A50026",
    "low": "#E8743B",
    "in_range": "#2B8C6B",
    "high": "#8FB8DE",
    "very_high": "#3B4CC0",
}
"""Five colours that stay apart with any colour blindness (ΔE76 29, 31, 25 for protan, deutan, tritan)."""
INK: Final = "#14232B"
QUIET: Final = "#53646E"
LINE: Final = "#CCD6DB"
EDGE: Final = "#3C4A52"
FONTS: Final = (
    "'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, 'PingFang SC', 'Microsoft YaHei', "
    "'Noto Sans CJK SC', 'DejaVu Sans Condensed', sans-serif"
)

Places = Sequence[tuple[float, float]]


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """The SVG element; `title` is what it says to those who do not see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{_quoted(title)}" font-family="{FONTS}">{"".join(parts)}</svg>'
    )


def text(
    x: float, y: float, words: str, *, size: float = 11, anchor: str = "start", fill: str = INK, bold: bool = False
) -> str:
    weight = ' font-weight="700"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"{weight}>'
        f"{escape(words)}</text>"
    )


def rect(x: float, y: float, width: float, height: float, fill: str, *, edge: str = "", opacity: float = 1.0) -> str:
    more = f' stroke="{edge}" stroke-width="0.7"' if edge else ""
    more += f' fill-opacity="{opacity:g}"' if opacity < 1.0 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}/>'


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = LINE, width: float = 1.0, dash: str = "") -> str:
    more = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
        f'stroke-width="{width:g}"{more}/>'
    )


def curve(points: Places, *, stroke: str, width: float) -> str:
    return (
        f'<polyline points="{_joined(points)}" fill="none" stroke="{stroke}" stroke-width="{width:g}" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
    )


def shape(points: Places, *, fill: str, opacity: float = 1.0, edge: str = "") -> str:
    more = f' stroke="{edge}" stroke-width="0.7"' if edge else ""
    more += f' fill-opacity="{opacity:g}"' if opacity < 1.0 else ""
    return f'<polygon points="{_joined(points)}" fill="{fill}"{more}/>'


def dot(x: float, y: float, radius: float, fill: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>'


def apart(wanted: Sequence[float], least: float, top: float, bottom: float) -> list[float]:
    """Places in ascending order, each at least `least` after the one before, near the wanted ones (ascending).

    >>> apart([10.0, 12.0, 40.0], 12.0, 0.0, 50.0)
    [10.0, 22.0, 40.0]
    """
    places: list[float] = []
    for one in wanted:
        places.append(max(one, places[-1] + least if places else top))
    limit = bottom
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - least
    return places


def _joined(points: Places) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _quoted(words: str) -> str:
    return escape(words, {'"': "&quot;", "\n": " "})
