"""Unit names, one factor each, and what a body or a sensor can show."""

from typing import Final

from islet.errors import BadInput, UnknownUnit

MG_DL_PER_MMOL_L: Final = 18.0156
"""mg/dL in one mmol/L of glucose: molar mass 180.156 g/mol. Others use 18, 18.01559 or 18.018."""

GLUCOSE_UNITS: Final = ("mg/dL", "mmol/L")
_SPELLINGS: Final = {"mg/dl": "mg/dL", "mmol/l": "mmol/L"}
_FACTORS: Final = {"mg/dL": 1.0, "mmol/L": MG_DL_PER_MMOL_L}

POSSIBLE_GLUCOSE_MG_DL: Final = (10.0, 1500.0)
"""Outside of this a glucose value is a fault of the device, not of the body (meters stop at 600, labs see 1,500)."""

SENSOR_RANGE_MG_DL: Final = (40.0, 400.0)
"""What most continuous sensors show; beyond it they say LOW or HIGH."""


def glucose_unit(text: str) -> str:
    """The unit's one name ("mg/dL" or "mmol/L") for a device's spelling of it, in any letter case.

    Raises UnknownUnit for anything else: a unit is never guessed from the value.

    >>> glucose_unit("mmol/l")
    'mmol/L'
    """
    unit = _SPELLINGS.get(text.lower())
    if unit is None:
        raise UnknownUnit(text, GLUCOSE_UNITS)
    return unit


def glucose_mg_dl(value: float, unit: str) -> float:
    """Glucose in mg/dL for a value in one of GLUCOSE_UNITS (the unit's one name).

    >>> round(glucose_mg_dl(10.0, "mmol/L"), 3)
    180.156
    """
    return value * _FACTORS[unit]


def glucose_tenths(value: float, unit: str) -> int:
    """Glucose in tenths of mg/dL, the engine's fixed point; halves round to even.

    Raises BadInput when the value is not a number or outside POSSIBLE_GLUCOSE_MG_DL.

    >>> glucose_tenths(6.7, "mmol/L"), glucose_tenths(112, "mg/dL")
    (1207, 1120)
    """
    mg_dl = value * _FACTORS[unit]
    low, high = POSSIBLE_GLUCOSE_MG_DL
    if not low <= mg_dl <= high:  # also refuses NaN
        raise BadInput(
            f"glucose: expected a value between {low:g} and {high:g} mg/dL (or the same in mmol/L); "
            "got one outside; check the device's unit and sensor",
            reason="glucose_range",
        )
    return round(mg_dl * 10.0)


def glucose_in(unit: str, mg_dl: float) -> float:
    """A value in mg/dL as a person reads it in `unit`: whole mg/dL, or mmol/L with one decimal.

    >>> glucose_in("mmol/L", 70.0), glucose_in("mg/dL", 69.6)
    (3.9, 70.0)
    """
    if unit == "mg/dL":
        return float(round(mg_dl))
    return round(mg_dl / MG_DL_PER_MMOL_L, 1)


POSSIBLE_HBA1C_PERCENT: Final = (3.0, 20.0)
"""Outside of this a laboratory's value is a mistake of who wrote it down."""


_SLOPE, _SHIFT = 0.09148, 2.152


def hba1c_percent(value: float, unit: str) -> float:
    """HbA1c in percent (NGSP) for a value in "%" or "mmol/mol" (IFCC): 0.09148 IFCC + 2.152.

    Raises BadInput outside of POSSIBLE_HBA1C_PERCENT, also for a value of the other unit; UnknownUnit for another unit.
    Source: the NGSP's master equation, doi:10.1373/clinchem.2003.024802.

    >>> round(hba1c_percent(53.0, "mmol/mol"), 1), hba1c_percent(7.2, "%")
    (7.0, 7.2)
    """
    if unit not in ("%", "mmol/mol"):
        raise UnknownUnit(unit, ("%", "mmol/mol"))
    percent = value if unit == "%" else _SLOPE * value + _SHIFT
    low, high = POSSIBLE_HBA1C_PERCENT
    if not low <= percent <= high:
        raise BadInput(f"HbA1c: expected {low:g} to {high:g} % or the same in mmol/mol; check the unit", reason="hba1c")
    return percent


def hba1c_mmol_mol(percent: float) -> float:
    """HbA1c in mmol/mol (IFCC) for percent (NGSP): `hba1c_percent` the other way round.

    >>> round(hba1c_mmol_mol(7.0))
    53
    """
    return (percent - _SHIFT) / _SLOPE
