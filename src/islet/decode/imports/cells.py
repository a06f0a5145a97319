"""Numbers and glucose values as exports write them."""

import re
from typing import Final

from islet.decode.imports.found import wrong
from islet.decode.imports.local_times import UNSET_TIME
from islet.decode.imports.tables import Cell
from islet.errors import BadInput
from islet.model.events import Method, Reading
from islet.model.units import glucose_unit

_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d+)?|[.,]\d+)")
_UNIT: Final = re.compile(r"m(?:g[/_]dl|mol[/_]l)|毫克/分升|毫摩尔?/升", re.IGNORECASE)
_CHINESE: Final = {"毫克/分升": "mg/dL", "毫摩尔/升": "mmol/L", "毫摩/升": "mmol/L"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BELOW: Final = _words(
    "low lo basso niedrig tief bas faible bajo baixo laag lav lavt lågt låg nízká niska 低 低血糖 偏低"
)
_ABOVE: Final = _words("high hi alto hoch haut elevé élevé élevée hoog høj høyt högt hög vysoká wysoka 高 高血糖 偏高")
_MISSING: Final = _words("- -- --- n/a na nan null none")

Limits = tuple[float, float]
DEXCOM: Final = {"mg/dL": (40.0, 400.0), "mmol/L": (2.2, 22.2)}
"""What a Dexcom sensor shows at most; beyond, its exports say Low or High."""
LIBRE: Final = {"mg/dL": (40.0, 500.0), "mmol/L": (2.2, 27.8)}


def text(cell: Cell) -> str:
    """The cell as a person sees it; whole numbers without a point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).replace("\xa0", " ").strip()


def number(cell: Cell, line: int, column: str) -> float | None:
    """The number in a cell, with a point or a comma before its decimals; None for an empty cell or a word for nothing.

    Raises BadInput. A comma before exactly three digits could also part thousands, and is refused.
    """
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        return float(cell)
    written = text(cell)
    if not written or written.lower() in _MISSING:
        return None
    if not _NUMBER.fullmatch(written) or re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", written):
        raise wrong(line, column, "a number such as 112 or 6.2")
    return float(written.replace(",", "."))


def unit_in(heading: str) -> str | None:
    """The glucose unit that a heading names, None where it names none.

    >>> unit_in("Glucose Value (mmol/L)"), unit_in("Glucose")
    ('mmol/L', None)
    """
    found = _UNIT.search(heading)
    return glucose_unit(_CHINESE.get(found[0], found[0].replace("_", "/"))) if found else None


def unit_of(heading: str, chosen: str | None) -> str:
    """The unit of a column: its heading's, else what a person said. Raises BadInput, reason "unit": it is never guessed."""
    unit = unit_in(heading) or chosen
    if unit is None:
        raise BadInput(
            "glucose: expected its unit in the file, mg/dL or mmol/L; the file says none: say it with --unit",
            reason="unit",
        )
    return unit


def reading(cell: Cell, unit: str, limits: Limits, line: int, column: str, method: Method = "cgm") -> Reading | None:
    """A reading without its time (the caller sets it); None for an empty cell.

    "Low", "High", "<40" and ">400" become the sensor's limit and the side of it. Raises BadInput for other text.
    """
    written = text(cell)
    low, high = limits
    if written.lower() in _BELOW or written.startswith("<"):
        value = number(written[1:], line, column) if written.startswith("<") else None
        return Reading(time=UNSET_TIME, value=value or low, unit=unit, method=method, range="below")
    if written.lower() in _ABOVE or written.startswith(">"):
        value = number(written[1:], line, column) if written.startswith(">") else None
        return Reading(time=UNSET_TIME, value=value or high, unit=unit, method=method, range="above")
    value = number(cell, line, column)
    return None if value is None else Reading(time=UNSET_TIME, value=value, unit=unit, method=method)


def is_beyond(cell: Cell) -> bool:
    """Whether a cell says that the sensor could tell only that glucose is below or above what it shows."""
    written = text(cell).lower()
    return written in _BELOW or written in _ABOVE or written.startswith(("<", ">"))
