"""Values of Bluetooth's Glucose Service 1.0.1: a measurement (0x2A18) and its context (0x2A34).

Layout: GATT Specification Supplement, "Glucose Measurement" and "Glucose Measurement Context". Bits that are reserved
are ignored, as the specification asks; octets that no flag announces are an error.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Any, Final, Literal

from msgspec import Struct

from islet.decode.ble_numbers import Octets
from islet.errors import ProtocolError

MEASUREMENT: Final = 0x2A18
CONTEXT: Final = 0x2A34
SERVICE: Final = 0x1808

_OVERRUN, _UNDERRUN = 0x7FFF, -0x8000
_DURATION_OVERRUN: Final = 0xFFFF


class GlucoseStatus(IntFlag):
    """What a meter says of a measurement (sensor status annunciation)."""

    BATTERY_LOW = 1 << 0
    MALFUNCTION = 1 << 1
    SAMPLE_TOO_SMALL = 1 << 2
    STRIP_INSERTED_WRONGLY = 1 << 3
    STRIP_OF_WRONG_TYPE = 1 << 4
    ABOVE_RANGE = 1 << 5
    BELOW_RANGE = 1 << 6
    TOO_WARM = 1 << 7
    TOO_COLD = 1 << 8
    INTERRUPTED = 1 << 9
    DEVICE_FAULT = 1 << 10
    TIME_FAULT = 1 << 11


class Sample(IntEnum):
    """What was measured in; other numbers are reserved, or kinds of blood."""

    INTERSTITIAL_FLUID = 9
    CONTROL_SOLUTION = 10


CONTROL_SOLUTION_SITE: Final = 4
"""The sample location that says control solution."""


class GlucoseMeasurement(Struct, frozen=True, kw_only=True):
    """One measurement. `local_time` (the meter's clock, moved by its user's changes of it) and `concentration` are None
    where they are not told; `unit` is the concentration's; `sample` and `site` are the specification's numbers."""

    sequence: int
    local_time: datetime | None
    concentration: Decimal | None = None
    unit: Literal["kg/L", "mol/L"] = "kg/L"
    sample: int = 0
    site: int = 0
    status: GlucoseStatus = GlucoseStatus(0)
    context_follows: bool = False


class GlucoseContext(Struct, frozen=True, kw_only=True):
    """What belongs to the measurement of the same `sequence`; None is not told. Numbers without unit are codes of the
    specification. The medication's unit is kg or L."""

    sequence: int
    carbohydrate: int | None = None
    carbohydrate_kg: Decimal | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise_s: int | None = None
    exercise_percent: int | None = None
    medication: int | None = None
    medication_dose: Decimal | None = None
    medication_unit: Literal["kg", "L"] = "kg"
    hba1c_percent: Decimal | None = None


def decode_measurement(octets: bytes) -> GlucoseMeasurement:
    """The measurement in a notification of 0x2A18. Raises ProtocolError.

    >>> told = decode_measurement(bytes.fromhex("060100e307021b0b0a1e43c011"))
    >>> told.sequence, told.concentration, told.unit, told.sample
    (1, Decimal('0.0067'), 'mol/L', 1)
    """
    fields = Octets(octets, "glucose measurement")
    flags, sequence = fields.unsigned(1), fields.unsigned(2)
    local_time = fields.local_time()
    if flags & 0x01:
        local_time = _moved(local_time, fields.signed(2))
    concentration, sample, site = None, 0, 0
    if flags & 0x02:
        concentration = fields.number()
        both = fields.unsigned(1)
        sample, site = both & 0x0F, both >> 4
    status = GlucoseStatus(fields.unsigned(2) & 0x0FFF if flags & 0x08 else 0)
    fields.end()
    return GlucoseMeasurement(
        sequence=sequence,
        local_time=local_time,
        concentration=concentration,
        unit="mol/L" if flags & 0x04 else "kg/L",
        sample=sample,
        site=site,
        status=status,
        context_follows=bool(flags & 0x10),
    )


def _moved(base: datetime | None, offset_min: int) -> datetime | None:
    """The time that the meter's user saw; None where the offset is too large to be told."""
    if base is None or offset_min in (_OVERRUN, _UNDERRUN):
        return None
    try:
        return base + timedelta(minutes=offset_min)
    except OverflowError:
        raise ProtocolError("glucose measurement: expected a time before the year 10000") from None


def decode_context(octets: bytes) -> GlucoseContext:
    """The context in a notification of 0x2A34. Raises ProtocolError.

    >>> told = decode_context(bytes.fromhex("0301000136d003"))
    >>> told.carbohydrate_kg, told.meal
    (Decimal('0.054'), 3)
    """
    fields = Octets(octets, "glucose context")
    flags, sequence = fields.unsigned(1), fields.unsigned(2)
    if flags & 0x80:
        fields.take(1)  # flags to come
    told = dict[str, Any]()
    if flags & 0x01:
        told["carbohydrate"], told["carbohydrate_kg"] = fields.unsigned(1), fields.number()
    if flags & 0x02:
        told["meal"] = fields.unsigned(1)
    if flags & 0x04:
        both = fields.unsigned(1)
        told["tester"], told["health"] = both & 0x0F, both >> 4
    if flags & 0x08:
        duration_s, told["exercise_percent"] = fields.unsigned(2), fields.unsigned(1)
        told["exercise_s"] = None if duration_s == _DURATION_OVERRUN else duration_s
    if flags & 0x10:
        told["medication"], told["medication_dose"] = fields.unsigned(1), fields.number()
        told["medication_unit"] = "L" if flags & 0x20 else "kg"
    if flags & 0x40:
        told["hba1c_percent"] = fields.number()
    fields.end()
    return GlucoseContext(sequence=sequence, **told)
