"""What the last night's jobs left, for pages."""

from datetime import date
from typing import TypeVar

import msgspec
from babel import Locale
from babel.dates import format_date
from msgspec import Struct

from islet.model.job_runs import decode_kept
from islet.model.people import Patient
from islet.model.time import from_us
from islet.model.units import glucose_in
from islet.store.base import EntryKind, Registry
from islet.web.languages import Words
from islet.web.sessions import Viewer

Result = TypeVar("Result", bound=Struct)


def people_of(registry: Registry, viewer: Viewer) -> dict[str, Patient]:
    """The patients whom the viewer may see, by id; to an application without labels."""
    audience = viewer.audience
    if audience is None:
        found = {patient.id: patient for patient in registry.patients()}
    else:
        found = {id: patient for id in sorted(audience) if (patient := registry.patient(id)) is not None}
    if viewer.sees_labels:
        return found
    return {id: msgspec.structs.replace(patient, label="") for id, patient in found.items()}


def found(registry: Registry, job: str, kind: type[Result]) -> tuple[Result, date | None]:
    """What a job found when it was last done, and when that was; an empty result and None where it never was."""
    body = registry.entry(EntryKind.JOB, job)
    kept = None if body is None else decode_kept(body)
    if kept is None or kept.done_us is None:
        return kind(), None
    return msgspec.json.decode(kept.result, type=kind), from_us(kept.done_us).date()


def shown(unit: str, mg_dl: float) -> str:
    """A glucose value as a text in the unit."""
    return f"{glucose_in(unit, mg_dl):.{0 if unit == 'mg/dL' else 1}f}"


def day_text(spoken: Words, day: date | None) -> str:
    return "" if day is None else format_date(day, "medium", locale=Locale.parse(spoken.language, sep="-"))
