"""The pages on which exports of a patient are sent, looked at and confirmed. They work without a script, too."""

from collections.abc import Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from babel.dates import format_datetime
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.decode.imports.choices import UNITS
from islet.decode.imports.detect import FORMATS
from islet.errors import BadInput, IsletError
from islet.model.people import Patient
from islet.model.time_zones import zone_or_utc
from islet.model.translated import mark as _
from islet.web import upload_texts
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import fields_of, posted
from islet.web.import_api import Said, begin_import, choose, importable, received, upload_of, uploads_of
from islet.web.languages import Words, language_of, words
from islet.web.sessions import Viewer
from islet.web.upload_body import TooLarge, megabytes
from islet.web.upload_texts import REFUSED
from islet.web.upload_told import Export, File, told
from islet.web.uploads import Busy, Full, State, Upload

_PATIENCE_S: Final = 0.5
_LONGEST_FIELD: Final = 200


_COUNT: Final = _("{kind}: {count}")
_LEFT_OUT: Final = _("{count} × {reason} (first in line {line})")
MEALS: Final = {"breakfast": _("Breakfast"), "lunch": _("Lunch"), "dinner": _("Dinner"), "snacks": _("Snacks")}
MAPPED: Final = ("time", "glucose")
_BY_HEADINGS: Final = ("", "table", "records")
"""Formats whose columns a person may name; the first is none that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """An export as it is shown: `facts` are a name and a value each, `wrong` what is wrong and what to do."""

    name: str
    title: str
    facts: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    wrong: str
    detail: str
    beside: bool
    good: bool


def routes(context: WebContext) -> list[BaseRoute]:
    """None where nothing can be uploaded."""
    if context.uploads is None:
        return []
    return [
        page(context, "/patients/{id}/import", begin),
        posted(context, "/patients/{id}/import", _send),
        page(context, "/patients/{id}/import/{upload}", review),
        posted(context, "/patients/{id}/import/{upload}", _decide),
    ]


def begin(context: WebContext, request: Request, viewer: Viewer, refused: str = "", *, status: int = 200) -> Response:
    """Where files are chosen or dropped; `refused`: why some were not taken."""
    patient = importable(context, request, viewer)
    values = {
        "patient": patient,
        "refused": refused,
        "most_bytes": uploads_of(context).most_bytes,
        "most_mb": megabytes(uploads_of(context).most_bytes),
        "formats": [one.title for one in FORMATS.values()],
    }
    return render(context, request, viewer, "import.html", values, data={}, status=status)


def review(context: WebContext, request: Request, viewer: Viewer, refused: str = "", *, status: int = 200) -> Response:
    """What is in the files, how they are read, and what came of the import."""
    patient = importable(context, request, viewer)
    upload = told(upload_of(context, request, viewer))
    spoken = words(language_of(request, viewer.user))
    values = {
        "patient": patient,
        "upload": upload,
        "reading": upload.state in (State.CHECKING, State.IMPORTING),
        "files": [_file(spoken, one, patient) for one in upload.files],
        "good": sum(export.error is None for file in upload.files for export in file.exports),
        "refused": refused,
        "formats": {one.name: one.title for one in FORMATS.values()},
        "units": UNITS,
        "meals": {meal: spoken.text(title) for meal, title in MEALS.items()},
    }
    return render(context, request, viewer, "import_review.html", values, data={}, status=status)


def _file(spoken: Words, file: File, patient: Patient) -> dict[str, Any]:
    """A file for the template; `asks`: it has a question that a person can answer; `mapped`:
    its columns may be named; `assumed`: it lacks times of day; `of_people`: one of several has to be chosen."""
    return {
        "name": file.name,
        "said": file.said,
        "exports": [_shown(spoken, one, file, patient) for one in file.exports],
        "asks": any(upload_texts.question(one.error) for one in file.exports),
        "mapped": any(one.format in _BY_HEADINGS for one in file.exports),
        "of_people": bool(file.said.person) or any(one.error and one.error.reason == "people" for one in file.exports),
        "assumed": any(one.time_assumed or (one.error and one.error.reason == "meal_time") for one in file.exports),
    }


def _shown(spoken: Words, export: Export, file: File, patient: Patient) -> Shown:
    text = spoken.text
    return Shown(
        name=export.name,
        title=export.title,
        facts=tuple(_facts(spoken, export, file, patient)) if export.error is None else (),
        left_out=tuple(
            text(_LEFT_OUT).format(count=one.count, reason=upload_texts.left_out(text, one.reason), line=one.first_line)
            for one in export.left_out
        ),
        wrong="" if export.error is None else upload_texts.sentence(text, export.error),
        detail="" if export.error is None else export.error.message,
        beside=export.beside,
        good=export.error is None,
    )


def _facts(spoken: Words, export: Export, file: File, patient: Patient) -> list[tuple[str, str]]:
    text = spoken.text
    zone = zone_or_utc(file.said.time_zone or patient.time_zone)
    counts = [
        text(_COUNT).format(kind=text(upload_texts.KINDS.get(kind, kind)), count=f"{count:,}")
        for kind, count in export.events.items()
    ]
    facts = [(text(_("Found")), "; ".join(counts))]
    for name, instant in ((_("First"), export.first), (_("Last"), export.last)):
        if instant is not None:
            told_time = format_datetime(instant, "medium", tzinfo=zone, locale=spoken.language.replace("-", "_"))
            facts.append((text(name), told_time))
    facts.append((text(_("Time zone")), str(zone)))
    if export.units:
        facts.append((text(_("Unit of glucose")), ", ".join(export.units)))
    if export.beyond_sensor:
        facts.append((text(_("Below or above what the sensor shows")), f"{export.beyond_sensor:,}"))
    if export.time_assumed:
        facts.append((text(_("Time of day assumed")), f"{export.time_assumed:,}"))
    facts.append((text(_("Devices")), ", ".join(export.devices)))
    return facts


async def _send(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Take files in; what is in them is on the page of the upload."""
    try:
        upload = await received(context, request, viewer, Said())
    except (TooLarge, Full, BadInput) as error:
        said, status = _refused(request, viewer, error)
        return await run_in_threadpool(lambda: begin(context, request, viewer, said, status=status))
    await run_in_threadpool(_settle, upload)
    return RedirectResponse(f"/patients/{quote(upload.patient)}/import/{upload.id}", 303)


