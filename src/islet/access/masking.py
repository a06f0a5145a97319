"""What researchers see in the place of a person: a keyed pseudonym, shifted dates, and numbers without words.

The key is the installation's. Who has it can undo both; without it a pseudonym says nothing of the id (HMAC-SHA256),
and the dates of a person are all moved by one number of whole weeks, so that the time of day, the weekday and the
distance of any two events stay. What this does not hide: whoever knows that somebody's data ends today can work out
their shift, and a rare course of glucose is like a fingerprint. Masked data is not anonymous data.
"""

import base64
import hashlib
import hmac
from typing import Final

import msgspec

from islet.model.time import DAY_US

MOST_WEEKS: Final = 52
_NUMBERS: Final = {
    "meal": ("carbs_g", "energy_kcal"),
    "insulin": ("dose_u", "kind"),
    "exercise": ("duration_min", "intensity"),
    "vital": ("pulse_bpm", "systolic_mm_hg", "diastolic_mm_hg"),
}
"""Of each event, the fields that are shown: amounts, and words of a fixed list. Notes and names are never shown."""


def pseudonym(key: bytes, patient: str) -> str:
    """The same for a patient always, another for everybody else: "r-" and 16 letters and digits.

    >>> pseudonym(bytes(32), "p-1") == pseudonym(bytes(32), "p-1") != pseudonym(bytes(32), "p-2")
    True
    """
    return f"r-{base64.b32encode(_digest(key, 'patient', patient)[:10]).decode().lower()}"


def shift_us(key: bytes, patient: str) -> int:
    """By how much a patient's dates are moved into the past: 1 to MOST_WEEKS whole weeks."""
    return (1 + int.from_bytes(_digest(key, "shift", patient)[:8]) % MOST_WEEKS) * 7 * DAY_US


def masked_body(kind: str, body: str | bytes) -> dict[str, float | str] | None:
    """What is shown of an event's JSON; None where nothing of its kind is."""
    shown = _NUMBERS.get(kind)
    if shown is None:
        return None
    fields = msgspec.json.decode(body, type=dict[str, object])
    return {name: value for name in shown if isinstance(value := fields.get(name), int | float | str)}


def _digest(key: bytes, purpose: str, patient: str) -> bytes:
    return hmac.digest(key, f"{purpose}\n{patient}".encode(), hashlib.sha256)
