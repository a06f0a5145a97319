"""What is told of an upload: as JSON for programs; pages say the same in words."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from islet.errors import BadInput
from islet.imports import Looked
from islet.web.uploads import State, Upload, UploadedFile

_PLACE: Final = re.compile(r"(?:line|lines|row|record) (\d+)[^:,]*(?:, (?:column|field) ([^:]+))?: ")


class Wrong(Struct, frozen=True, kw_only=True):
    """Why an export cannot be read: a stable word, where, and the sentence with what to do (English)."""

    reason: str
    line: int | None
    column: str
    message: str


class LeftOut(Struct, frozen=True, kw_only=True):
    """Lines that give nothing, for one reason."""

    reason: str
    count: int
    first_line: int


class Export(Struct, frozen=True, kw_only=True):
    """One export of a file. `beside`: there is nothing to import in it, and it stands in an archive among others."""

    name: str
    format: str
    title: str
    events: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    units: tuple[str, ...]
    devices: Mapping[str, int]
    beyond_sensor: int
    time_assumed: int
    left_out: tuple[LeftOut, ...]
    error: Wrong | None
    beside: bool


class Said(Struct, frozen=True, kw_only=True):
    """How a file is read: what a person said, "" where the file says it itself."""

    time_zone: str
    unit: str
    date_order: str
    format: str
    mapping: Mapping[str, str]
    meal_times: Mapping[str, str]
    person: str


class File(Struct, frozen=True, kw_only=True):
    """A file of an upload."""

    name: str
    said: Said
    exports: tuple[Export, ...]


class Imported(Struct, frozen=True, kw_only=True):
    """How many events are new in the log, and how many it knew already."""

    new: int
    known: int


class Told(Struct, frozen=True, kw_only=True):
    """An upload. `done_bytes` of `all_bytes` are read while it is checking or importing."""

    id: str
    patient: str
    state: State
    done_bytes: int
    all_bytes: int
    files: tuple[File, ...]
    imported: Imported | None


def told(upload: Upload) -> Told:
    """An upload as it is now."""
    reading = upload.state in (State.CHECKING, State.IMPORTING)
    counts = Imported(new=upload.appended.new, known=upload.appended.known)
    return Told(
        id=upload.id,
        patient=upload.patient,
        state=upload.state,
        done_bytes=upload.done_bytes if reading else 0,
        all_bytes=upload.all_bytes if reading else 0,
        files=() if upload.state is State.CHECKING else tuple(_file(one) for one in upload.files),
        imported=counts if upload.state in (State.IMPORTED, State.FAILED) else None,
    )


def _file(file: UploadedFile) -> File:
    said = Said(
        time_zone=str(file.choices.zone or ""),
        unit=file.choices.unit or "",
        date_order=file.choices.date_order or "",
        format="" if file.format is None else file.format.name,
        mapping=file.choices.mapping,
        meal_times=file.choices.meal_times,
        person=file.choices.person or "",
    )
    return File(name=file.name, said=said, exports=tuple(_export(one) for one in file.looked))


def _export(looked: Looked) -> Export:
    found = looked.preview
    good = looked.error is None
    return Export(
        name=looked.name,
        format=looked.format.name if looked.format else "",
        title=looked.format.title if looked.format else "",
        events=dict(sorted(found.events.items())) if good else {},
        first=found.first if good else None,
        last=found.last if good else None,
        units=tuple(sorted(found.units)) if good else (),
        devices=dict(sorted(found.devices.items())) if good else {},
        beyond_sensor=found.beyond if good else 0,
        time_assumed=found.assumed if good else 0,
        left_out=tuple(
            LeftOut(reason=reason, count=one.count, first_line=one.first_line)
            for reason, one in sorted(found.left_out.items())
        ),
        error=None if looked.error is None else _wrong(looked.error),
        beside=looked.beside,
    )


def _wrong(error: BadInput) -> Wrong:
    message = str(error)
    place = _PLACE.match(message)
    return Wrong(
        reason=error.reason,
        line=int(place[1]) if place else None,
        column=(place[2] or "") if place else "",
        message=message,
    )
