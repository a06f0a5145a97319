"""From time of day and glucose to places in a picture; and the colours that glucose has at each height."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from islet.reports.charts.marks import COLOURS

_TOPS_MG_DL: Final = (300.0, 350.0, 400.0)
"""What lies above the last is drawn at the edge: sensors show no more than 400."""
LOWEST_MG_DL: Final = 40.0
DAY_MIN: Final = 1440.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A plot's edges in the picture, its highest glucose, and the target range."""

    left: float
    right: float
    top: float
    bottom: float
    top_mg_dl: float
    low_mg_dl: float
    high_mg_dl: float

    def x(self, minute: float) -> float:
        """The place of a time of day in minutes since midnight."""
        return self.left + minute / DAY_MIN * (self.right - self.left)

    def y(self, mg_dl: float) -> float:
        """The place of a glucose value; what lies beyond the plot is at its edge."""
        share = (mg_dl - LOWEST_MG_DL) / (self.top_mg_dl - LOWEST_MG_DL)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)

    def zones(self) -> Iterator[tuple[str, float, float]]:
        """Each band's name with its upper and lower edge in the picture, very high first."""
        edges = (self.top_mg_dl, 250.0, self.high_mg_dl, self.low_mg_dl, 54.0, LOWEST_MG_DL)
        for name, above, below in zip(reversed(COLOURS), edges[:-1], edges[1:], strict=True):
            yield name, self.y(above), self.y(below)

    def paint(self, id: str) -> str:
        """A paint server of that id: the zones' colours at their heights."""
        height = self.bottom - self.top
        stops = "".join(
            f'<stop offset="{(y - self.top) / height:.4f}" stop-color="{COLOURS[name]}"/>'
            for name, above, below in self.zones()
            if below > above
            for y in (above, below)
        )
        return (
            f'<defs><linearGradient id="{id}" gradientUnits="userSpaceOnUse" x1="0" x2="0" y1="{self.top:g}" '
            f'y2="{self.bottom:g}">{stops}</linearGradient></defs>'
        )


def top_for(highest_mg_dl: float | None) -> float:
    """The highest value of an axis: 300 mg/dL, or 350 or 400 where glucose goes higher."""
    return next((top for top in _TOPS_MG_DL if highest_mg_dl is None or highest_mg_dl <= top), _TOPS_MG_DL[-1])
