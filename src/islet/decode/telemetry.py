"""What devices sent, as columns for the log: events by topic, and dead letters for what could not be taken.

Nothing that a device sends raises: each arrival becomes exactly one row, so that it can be acknowledged.
"""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from islet.decode.readings import reading_columns
from islet.decode.usual import usual_readings
from islet.errors import BadInput
from islet.model.batch import DocumentRow, documents_batch, readings_batch
from islet.model.codec import decode_event, encode_event
from islet.model.events import AnyEvent, Reading, Vital
from islet.model.time import DEVICES_SINCE_US, EPOCH, from_us, to_us
from islet.model.topics import TOPIC_OF_TYPE, Topic

KEPT_PAYLOAD_BYTES: Final = 48 * 1024
"""How much of a refused payload a dead letter keeps: 64 KiB of base64."""

NO_PROPERTIES: Final[Mapping[str, str]] = {}


class Arrival(Struct, frozen=True, gc=False, array_like=True):
    """One message as it came through a gateway, which vouches for `device`; `patient` is whose device it is ("":
    nobody's). `properties` are the sender's, by their IoT Hub names (`$.ct` is the content type)."""

    device: str
    patient: str
    payload: bytes
    properties: Mapping[str, str] = NO_PROPERTIES


class Decoded(Struct, frozen=True, kw_only=True):
    """A batch per topic that got rows; how many events were accepted; how many went to dead letters, by reason.
    `refused` are those, by their place among the arrivals, with what was wrong."""

    batches: Mapping[Topic, pa.RecordBatch]
    accepted: int
    dead: Mapping[str, int]
    refused: Mapping[int, str] = {}


def decode_arrivals(
    arrivals: Sequence[Arrival], now_us: int, future_us: int, *, since_us: int = DEVICES_SINCE_US
) -> Decoded:
    """Rows for the log, as many as arrivals; events of a topic are in the order of arrival.

    An event dated later than `now_us + future_us` is a dead letter, reason "future"; one dated before `since_us`, reason
    "past". Whoever calls says that bound, nothing in an arrival does: only an import, which is no device, gives another.
    Other reasons: "json", "schema", "unit", "glucose_range", "empty", "patient", "unassigned".

    >>> payload = b'{"type":"reading","time":"2026-11-21T08:03:00Z","value":6.7,"unit":"mmol/L"}'
    >>> now_us = 1_795_248_180_000_000
    >>> decoded = decode_arrivals([Arrival("cgm-1", "p-1", payload), Arrival("cgm-1", "p-1", b"?")], now_us, 0)
    >>> decoded.batches[Topic.GLUCOSE_READINGS].column("glucose_tenths").to_pylist(), dict(decoded.dead)
    ([1207], {'json': 1})
    """
    bounds = _Bounds(since_us, now_us + future_us)
    return _decode(arrivals, *usual_readings(arrivals, *bounds), bounds, now_us)


def decode_exactly(
    arrivals: Sequence[Arrival], now_us: int, future_us: int, *, since_us: int = DEVICES_SINCE_US
) -> Decoded:
    """The same, each arrival by its record (`model/codec.py`): what the fast way is held against; a quarter as fast."""
    bounds = _Bounds(since_us, now_us + future_us)
    return _decode(arrivals, readings_batch([]), np.arange(len(arrivals)), bounds, now_us)


def warm_up() -> None:
    """Have the kernel compiled (or read from its cache) before the first arrival needs it."""
    decode_arrivals([Arrival("-", "-", b"{}")], 0, 0)


class _Bounds(NamedTuple):
    """The first and the last instant that an event may have."""

    since_us: int
    latest_us: int


def _decode(
    arrivals: Sequence[Arrival], readings: pa.RecordBatch, others: NDArray[np.int64], bounds: _Bounds, now_us: int
) -> Decoded:
    """`readings` are those of all arrivals but the `others`, which are decoded here."""
    if len(others) == 0 and len(arrivals):  # nearly always
        return Decoded(batches={Topic.GLUCOSE_READINGS: readings}, accepted=len(arrivals), dead={})
    rows = _Rows()
    earliest, latest = (timedelta(microseconds=bound_us) for bound_us in bounds)
    for index in others.tolist():
        arrival = arrivals[index]
        try:
            event = decode_event(arrival.payload)
            since_epoch = event.time - EPOCH
            if not earliest <= since_epoch <= latest:
                raise _wrong_time(to_us(event.time), bounds)
            if not arrival.patient or (event.patient is not UNSET and event.patient != arrival.patient):
                raise _wrong_patient(arrival)
            if type(event) is Reading:
                rows.add_reading(index, event, arrival, since_epoch)
            else:
                rows.add_document(event, arrival, to_us(event.time))
        except BadInput as error:
            rows.add_dead_letter(index, arrival, error, now_us)
    if rows.readings:
        more, indices = rows.reading_rows(now_us)
        readings = _in_order(readings, np.delete(np.arange(len(arrivals)), others), more, indices)
    batches = {Topic.GLUCOSE_READINGS: readings} if readings.num_rows else {}
    batches.update((topic, documents_batch(documents)) for topic, documents in rows.documents.items())
    return Decoded(batches=batches, accepted=len(arrivals) - len(rows.refused), dead=rows.dead, refused=rows.refused)


