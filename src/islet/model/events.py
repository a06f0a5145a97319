"""What a device or a person can tell Islet: one JSON object = one event = one patient.

Field names carry their unit. `time` is the device's clock and needs a zone; when we received it is added by the
front door, never taken from the sender. A sender may name the patient; it must then be the one the device belongs to.
The published JSON Schema is made from these records (`islet.model.codec.json_schema`).
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with zone, for example 2026-11-21T08:03:00Z")]
Text = Annotated[str, Meta(max_length=2000)]
Name = Annotated[str, Meta(max_length=200)]
Amount = Annotated[float, Meta(ge=0, le=100_000)]
Method = Literal["cgm", "capillary"]
CareEventId = Annotated[str, Meta(min_length=1, max_length=200)]
Revision = Annotated[int, Meta(ge=0, le=2**53 - 1)]  # as large as a number in JSON is exact


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every event has."""

    time: Instant
    schema: Literal[1] = 1
    patient: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | UnsetType = UNSET


class Reading(Event, tag_field="type", tag="reading", frozen=True, kw_only=True):
    """One glucose value, as the device gave it. `range` says that the sensor could only tell LOW or HIGH;
    `value` is then the sensor's limit."""

    value: float
    unit: Annotated[str, Meta(description="mg/dL or mmol/L; never guessed")]
    method: Method = "cgm"
    range: Literal["within", "below", "above"] = "within"


class Vital(Event, tag_field="type", tag="vital", frozen=True, kw_only=True):
    """Pulse, or blood pressure, or both as one cuff measures them. At least one has to be there."""

    pulse_bpm: Annotated[float, Meta(ge=20, le=300)] | None = None
    systolic_mm_hg: Annotated[float, Meta(ge=40, le=300)] | None = None
    diastolic_mm_hg: Annotated[float, Meta(ge=20, le=200)] | None = None


class CareEvent(Event, frozen=True, kw_only=True):
    """What a person did, and can correct: of what one device says under one `id` the highest `revision` counts, all of it,
    and nothing else. Without an id it has one that is made of what it says (`islet.model.care_events`)."""

    id: CareEventId | UnsetType = UNSET
    revision: Revision = 0


class Meal(CareEvent, tag_field="type", tag="meal", frozen=True, kw_only=True):
    """Something eaten or drunk; carbohydrate where it is known."""

    carbs_g: Amount | None = None
    energy_kcal: Amount | None = None
    text: Text = ""


class Insulin(CareEvent, tag_field="type", tag="insulin", frozen=True, kw_only=True):
    """Insulin given, in international units."""

    dose_u: Annotated[float, Meta(ge=0, le=500)]
    kind: Literal["bolus", "basal", "correction", "premix", "unknown"] = "unknown"
    name: Name = ""


class Exercise(CareEvent, tag_field="type", tag="exercise", frozen=True, kw_only=True):
    """A bout of exercise that starts at `time`."""

    duration_min: Annotated[float, Meta(gt=0, le=1440)]
    intensity: Literal["light", "moderate", "vigorous", "unknown"] = "unknown"
    kind: Name = ""


class Medication(CareEvent, tag_field="type", tag="medication", frozen=True, kw_only=True):
    """A drug taken that is not insulin; the dose as it was written, with its unit."""

    name: Name
    dose: Amount | None = None
    dose_unit: Name = ""


class DeviceStatus(Event, tag_field="type", tag="device_status", frozen=True, kw_only=True):
    """What a device says of itself."""

    status: Literal["ok", "warm_up", "sensor_failed", "sensor_expired", "calibration_needed", "signal_lost"] = "ok"
    battery_percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    firmware: Name = ""


class Note(CareEvent, tag_field="type", tag="note", frozen=True, kw_only=True):
    """Something a person wrote down."""

    text: Text


class Hba1c(CareEvent, tag_field="type", tag="hba1c", frozen=True, kw_only=True):
    """HbA1c as a laboratory reported it, with its unit: % (NGSP) or mmol/mol (IFCC). `time` is when the blood was drawn."""

    value: Annotated[float, Meta(ge=3, le=200)]
    unit: Literal["%", "mmol/mol"]


class Withdrawal(CareEvent, tag_field="type", tag="withdrawal", frozen=True, kw_only=True):
    """What was said under `id` up to `revision` was never so: a dose that was not given, an entry by mistake. `time` is when
    that was said."""

    id: CareEventId


class Prompt(Event, tag_field="type", tag="prompt", frozen=True, kw_only=True):
    """A device asked its patient to measure, or what came of it; `id` is the same in all that is said of one prompt.

    `time` is when the patient was prompted, when they measured, or when the time for it was over.
    """

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    state: Literal["prompted", "measured", "missed"]


AnyCareEvent = Meal | Insulin | Exercise | Medication | Note | Hba1c | Withdrawal
AnyEvent = Reading | Vital | Meal | Insulin | Exercise | Medication | DeviceStatus | Note | Hba1c | Withdrawal | Prompt
