"""Exports over HTTP, for programs: send files and get the preview, say how to read them, confirm, and get the counts."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.decode.imports.choices import choices_of
from islet.decode.imports.detect import Format, format_named
from islet.decode.imports.found import Choices
from islet.errors import BadInput, SettingError
from islet.imports import Appended
from islet.model.people import Patient
from islet.model.time_zones import zone_or_utc
from islet.web.answers import async_api, json_response
from islet.web.bodies import json_body
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer
from islet.web.upload_body import files_of
from islet.web.upload_told import told
from islet.web.uploads import Upload, Uploads

NO_WORDS: Final[Mapping[str, str]] = {}


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """How to read one file of an upload, as it is sent: its place in the upload, and what the file does not say."""

    file: int = 0
    zone: str = ""
    unit: str = ""
    date_order: str = ""
    format: str = ""
    mapping: Mapping[str, str] = NO_WORDS
    meal_times: Mapping[str, str] = NO_WORDS
    person: str = ""


def routes(context: WebContext) -> list[Route]:
    """None where nothing can be uploaded."""
    if context.uploads is None:
        return []
    one = "/api/patients/{id}/imports/{upload}"
    return [
        async_api(context, "/api/patients/{id}/imports", send, ("POST",)),
        async_api(context, one, show, ("GET",)),
        async_api(context, one, say, ("PUT",)),
        async_api(context, one, cancel, ("DELETE",)),
        async_api(context, f"{one}/confirm", confirm, ("POST",)),
    ]


async def send(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Files as a form, or one file as the body with its `name` in the query; how to read them is in the query as well.
    201 with what is in them, once they were looked at. Nothing is in the log yet."""
    upload = await received(context, request, viewer, _asked(request))
    await asyncio.wrap_future(upload.work)
    return json_response(told(upload), 201)


async def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """An upload of one's own as it is now; while it is read, how far."""
    return json_response(told(await run_in_threadpool(upload_of, context, request, viewer)))


async def say(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Look again, one file read as `Said` has it; 200 with what is in all of them then."""
    upload = await run_in_threadpool(upload_of, context, request, viewer)
    said = await json_body(request, Said, expected="expected how to read a file, as JSON", reason="json")
    patient = await run_in_threadpool(importable, context, request, viewer)
    choose(uploads_of(context), upload, patient, said)
    await asyncio.wrap_future(upload.work)
    return json_response(told(upload))


async def cancel(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """204: the upload is gone."""
    uploads_of(context).drop(await run_in_threadpool(upload_of, context, request, viewer))
    return Response(status_code=204)


async def confirm(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Append all that can be; 200 with the counts once that is durable. A second time changes nothing."""
    upload = await run_in_threadpool(upload_of, context, request, viewer)
    begin_import(context, viewer, upload)
    await asyncio.wrap_future(upload.work)
    return json_response(told(upload))


async def received(context: WebContext, request: Request, viewer: Viewer, said: Said) -> Upload:
    """The upload that a request brings, which is being looked at. Raises AccessDenied before anything is taken in."""
    patient = await run_in_threadpool(importable, context, request, viewer)
    choices, format = read_as(patient, said)
    uploads = uploads_of(context)
    with uploads.coming(viewer.name):
        sent = await files_of(request, uploads.folder, uploads.most_bytes)
        return await run_in_threadpool(uploads.add, viewer.name, patient.id, sent, choices, format)


def importable(context: WebContext, request: Request, viewer: Viewer) -> Patient:
    """The patient of the path, for whom the viewer may enter events. Raises AccessDenied and NotFound."""
    viewer.require(Action.ENTER_EVENTS, request.path_params["id"])
    return visible_patient(context, viewer, request.path_params["id"])


def upload_of(context: WebContext, request: Request, viewer: Viewer) -> Upload:
    """The upload of the path. Raises AccessDenied and NotFound."""
    patient = importable(context, request, viewer)
    return uploads_of(context).get(request.path_params["upload"], viewer.name, patient.id)


def uploads_of(context: WebContext) -> Uploads:
    assert context.uploads is not None  # or there is no route
    return context.uploads


def choose(uploads: Uploads, upload: Upload, patient: Patient, said: Said) -> None:
    """Look again, one file read as it was said. Raises BadInput and NotFound."""
    choices, format = read_as(patient, said)
    uploads.choose(upload, said.file, choices, format)


def begin_import(context: WebContext, viewer: Viewer, upload: Upload) -> None:
    """Begin to append; who did it is in the audit trail afterwards. Raises BadInput."""

    def done(appended: Appended) -> None:
        action = f"imported {appended.new} events"
        context.registry.note(action, "patient", upload.patient, by=viewer.name, at_us=context.now())

    uploads_of(context).confirm(upload, done)


def read_as(patient: Patient, said: Said) -> tuple[Choices, Format | None]:
    """Local times are the patient's where no zone is said. Raises BadInput."""
    choices = choices_of(
        zone=said.zone,
        unit=said.unit,
        date_order=said.date_order,
        mapping=[f"{what}={heading}" for what, heading in said.mapping.items()],
        meal_times=[f"{meal}={clock}" for meal, clock in said.meal_times.items()],
        person=said.person,
    )
    if choices.zone is None:
        choices = msgspec.structs.replace(choices, zone=zone_or_utc(patient.time_zone))
    try:
        return choices, format_named(said.format) if said.format else None
    except SettingError as error:
        raise BadInput(str(error), reason="choice") from None


def _asked(request: Request) -> Said:
    asked = request.query_params
    pairs = {name: dict(_pair(name, one) for one in asked.getlist(name)) for name in ("mapping", "meal_time")}
    return Said(
        zone=asked.get("zone", ""),
        unit=asked.get("unit", ""),
        date_order=asked.get("date_order", ""),
        format=asked.get("format", ""),
        mapping=pairs["mapping"],
        meal_times=pairs["meal_time"],
        person=asked.get("person", ""),
    )


def _pair(name: str, text: str) -> tuple[str, str]:
    what, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{name}: expected NAME=VALUE", reason="query")
    return what, value