def _in_order(
    one: pa.RecordBatch, indices: NDArray[np.int64], other: pa.RecordBatch, other_indices: NDArray[np.int64]
) -> pa.RecordBatch:
    """The rows of both, by their indices."""
    if one.num_rows == 0 or other.num_rows == 0:
        return one if one.num_rows else other
    order = np.argsort(np.concatenate([indices, other_indices]))
    return pa.Table.from_batches([one, other]).take(order).combine_chunks().to_batches()[0]


class _Rows:
    """What becomes of arrivals, one by one. The four lists of readings are of one length."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.readings: list[Reading] = []
        self.since_epoch: list[timedelta] = []
        self.arrivals: list[Arrival] = []
        self.documents: defaultdict[Topic, list[DocumentRow]] = defaultdict(list)
        self.dead: Counter[str] = Counter()
        self.refused: dict[int, str] = {}

    def add_reading(self, index: int, reading: Reading, arrival: Arrival, since_epoch: timedelta) -> None:
        self.indices.append(index)
        self.readings.append(reading)
        self.since_epoch.append(since_epoch)
        self.arrivals.append(arrival)

    def add_document(self, event: AnyEvent, arrival: Arrival, time_us: int) -> None:
        topic, row = _document_row(event, arrival, time_us)
        self.documents[topic].append(row)

    def add_dead_letter(self, index: int, arrival: Arrival, error: BadInput, now_us: int) -> None:
        self.dead[error.reason] += 1
        self.refused[index] = str(error)
        self.documents[Topic.DEAD_LETTERS].append(_dead_letter(arrival, error, now_us))

    def reading_rows(self, now_us: int) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
        """The readings' rows and indices; what cannot be a row becomes a dead letter."""
        patients = [arrival.patient for arrival in self.arrivals]
        devices = [arrival.device for arrival in self.arrivals]
        batch, left_out = reading_columns(patients, devices, self.since_epoch, self.readings)
        for place, error in left_out.items():
            self.add_dead_letter(self.indices[place], self.arrivals[place], error, now_us)
        return batch, np.delete(np.array(self.indices, np.int64), [*left_out])


def _document_row(event: AnyEvent, arrival: Arrival, time_us: int) -> tuple[Topic, DocumentRow]:
    """The body is written anew, so that equal events have equal bytes whoever sent them."""
    if isinstance(event, Vital) and event.pulse_bpm is event.systolic_mm_hg is event.diastolic_mm_hg is None:
        raise BadInput("vital: expected pulse_bpm or a blood pressure; got neither", reason="empty")
    kind = str(event.__struct_config__.tag)
    return TOPIC_OF_TYPE[kind], DocumentRow(
        arrival.patient, arrival.device, time_us, kind, encode_event(event).decode()
    )


def _wrong_patient(arrival: Arrival) -> BadInput:
    if not arrival.patient:
        return BadInput("device: expected one that is assigned to a patient; assign it", reason="unassigned")
    return BadInput("patient: expected the one that the device is assigned to, or none", reason="patient")


def _wrong_time(time_us: int, bounds: _Bounds) -> BadInput:
    if time_us < bounds.since_us:
        year = from_us(bounds.since_us).year
        return BadInput(f"time: expected {year} or later; the device's clock is not set", reason="past")
    return BadInput("time: expected the past or the present; the device's clock is ahead of ours", reason="future")


def _dead_letter(arrival: Arrival, error: BadInput, now_us: int) -> DocumentRow:
    body = {
        "reason": error.reason,
        "message": str(error),
        "payload_base64": base64.b64encode(arrival.payload[:KEPT_PAYLOAD_BYTES]).decode(),
        "payload_bytes": len(arrival.payload),
        "content_type": arrival.properties.get("$.ct", ""),
    }
    return DocumentRow(arrival.patient, arrival.device, now_us, error.reason, json.dumps(body))
