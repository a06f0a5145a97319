"""The page on which a patient is erased, for administrators: what goes, what stays, and the id to be typed."""

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.actions import Action
from islet.erasure.patients import own_accounts
from islet.errors import NotFound
from islet.model.people import Patient
from islet.store.device_changes import own_devices
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.sessions import Viewer, own_viewer


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process cannot erase."""
    if context.erase is None:
        return []
    path = "/patients/{id}/erase"
    return [page(context, path, show), form(context, path, erase, shown_at=path)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    return _page(context, request, viewer, _patient(context, request, viewer))


def erase(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Erase the patient whose id was typed; then the list of the others."""
    patient = _patient(context, request, viewer)
    own_viewer(viewer)
    if fields.get("sure", "").strip() != patient.id:
        return _page(context, request, viewer, patient, differs=True)
    assert context.erase is not None
    context.erase(patient.id, viewer.name)
    return RedirectResponse(f"/?erased={quote(patient.id)}", 303)


def _patient(context: WebContext, request: Request, viewer: Viewer) -> Patient:
    viewer.require(Action.ADMINISTER)
    found = context.registry.patient(request.path_params["id"])
    if found is None:
        raise NotFound("there is no such patient")
    return found


def _page(
    context: WebContext, request: Request, viewer: Viewer, patient: Patient, *, differs: bool = False
) -> Response:
    values = {
        "patient": patient,
        "devices": own_devices(context.registry, patient.id),
        "accounts": own_accounts(context.registry, patient.id),
        "differs": differs,
    }
    return render(context, request, viewer, "erase.html", values, data={}, status=400 if differs else 200)
