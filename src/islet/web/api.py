"""JSON for the pages and for programs: patients, series, alerts, the clock, the schema of events."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.errors import BadInput, NotFound
from islet.log.base import Append
from islet.model.alerts import AlertChange, patient_in
from islet.model.codec import change_documents, json_schema
from islet.model.topics import Topic
from islet.web.answers import api, async_api, json_response
from islet.web.context import WebContext, committed
from islet.web.pages import shown_alerts, shown_list, shown_past, sought_in, visible_patient
from islet.web.queries import instant_of
from islet.web.sessions import Viewer
from islet.web.snapshot import patient_snapshot

_LONGEST_H: Final = 14 * 24


def routes(context: WebContext) -> list[Route]:
    schema = json_schema()

    def event_schema(request: Request) -> Response:
        return json_response(schema)

    return [
        api(context, "/api/clock", clock),
        api(context, "/api/patients", patients),
        api(context, "/api/patients/{id}/series", series),
        api(context, "/api/alerts", alerts),
        api(context, "/api/alerts/past", past),
        async_api(context, "/api/alerts/{id}/acknowledge", acknowledge, ("POST",)),
        Route("/schema/event.json", event_schema, methods=["GET"]),
    ]


def clock(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The platform's present, and how much faster than the wall's clock it runs."""
    return json_response({"now_us": context.now(), "speed": context.speed})


def patients(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The list's snapshot, of everybody or of who is sought (`search`, `group`). An application gets everybody, by ids
    without labels: those never leave the portal."""
    return json_response(shown_list(context, viewer, sought_in(request, viewer)))


def series(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One patient's readings in columns, with alerts and care events, of the last `hours` (24 by default)."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    hours = _hours(request.query_params.get("hours", "24"))
    return json_response(patient_snapshot(context.store, context.log, patient.id, hours, context.now()))


def alerts(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Active and recent alerts."""
    return json_response(shown_alerts(context, viewer))


def past(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Alerts that began at the instant `until` (µs) or before, of the `patient` or of all, newest first."""
    patient = request.query_params.get("patient")
    if patient is not None:
        viewer.require(Action.VIEW_PATIENT, patient)
    until_us = instant_of(request.query_params.get("until", ""))
    return json_response(shown_past(context, viewer, until_us, patient))


async def acknowledge(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Record that the viewer has seen an alert; 200 once that is durable. The first one's name stays with the alert; a
    second answer counts for an alert that goes on and pages again."""
    alert = await run_in_threadpool(context.store.alert, request.path_params["id"])
    if alert is None:
        viewer.require(Action.ACKNOWLEDGE, patient_in(request.path_params["id"]) or None)
        raise NotFound("there is no such alert")
    viewer.require(Action.ACKNOWLEDGE, alert.patient)
    change = AlertChange(
        change="acknowledged",
        rule=alert.rule,
        patient=alert.patient,
        onset_us=alert.onset_us,
        at_us=context.now(),
        severity=alert.severity,
        by=viewer.name,
    )
    await committed(context.commit, appends=[Append(topic=Topic.ALERTS, batch=change_documents([change]))])
    return json_response({"id": alert.id, "by": alert.acknowledged_by or change.by})


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= _LONGEST_H:
        raise BadInput(f"hours: expected a number above 0 and at most {_LONGEST_H}", reason="query")
    return hours
