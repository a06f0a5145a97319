"""Where a forecast and what came fall on the grids of clinical harm: Clarke, Parkes (type 1) and DTS, which is the
Surveillance grid as its makers drew it anew.

All take mg/dL and give a zone for each pair; `reference` is what came, `told` what was forecast.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Lines = tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

# Pfützner et al. 2013, doi:10.1177/193229681300700610, table 1 (type 1): each line is where a worse zone begins, as
# (reference, told) in mg/dL; those above the diagonal first, from B to E, then those below it, from B to D.
_PARKES_ABOVE: Final[Lines] = (
    ("B", ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550))),
    ("C", ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550))),
    ("D", ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550))),
    ("E", ((0, 150), (35, 155), (50, 550))),
)
_PARKES_BELOW: Final[Lines] = (
    ("B", ((50, 0), (50, 30), (170, 145), (385, 300), (550, 450))),
    ("C", ((120, 0), (120, 30), (260, 130), (550, 250))),
    ("D", ((250, 0), (250, 40), (550, 150))),
)
# Klonoff et al. 2024, doi:10.1177/19322968241275701, supplementary table A1: the lines that smooth the borders of the
# Surveillance grid's zones.
_DTS_ABOVE: Final[Lines] = (
    ("B", ((0, 60), (50, 60), (500, 600))),
    ("C", ((0, 86.5), (50, 86.5), (347, 600))),
    ("D", ((0, 124), (50, 124), (241, 600))),
    ("E", ((0, 179), (50, 179), (167, 600))),
)
_DTS_BELOW: Final[Lines] = (
    ("B", ((62.5, 0), (62.5, 50), (600, 480))),
    ("C", ((97.5, 0), (97.5, 50), (600, 307))),
    ("D", ((153, 0), (153, 50), (600, 197))),
    ("E", ((238, 0), (238, 50), (600, 126))),
)


def clarke(reference: Values, told: Values) -> NDArray[np.str_]:
    """Zones A to E (n,) of Clarke et al. 1987, doi:10.2337/diacare.10.5.622. A and B are harmless."""
    r, t = np.asarray(reference, np.float64), np.asarray(told, np.float64)
    zones = np.full(np.broadcast(r, t).shape, "B")
    zones[(r >= 240) & (t >= 70) & (t <= 180)] = "D"
    zones[(r <= 70) & (t >= 70) & (t <= 180)] = "D"
    zones[(r >= 70) & (r <= 290) & (t >= r + 110)] = "C"
    zones[(r >= 130) & (r <= 180) & (t <= 7 / 5 * r - 182)] = "C"
    zones[(r >= 180) & (t <= 70)] = "E"
    zones[(r <= 70) & (t >= 180)] = "E"
    zones[((r <= 70) & (t <= 70)) | (np.abs(t - r) <= 0.2 * r)] = "A"
    return zones


def parkes(reference: Values, told: Values) -> NDArray[np.str_]:
    """Zones A to E (n,) of the consensus grid for type 1, with the lines of Pfützner et al. 2013."""
    return _between(_PARKES_ABOVE, _PARKES_BELOW, reference, told)


def dts(reference: Values, told: Values) -> NDArray[np.str_]:
    """Zones A to E (n,) of the Diabetes Technology Society's error grid of 2024, for meters and sensors alike: no, mild,
    moderate, high and extreme risk. On a line the risk is that inside it. Below 50 mg/dL only the other value counts."""
    return _between(_DTS_ABOVE, _DTS_BELOW, reference, told)


def _between(above: Lines, below: Lines, reference: Values, told: Values) -> NDArray[np.str_]:
    """Zones (n,), from A on the diagonal to the worst that a pair lies beyond the line of."""
    r, t = np.asarray(reference, np.float64), np.asarray(told, np.float64)
    zones = np.full(np.broadcast(r, t).shape, "A")
    for zone, points in above:
        zones[_over(points, r, t)] = zone
    for zone, points in below:
        zones[_over(tuple((y, x) for x, y in points), t, r)] = zone  # mirrored: the same question with the axes changed
    return zones


def _over(points: tuple[tuple[float, float], ...], x: Values, y: Values) -> NDArray[np.bool_]:
    """Whether y is above the line through the points at x; past its last point the line goes on as it did."""
    xs, ys = np.array(points, np.float64).T
    line = np.interp(x, xs, ys)
    on = ys[-1] + (x - xs[-1]) * (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return np.asarray(y > np.where(x > xs[-1], on, line))
