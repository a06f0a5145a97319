"""Units: one factor each, and nothing guessed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.errors import BadInput, UnknownUnit
from islet.model.units import MG_DL_PER_MMOL_L, glucose_in, glucose_mg_dl, glucose_tenths, glucose_unit


@pytest.mark.parametrize("text", ["mg/dL", "MG/DL", "mg/dl"])
def test_spellings_of_a_unit_have_one_name(text: str) -> None:
    assert glucose_unit(text) == "mg/dL"


@pytest.mark.parametrize("text", ["", "mg", "mmol", "g/L", "mmol/L "])
def test_an_unknown_unit_is_an_error_that_lists_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownUnit, match="mg/dL, mmol/L"):
        glucose_unit(text)


@given(st.integers(6, 830))
def test_there_and_back_again_in_mmol_is_the_same(tenths_of_mmol: int) -> None:
    value = tenths_of_mmol / 10
    assert glucose_in("mmol/L", glucose_mg_dl(value, "mmol/L")) == value


def test_the_factor_is_the_molar_mass_of_glucose() -> None:
    assert pytest.approx(180.156 / 10) == MG_DL_PER_MMOL_L


@pytest.mark.parametrize("value", [9.9, 1500.1, math.nan, math.inf, -math.inf, -5.0])
def test_what_no_body_shows_is_refused_without_telling_the_value(value: float) -> None:
    with pytest.raises(BadInput) as caught:
        glucose_tenths(value, "mg/dL")
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize(("value", "tenths"), [(10, 100), (69.95, 700), (70, 700), (1500, 15000)])
def test_fixed_point_is_tenths_of_mg_dl(value: float, tenths: int) -> None:
    assert glucose_tenths(value, "mg/dL") == tenths
