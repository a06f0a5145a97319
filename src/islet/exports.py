"""All that is kept of a patient, as a ZIP of open formats: for the person themselves, for another installation, for a
spreadsheet. `events.jsonl` can be imported again (`islet.decode.imports.own`), and that gives the same."""

import csv
import io
from collections.abc import Iterator
from typing import IO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec

from islet.model.alerts import Alert
from islet.model.batch import METHOD_CODES, RANGE_CODES, UNIT_CODES
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Patient
from islet.model.permissions import PATIENT_GROUP
from islet.model.time import from_us, iso
from islet.model.topics import TOPIC_OF_TYPE, Topic
from islet.reports.tables import safe
from islet.store.base import Registry, Store
from islet.store.device_changes import own_devices

_RANGES: Final = {code: name for name, code in RANGE_CODES.items()}
_FIRST_US, _LAST_US = -(2**62), 2**62
_ALL: Final = 2**62
_TOPICS: Final = tuple(topic for topic in Topic if topic in set(TOPIC_OF_TYPE.values()) - {Topic.GLUCOSE_READINGS})
_PIECE: Final = 1 << 16
_encoder: Final = msgspec.json.Encoder()


class About(msgspec.Struct, frozen=True, kw_only=True):
    """`about.json`: the patient, their devices, the users whom they are assigned to (also as one of a group), and their
    alerts, oldest first."""

    version: int = 1
    made_at: str
    patient: Patient
    devices: list[str]
    followed_by: list[str]
    alerts: list[Alert]


def export_patient(store: Store, registry: Registry, patient: Patient, to: IO[bytes], *, now_us: int) -> None:
    """Write the ZIP: about.json (with the alerts), events.jsonl (each event as it came, with its device), readings.csv."""
    readings = store.readings(patient.id).to_pydict()
    with ZipFile(to, "w") as archive:
        about = _about(store, registry, patient, now_us)
        archive.writestr(_entry("about.json", now_us), msgspec.json.format(_encoder.encode(about)))
        with (
            archive.open(_entry("events.jsonl", now_us), "w", force_zip64=True) as one,
            io.BufferedWriter(one, _PIECE) as file,
        ):
            file.writelines(_reading_lines(readings))
            for topic in _TOPICS:
                file.writelines(_document_lines(store, topic, patient.id))
        with (
            archive.open(_entry("readings.csv", now_us), "w", force_zip64=True) as one,
            io.BufferedWriter(one, _PIECE) as file,
        ):
            _write_table(readings, file)


def _entry(name: str, now_us: int) -> ZipInfo:
    """A file of the archive, dated now, in UTC."""
    entry = ZipInfo(name, from_us(now_us).timetuple()[:6])
    entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o600 << 16
    return entry


def _about(store: Store, registry: Registry, patient: Patient, now_us: int) -> About:
    devices = own_devices(registry, patient.id)
    assigned = {patient.id, *(f"{PATIENT_GROUP}{tag}" for tag in patient.tags)}
    users = sorted(user.name for user in registry.users() if not assigned.isdisjoint(user.patients))
    alerts = store.alerts([patient.id], limit=_ALL)[::-1]
    return About(made_at=iso(now_us), patient=patient, devices=devices, followed_by=users, alerts=alerts)


def _reading_lines(readings: dict[str, list[object]]) -> Iterator[bytes]:
    for device, time_us, value, unit, range_, method in _rows(readings):
        event = Reading(
            time=from_us(time_us),
            value=value,
            unit=UNIT_CODES[unit],
            method=METHOD_CODES[method],
            range=_RANGES[range_],  # type: ignore[arg-type]
        )
        yield _line(encode_event(event), device)


def _document_lines(store: Store, topic: Topic, patient: str) -> Iterator[bytes]:
    found = store.documents(topic, patient, _FIRST_US, _LAST_US, _ALL)
    for document in reversed(found):
        yield _line(document.body.encode(), document.device)


def _line(event: bytes, device: str) -> bytes:
    """An event's JSON object with its device at the end, on a line."""
    return event.rstrip()[:-1] + b',"device":' + _encoder.encode(device) + b"}\n"


def _write_table(readings: dict[str, list[object]], file: IO[bytes]) -> None:
    """For spreadsheets: times in UTC, values as they came, with their unit."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    table = csv.writer(text)
    table.writerow(["time", "value", "unit", "range", "method", "device"])
    for device, time_us, value, unit, range_, method in _rows(readings):
        table.writerow([iso(time_us), value, UNIT_CODES[unit], _RANGES[range_], METHOD_CODES[method], safe(device)])
    text.flush()
    text.detach()


def _rows(readings: dict[str, list[object]]) -> Iterator[tuple[str, int, float, int, int, int]]:
    names = ("device", "time_us", "value", "unit", "range", "method")
    return zip(*(readings[name] for name in names), strict=True)
