"""What a Bluetooth meter's or sensor's records mean as events, with values in the unit in which they were sent.

A value of which the device itself says that it is wrong is no reading, nor is one of control solution. A medication's
amount is in kilograms or litres, never in units of insulin: how strong it is is not told, so it becomes a note.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from islet.decode.ble_cgm import CgmMeasurement, CgmStatus
from islet.decode.ble_glucose import (
    CONTROL_SOLUTION_SITE,
    GlucoseContext,
    GlucoseMeasurement,
    GlucoseStatus,
    Sample,
)
from islet.decode.imports.local_times import instants
from islet.model.events import AnyEvent, DeviceStatus, Exercise, Meal, Method, Note, Reading
from islet.model.units import SENSOR_RANGE_MG_DL, glucose_in

Range = Literal["within", "below", "above"]
Status = Literal["ok", "sensor_failed", "sensor_expired", "calibration_needed"]

_SPOILED: Final = (
    GlucoseStatus.MALFUNCTION
    | GlucoseStatus.SAMPLE_TOO_SMALL
    | GlucoseStatus.STRIP_INSERTED_WRONGLY
    | GlucoseStatus.STRIP_OF_WRONG_TYPE
    | GlucoseStatus.TOO_WARM
    | GlucoseStatus.TOO_COLD
    | GlucoseStatus.INTERRUPTED
    | GlucoseStatus.DEVICE_FAULT
)
_FAILED: Final = CgmStatus.SENSOR_OF_WRONG_TYPE | CgmStatus.MALFUNCTION | CgmStatus.DEVICE_FAULT
_UNSURE: Final = CgmStatus.TOO_WARM | CgmStatus.TOO_COLD
_UNITS: Final = {"kg/L": ("mg/dL", 5), "mol/L": ("mmol/L", 3)}
_METHODS: Final[dict[int, Method]] = {Sample.INTERSTITIAL_FLUID: "cgm"}
_MEALS: Final = {1: "breakfast", 2: "lunch", 3: "dinner", 4: "snack", 5: "drink", 6: "supper", 7: "brunch"}
_INSULINS: Final = {
    1: "rapid-acting insulin",
    2: "short-acting insulin",
    3: "intermediate-acting insulin",
    4: "long-acting insulin",
    5: "pre-mixed insulin",
}
_SHARES: Final = {"kg": (6, "mg"), "L": (3, "mL")}
_LONGEST_EXERCISE_MIN: Final = 1440.0


class Told(Struct, frozen=True):
    """The events of a record, and why there is no reading among them ("" where there is one)."""

    events: tuple[AnyEvent, ...]
    left_out: str = ""


def meter_events(measurement: GlucoseMeasurement, context: GlucoseContext | None, zone: tzinfo) -> Told:
    """The events of a meter's record, whose times are local ones of `zone`. In the hour that an autumn night has twice,
    they are in its first pass.

    >>> from islet.decode.ble_glucose import decode_measurement
    >>> told = meter_events(decode_measurement(bytes.fromhex("060100e307021b0b0a1e43c011")), None, UTC)
    >>> told.events[0].value, told.events[0].unit, told.events[0].time.isoformat()
    (6.7, 'mmol/L', '2019-02-27T11:10:30+00:00')
    """
    if measurement.local_time is None or measurement.status & GlucoseStatus.TIME_FAULT:
        return Told((), "the meter's clock is not set")
    if measurement.sample == Sample.CONTROL_SOLUTION or measurement.site == CONTROL_SOLUTION_SITE:
        return Told((), "control solution")
    time = instants([measurement.local_time], zone)[0]
    beside = tuple(_context_events(context, time)) if context is not None else ()
    if measurement.status & _SPOILED:
        return Told((DeviceStatus(time=time, status="sensor_failed"), *beside), "the meter says that it went wrong")
    unit, power = _UNITS[measurement.unit]
    range = _range(
        measurement.concentration,
        below=GlucoseStatus.BELOW_RANGE in measurement.status,
        above=GlucoseStatus.ABOVE_RANGE in measurement.status,
    )
    value = _value(measurement.concentration, power, range, unit)
    if value is None:
        return Told(beside, "no value")
    method = _METHODS.get(measurement.sample, "capillary")
    return Told((Reading(time=time, value=value, unit=unit, method=method, range=range), *beside))


def sensor_events(measurement: CgmMeasurement, session_start: datetime) -> Told:
    """The events of a sensor's record in a session that began at `session_start` (an instant)."""
    if measurement.status & _FAILED:
        return Told((), "the sensor says that it has failed")
    if measurement.status & _UNSURE:
        return Told((), "the sensor says that it is too warm or too cold")
    range = _range(
        measurement.glucose_mg_dl,
        below=CgmStatus.BELOW_RANGE in measurement.status,
        above=CgmStatus.ABOVE_RANGE in measurement.status,
    )
    value = _value(measurement.glucose_mg_dl, 0, range, "mg/dL")
    if value is None:
        return Told((), "no value")
    time = session_start + timedelta(minutes=measurement.offset_min)
    return Told((Reading(time=time, value=value, unit="mg/dL", range=range),))


def sensor_status(status: CgmStatus) -> Status:
    """What of a sensor's state people and rules have to know; the worst, where it says several things.

    >>> sensor_status(CgmStatus.CALIBRATION_REQUIRED | CgmStatus.BATTERY_LOW)
    'calibration_needed'
    """
    if status & _FAILED:
        return "sensor_failed"
    if status & CgmStatus.SESSION_STOPPED:
        return "sensor_expired"
    return "calibration_needed" if status & CgmStatus.CALIBRATION_REQUIRED else "ok"


def _range(number: Decimal | None, *, below: bool, above: bool) -> Range:
    """What the device's status says, or an infinite value."""
    if number is not None and number.is_infinite():
        below, above = number < 0, number > 0
    return "below" if below else "above" if above else "within"


def _value(number: Decimal | None, power: int, range: Range, unit: str) -> float | None:
    """The number in `unit`. A device that says only LOW or HIGH does not tell its limits; those of most sensors are then
    true of it as well, for a meter shows less and more."""
    if number is not None and number.is_finite():
        return float(number.scaleb(power))
    low, high = (glucose_in(unit, limit) for limit in SENSOR_RANGE_MG_DL)
    return {"below": low, "above": high}.get(range)


def _context_events(context: GlucoseContext, time: datetime) -> Iterator[AnyEvent]:
    carbs_g = _scaled(context.carbohydrate_kg, 3)
    if carbs_g is not None and 0 <= carbs_g <= 1000:
        yield Meal(time=time, carbs_g=carbs_g, text=_MEALS.get(context.carbohydrate or 0, ""))
    minutes = (context.exercise_s or 0) / 60
    if 0 < minutes <= _LONGEST_EXERCISE_MIN:
        yield Exercise(time=time, duration_min=minutes)
    power, unit = _SHARES[context.medication_unit]
    dose = _scaled(context.medication_dose, power)
    if dose is not None:
        yield Note(time=time, text=f"{_INSULINS.get(context.medication or 0, 'medication')}: {dose:g} {unit}")
    hba1c_percent = _scaled(context.hba1c_percent, 0)
    if hba1c_percent is not None:
        yield Note(time=time, text=f"HbA1c: {hba1c_percent:g} %")


def _scaled(number: Decimal | None, power: int) -> float | None:
    return None if number is None or not number.is_finite() else float(number.scaleb(power))


def utc(naive: datetime) -> datetime:
    """An instant of a time in UTC that has no zone."""
    return naive.replace(tzinfo=UTC)
