"""All metrics of a patient as JSON, with their definitions: for programs, and to compare with others."""

from datetime import datetime, time, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.metrics.document import document
from islet.metrics.people import person_of
from islet.metrics.ranges import PRESETS
from islet.metrics.table import Material
from islet.model.people import Patient
from islet.model.time import DAY_US, from_us, to_us
from islet.model.time_zones import zone_or_utc
from islet.web.answers import api, json_response
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.queries import day_of, number_of, one_of
from islet.web.sessions import Viewer

_MOST_DAYS: Final = 366


def routes(context: WebContext) -> list[Route]:
    return [api(context, "/api/patients/{id}/metrics", metrics)]


def metrics(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The metrics of `days` times 24 hours (14 by default) up to the newest reading, or the end of the day `to` on the
    patient's clock, with the goals of `goals`. Fingersticks are left out: they are no sensor's."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    asked = request.query_params
    days = number_of(asked.get("days", "14"), least=1, most=_MOST_DAYS)
    goals = PRESETS[one_of(tuple(PRESETS), asked.get("goals", "standard"))]
    zone, last = zone_or_utc(patient.time_zone), day_of(asked.get("to", ""))
    end_us = (
        _newest_us(context, patient)
        if last is None
        else to_us(datetime.combine(last + timedelta(days=1), time(), zone))
    )
    begin_us = end_us - days * DAY_US
    series = context.store.series(patient.id, begin_us, end_us, method="cgm")
    material = Material(person_of(series, zone=zone, id=patient.id))
    period = {"from": from_us(begin_us), "to": from_us(end_us), "time_zone": str(zone)}
    return json_response({"period": period, **document(material, goals, tell_all=False)})


def _newest_us(context: WebContext, patient: Patient) -> int:
    """Just after the newest reading; the present where there is none."""
    latest = context.store.latest([patient.id])
    return latest[0].time_us + 1 if latest else context.now()
