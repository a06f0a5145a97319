"""What the engine watches beside glucose: documents of the log as columns, a stream a quantity.

Readings are columns in the log already. A vital or a device status is a document that may hold several quantities, and
each becomes a value of its own stream; a care event becomes a row of context. Whole numbers in fixed point.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from islet.engine.program import CONTEXT_SCALE, NOTHING
from islet.engine.tables import STREAMS
from islet.errors import BadInput
from islet.model.care_events import care_event_key, rank
from islet.model.codec import decode_event
from islet.model.events import AnyEvent, CareEvent, DeviceStatus, Exercise, Insulin, Meal, Prompt, Vital
from islet.model.insulins import mealtime_u
from islet.model.topics import Topic

GLUCOSE: Final = "glucose_mg_dl"
QUANTITIES: Final[dict[str, Topic]] = {
    GLUCOSE: Topic.GLUCOSE_READINGS,
    "pulse_bpm": Topic.VITALS,
    "systolic_mm_hg": Topic.VITALS,
    "diastolic_mm_hg": Topic.VITALS,
    "battery_percent": Topic.DEVICE_READINGS,
    "status": Topic.DEVICE_READINGS,
    "prompt": Topic.DEVICE_READINGS,
}
"""Every stream, and the topic that its values are in."""

_STREAMS: Final = {stream.name: stream for stream in STREAMS}
_CARBS, _BOLUS, _BASAL, _EXERCISE = range(4)  # islet.engine.program.CONTEXT_COLUMNS
_LEVELS: Final[dict[type, dict[str, str]]] = {
    Vital: {name: name for name in ("pulse_bpm", "systolic_mm_hg", "diastolic_mm_hg")},
    DeviceStatus: {"battery_percent": "battery_percent", "status": "status"},
    Prompt: {"prompt": "state"},
}
"""Which fields of an event are values, by quantity."""


class _Row(NamedTuple):
    patient: str
    device: str
    time_us: int
    value: int
    received_at_us: int


class _ContextRow(NamedTuple):
    patient: str
    device: str
    time_us: int
    column: int
    amount: int
    key: int
    rank: int


_WHO_AND_WHEN: "Final[list[pa.Field[Any]]]" = [
    pa.field("patient", pa.utf8()),
    pa.field("device", pa.utf8()),
    pa.field("time_us", pa.int64()),
]
_VALUE: "Final[list[pa.Field[Any]]]" = [
    pa.field("glucose_tenths", pa.int32()),  # the name that the engine knows a value by, whatever it measures
    pa.field("received_at_us", pa.int64()),
]
_AMOUNT: "Final[list[pa.Field[Any]]]" = [
    pa.field("column", pa.int64()),  # of islet.engine.program.CONTEXT_COLUMNS, or NOTHING
    pa.field("amount", pa.int64()),  # in that column's fixed point
    pa.field("key", pa.int64()),  # of islet.model.care_events, as the rank
    pa.field("rank", pa.int64()),
]
VALUES_SCHEMA: Final = pa.schema([*_WHO_AND_WHEN, *_VALUE])
CONTEXT_SCHEMA: Final = pa.schema([*_WHO_AND_WHEN, *_AMOUNT])


def values(documents: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
    """The values in vitals, device statuses and prompts (n rows of DOCUMENTS_SCHEMA and received_at_us), in log order, by
    quantity: VALUES_SCHEMA. Documents of other kinds, and such as do not decode, hold none."""
    rows: dict[str, list[_Row]] = defaultdict(list)
    for patient, device, time_us, received_us, event in _events(documents):
        for quantity, field in _LEVELS.get(type(event), {}).items():
            level = getattr(event, field)
            if level is not None:
                stream = _STREAMS[quantity]
                number = stream.words.index(level) if stream.words else round(level * stream.scale)
                rows[quantity].append(_Row(patient, device, time_us, number, received_us))
    return {quantity: _batch(some, VALUES_SCHEMA) for quantity, some in rows.items()}


def context(documents: pa.RecordBatch) -> pa.RecordBatch:
    """The care events (n rows of DOCUMENTS_SCHEMA and received_at_us) that rules may look at, and what replaces such:
    CONTEXT_SCHEMA."""
    rows = []
    for patient, device, time_us, _, event in _events(documents):
        if not isinstance(event, CareEvent):
            continue
        amounts = [(column, round(amount * CONTEXT_SCALE[column])) for column, amount in _amounts(event)]
        rank_ = rank(event)
        if amounts or rank_ > 0:
            key = care_event_key(device, event)
            rows += [_ContextRow(patient, device, time_us, *one, key, rank_) for one in amounts or [(NOTHING, 0)]]
    return _batch(rows, CONTEXT_SCHEMA)


def _amounts(event: AnyEvent) -> Iterator[tuple[int, float]]:
    """Column and amount; premixed insulin is some of both columns, and a dose of nothing is in neither."""
    match event:
        case Meal(carbs_g=carbs_g) if carbs_g is not None:
            yield _CARBS, carbs_g
        case Insulin(dose_u=dose_u):
            bolus_u = mealtime_u(event)
            yield from (one for one in ((_BOLUS, bolus_u), (_BASAL, dose_u - bolus_u)) if one[1] > 0.0)
        case Exercise(duration_min=duration_min):
            yield _EXERCISE, duration_min


def _events(documents: pa.RecordBatch) -> Iterator[tuple[str, str, int, int, AnyEvent]]:
    """Patient, device, time, receipt and event of each document that is an event."""
    names = ("patient", "device", "time_us", "received_at_us", "body")
    columns = (documents.column(name).to_pylist() for name in names)
    for patient, device, time_us, received_us, body in zip(*columns, strict=True):
        try:
            event = decode_event(body.encode())
        except (BadInput, msgspec.DecodeError):  # the log may hold what a later version wrote
            continue
        yield patient, device, time_us, received_us, event


def _batch(rows: list[_Row] | list[_ContextRow], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
