"""Pairs lie in the zones that the papers draw."""

import numpy as np
import pytest

from islet.forecast.error_grids import clarke, dts, parkes

_RISK_ABOVE, _RISK_BELOW, _LOWEST = 2.75, 2.25, 50.0
"""Of Klonoff et al. 2024, doi:10.1177/19322968241275701: the risk of a pair is 2.75 or 2.25 times the logarithm of its
ratio, values below 50 mg/dL counting as 50; the zones end at 0.5, 1.5, 2.5 and 3.5."""
_EDGES = (0.5, 1.5, 2.5, 3.5)
_ROUNDED_MG_DL = 1.2
"""So far the lines of the paper's table lie from where its formula has them, at most."""


@pytest.mark.parametrize(
    ("reference", "told", "zone"),
    [
        (100, 100, "A"), (100, 120, "A"), (100, 121, "B"), (60, 50, "A"), (60, 69, "A"),
        (60, 100, "D"), (250, 100, "D"), (60, 200, "E"), (200, 60, "E"), (100, 220, "C"), (160, 30, "C"), (239, 150, "B"),
    ],
)  # fmt: skip
def test_clarke_puts_pairs_where_the_paper_does(reference: float, told: float, zone: str) -> None:
    assert clarke(np.array([reference]), np.array([told])).tolist() == [zone]


@pytest.mark.parametrize(
    ("reference", "told", "zone"),
    [
        (100, 100, "A"), (30, 49, "A"), (30, 51, "B"), (30, 61, "C"), (20, 101, "D"), (20, 160, "E"),
        (200, 290, "B"), (150, 250, "B"), (150, 300, "C"), (200, 140, "B"), (260, 120, "C"), (300, 50, "D"), (600, 600, "A"), (49, 10, "A"), (51, 10, "B"),
    ],
)  # fmt: skip
def test_parkes_puts_pairs_between_the_lines_of_its_table(reference: float, told: float, zone: str) -> None:
    assert parkes(np.array([reference]), np.array([told])).tolist() == [zone]


@pytest.mark.parametrize(
    ("reference", "told", "zone"),
    [
        (100, 100, "A"), (100, 120, "A"), (100, 121, "B"), (100, 80, "A"), (100, 79, "B"), (20, 60, "A"), (20, 61, "B"),
        (40, 87, "C"), (50, 125, "D"), (30, 180, "E"), (62.5, 10, "A"), (63, 10, "B"), (98, 50, "C"), (154, 20, "D"),
        (200, 10, "D"), (239, 0, "E"), (600, 126, "D"), (600, 125, "E"), (500, 600, "A"), (600, 480, "A"),
    ],
)  # fmt: skip
def test_dts_puts_pairs_between_the_lines_of_its_table(reference: float, told: float, zone: str) -> None:
    assert dts(np.array([reference]), np.array([told])).tolist() == [zone]


@pytest.mark.parametrize("place", range(len(_EDGES)))
def test_the_lines_of_dts_are_where_its_formula_of_risk_has_them(place: int) -> None:
    one = np.arange(20, 601.0)
    above = np.maximum(one, _LOWEST) * np.exp(_EDGES[place] / _RISK_ABOVE)  # told, of what came
    below = np.maximum(one, _LOWEST) * np.exp(_EDGES[place] / _RISK_BELOW)  # what came, of what was told
    inside, outside = "ABCDE"[place], "ABCDE"[place + 1]
    for came, told, away in ((one, above, -_ROUNDED_MG_DL), (below, one, _ROUNDED_MG_DL)):
        shown = (came <= 600) & (told <= 600)
        assert set(dts((came - away)[shown], (told + away)[shown])) == {inside}
        assert set(dts((came + away)[shown], (told - away)[shown])) == {outside}