async def _decide(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Look again, import, or cancel."""
    fields = {name: text.strip() for name, text in await fields_of(request, longest=_LONGEST_FIELD)}
    return await run_in_threadpool(_decided, context, request, viewer, fields)


def _decided(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    upload, act = upload_of(context, request, viewer), fields.get("act", "")
    try:
        if act == "cancel":
            uploads_of(context).drop(upload)
            return RedirectResponse(f"/patients/{quote(upload.patient)}", 303)
        if act == "import":
            begin_import(context, viewer, upload)
        elif act == "look":
            choose(uploads_of(context), upload, importable(context, request, viewer), _said(fields))
        else:
            raise BadInput("expected look, import or cancel", reason="form")
    except BadInput as error:
        said, status = _refused(request, viewer, error)
        return review(context, request, viewer, said, status=status)
    _settle(upload)
    return RedirectResponse(f"/patients/{quote(upload.patient)}/import/{upload.id}", 303)


def _settle(upload: Upload) -> None:
    """Wait a moment for what is under way, so that of short files the result is the next thing one sees."""
    wait([upload.work], _PATIENCE_S)


def _said(fields: Mapping[str, str]) -> Said:
    """What the form of one file says. Raises BadInput."""
    place = fields.get("file", "")
    if not (place.isascii() and place.isdigit() and len(place) < 4):
        raise BadInput("expected the place of a file", reason="form")
    return Said(
        file=int(place),
        zone=fields.get("zone", ""),
        unit=fields.get("unit", ""),
        date_order=fields.get("date_order", ""),
        format=fields.get("format", ""),
        mapping={what: fields[f"map_{what}"] for what in MAPPED if fields.get(f"map_{what}")},
        meal_times={meal: fields[f"meal_{meal}"] for meal in MEALS if fields.get(f"meal_{meal}")},
        person=fields.get("person", ""),
    )


def _refused(request: Request, viewer: Viewer, error: IsletError) -> tuple[str, int]:
    """What is told of an upload that was not taken, and the status."""
    text = words(language_of(request, viewer.user)).text
    if isinstance(error, TooLarge):
        return text(REFUSED["too_large"]).format(megabytes=megabytes(error.most_bytes)), 413
    if isinstance(error, Busy):
        return text(REFUSED["busy"]), 503
    if isinstance(error, Full):
        return text(REFUSED["full"]), 503
    known = REFUSED.get(error.reason) if isinstance(error, BadInput) else None
    return text(known or upload_texts.UNREADABLE), 400
