"""All that is kept of a patient, to be taken along; for whoever may see the patient."""

import io

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.exports import export_patient
from islet.web.answers import slow_page
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer
from islet.web.turns import Turns


def routes(context: WebContext, turns: Turns) -> list[Route]:
    return [slow_page(context, "/patients/{id}/export.zip", download, turns)]


def download(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The ZIP; made in memory, so that nothing of it lies on a disk unencrypted. A line of the audit trail tells it."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    context.registry.note("exported", "patient", patient.id, by=viewer.name, at_us=context.now())
    made = io.BytesIO()
    export_patient(context.store, context.registry, patient, made, now_us=context.now())
    headers = {"content-disposition": f'attachment; filename="{patient.id}.zip"', "cache-control": "no-store"}
    return Response(made.getvalue(), headers=headers, media_type="application/zip")
