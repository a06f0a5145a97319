"""Files that devices have uploaded, for those who may see the patient; those of devices that belong to nobody, for who
runs the installation. They are downloaded, deleted, or handed to the import."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from babel.dates import format_datetime
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from islet.access.decide import Action
from islet.errors import BadInput, NotFound
from islet.model.people import Patient
from islet.model.time import from_us
from islet.model.time_zones import zone_or_utc
from islet.model.translated import mark as _
from islet.store.device_file_rows import DeviceFile, FileState
from islet.store.device_files import DeviceFiles
from islet.store.sealed_file import SealedFile
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.import_api import Said, read_as, uploads_of
from islet.web.languages import language_of, words
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer
from islet.web.upload_body import Sent

_NOBODY: Final = Patient(id="")


_STATES: Final = {
    FileState.UNDER_WAY: _("Being uploaded"),
    FileState.COMPLETE: _("Complete"),
    FileState.FAILED: _("Failed"),
    FileState.UNCONFIRMED: _("Not confirmed by the device"),
}


def routes(context: WebContext) -> list[Route]:
    """None where devices cannot upload."""
    if context.device_files is None:
        return []
    found: list[Route] = []
    for path in ("/patients/{id}/files", "/files"):
        one = f"{path}/{{file}}"
        found += [page(context, path, show), page(context, one, download), form(context, one, change, shown_at=path)]
    return found


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The newest files, newest first."""
    patient = _whose(context, request, viewer)
    language = language_of(request, viewer.user)
    text, zone = words(language).text, zone_or_utc(patient.time_zone)

    def told(file: DeviceFile) -> dict[str, Any]:
        at = format_datetime(from_us(file.begun_us), "medium", tzinfo=zone, locale=language.replace("-", "_"))
        return {
            "id": file.id,
            "name": file.name,
            "device": file.device,
            "time": at,
            "size": "" if file.bytes is None else _size(file.bytes),
            "state": text(_STATES[file.state]),
            "there": file.bytes is not None,
            "importable": _importable(context, file),
        }

    values = {
        "patient": patient if patient.id else None,
        "zone": zone.key,
        "files": [told(file) for file in _files(context).of_patient(patient.id)],
        "may_change": _may_change(viewer, patient),
    }
    return render(context, request, viewer, "files.html", values, data={})


def _size(count: int) -> str:
    return f"{count} B" if count < 1000 else f"{count / 1000:,.1f} kB"


def download(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The content as it was sent; never as something that a browser would show."""
    patient = _whose(context, request, viewer)
    file = _file(context, request, patient)
    if file.bytes is None:
        raise NotFound("nothing of this file is there")
    _note(context, viewer, "downloaded", file)
    name = quote(file.name.rpartition("/")[2], safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Content-Length": str(file.bytes)}
    return StreamingResponse(_files(context).content(file), headers=headers, media_type="application/octet-stream")


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Delete it, or hand it to the import, where it is looked at first."""
    patient = _whose(context, request, viewer)
    viewer.require(*_to_change(patient))
    file, act = _file(context, request, patient), fields.get("act", "")
    if act == "delete":
        _files(context).delete(file.id)
        _note(context, viewer, "deleted", file)
        return RedirectResponse(request.url.path.rpartition("/")[0], 303)
    if act != "import" or not _importable(context, file):
        raise BadInput("expected delete, or import of a file that is there", reason="form")
    return _handed_over(context, viewer, patient, file)


def _handed_over(context: WebContext, viewer: Viewer, patient: Patient, file: DeviceFile) -> Response:
    uploads = uploads_of(context)
    choices, format = read_as(patient, Said())
    copy = SealedFile.nameless(uploads.folder)
    try:
        for part in _files(context).content(file):
            copy.append(part)
        sent = Sent(file.name.rpartition("/")[2], copy.sealed())
    except BaseException:
        copy.close()
        raise
    upload = uploads.add(viewer.name, patient.id, [sent], choices, format)
    return RedirectResponse(f"/patients/{quote(patient.id)}/import/{upload.id}", 303)


def _whose(context: WebContext, request: Request, viewer: Viewer) -> Patient:
    """The patient of the path, whom the viewer may see; without one, nobody. Raises AccessDenied and NotFound."""
    id = request.path_params.get("id")
    if id is not None:
        return visible_patient(context, viewer, id)
    viewer.require(Action.VIEW_OPERATIONS)
    return _NOBODY


def _to_change(patient: Patient) -> tuple[Action, str | None]:
    return (Action.ENTER_EVENTS, patient.id) if patient.id else (Action.WRITE_REGISTRY, None)


def _may_change(viewer: Viewer, patient: Patient) -> bool:
    return viewer.may(*_to_change(patient))


def _importable(context: WebContext, file: DeviceFile) -> bool:
    uploads = context.uploads
    return bool(file.patient and file.bytes and uploads is not None and file.bytes <= uploads.most_bytes)


def _file(context: WebContext, request: Request, patient: Patient) -> DeviceFile:
    """The file of the path, where it is of that patient. Raises NotFound."""
    file = _files(context).file(request.path_params["file"])
    if file.patient != patient.id:
        raise NotFound("there is no such file")
    return file


def _files(context: WebContext) -> DeviceFiles:
    assert context.device_files is not None  # or there is no route
    return context.device_files


def _note(context: WebContext, viewer: Viewer, action: str, file: DeviceFile) -> None:
    context.registry.note(action, "device file", f"{file.device}/{file.id}", by=viewer.name, at_us=context.now())
