"""The pages for people: patients, one patient, alerts, operations."""

from datetime import UTC
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.engine.standing import Place
from islet.errors import NotFound
from islet.model.people import Patient
from islet.model.time import DAY_US, from_us
from islet.model.time_zones import zone_or_utc
from islet.model.topics import Topic
from islet.store.base import Document
from islet.web.alarm_figures import alarms_shown
from islet.web.answers import page, render
from islet.web.consents import asking
from islet.web.context import WebContext
from islet.web.forecast_errors import MODELS, errors_shown
from islet.web.languages import language_of
from islet.web.rule_cards import own_cards
from islet.web.sessions import Viewer
from islet.web.snapshot import (
    EVERYBODY,
    AlertsSnapshot,
    ListSnapshot,
    PastAlerts,
    Sought,
    alerts_snapshot,
    list_snapshot,
    past_alerts,
    patient_snapshot,
)

CHART_HOURS = (3, 6, 12, 24)
_DEAD_LETTERS_SHOWN = 100
_AT_A_GLANCE: Final = 12
"""Of more patients one wants to look for some."""
_LONGEST_SEARCH: Final = 100


class _DeadLetter(msgspec.Struct):
    """What a dead letter's body holds, as far as it is shown: never the payload."""

    reason: str = ""
    message: str = ""


def routes(context: WebContext) -> list[Route]:
    return [
        page(context, "/", patients),
        page(context, "/patients/{id}", patient),
        page(context, "/alerts", alerts),
        page(context, "/operations", operations),
    ]


def patients(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The live list, by urgency; of everybody, or of who is sought. A list of one is that one's page."""
    if viewer.only and context.registry.patient(viewer.only) is not None:
        return RedirectResponse(f"/patients/{quote(viewer.only)}", 303)
    sought = sought_in(request, viewer)
    snapshot = shown_list(context, viewer, sought)
    may = any(viewer.may(Action.ACKNOWLEDGE, one.id) for one in snapshot.patients)
    query = "" if sought == EVERYBODY else f"?{urlencode({'search': sought.text, 'group': sought.group})}"
    data: dict[str, object] = {"snapshot": snapshot, "may_acknowledge": may, "sought": query}
    erased = request.query_params.get("erased", "")
    values = {
        "everybody": snapshot.everybody,
        "total": snapshot.total,
        "groups": snapshot.groups,
        "sought": sought,
        "searching": sought != EVERYBODY or snapshot.everybody > _AT_A_GLANCE,
        "asking": asking(context, viewer),
        "erased": erased if erased in viewer.principal.erased and viewer.may(Action.ADMINISTER) else "",
    }
    return render(context, request, viewer, "patients.html", values, data=data)


def shown_list(context: WebContext, viewer: Viewer, sought: Sought) -> ListSnapshot:
    """The list of who is sought, as far as it is the viewer's: to an application without labels and groups."""
    snapshot = list_snapshot(context.store, context.registry, context.log, viewer.audience, context.now(), sought)
    if viewer.sees_labels:
        return snapshot
    rows = [msgspec.structs.replace(row, label="") for row in snapshot.patients]
    return msgspec.structs.replace(snapshot, patients=rows, groups=[])


def shown_alerts(context: WebContext, viewer: Viewer) -> AlertsSnapshot:
    """The alerts of the viewer's patients: to an application without labels."""
    snapshot = alerts_snapshot(context.store, context.registry, context.log, viewer.audience, context.now())
    return snapshot if viewer.sees_labels else msgspec.structs.replace(snapshot, labels={})


def shown_past(context: WebContext, viewer: Viewer, until_us: int, patient: str | None) -> PastAlerts:
    """The same for those that began at an instant or before, of one patient where one is named."""
    found = past_alerts(context.store, context.registry, viewer.audience, context.now(), until_us, patient)
    return found if viewer.sees_labels else msgspec.structs.replace(found, labels={})


def sought_in(request: Request, viewer: Viewer) -> Sought:
    """Whom the address of a list asks for. An application finds nobody by a label."""
    if not viewer.sees_labels:
        return EVERYBODY
    query = request.query_params
    return Sought(text=query.get("search", "").strip()[:_LONGEST_SEARCH], group=query.get("group", ""))


def patient(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One patient's value, chart, events and alerts."""
    one = visible_patient(context, viewer, request.path_params["id"])
    snapshot = patient_snapshot(context.store, context.log, one.id, max(CHART_HOURS), context.now())
    data = {
        "snapshot": snapshot,
        "patient": {"id": one.id, "label": one.label, "low_mg_dl": one.low_mg_dl, "high_mg_dl": one.high_mg_dl},
        "time_zone": known_zone(one.time_zone),
        "only": one.id == viewer.only,
        "may_acknowledge": viewer.may(Action.ACKNOWLEDGE, one.id),
    }
    values = {
        "patient": one,
        "asking": asking(context, viewer),
        "chart_hours": CHART_HOURS,
        "may_enter": viewer.may(Action.ENTER_EVENTS, one.id),
        "may_import": context.uploads is not None,
        "device_files": context.device_files is not None,
        "may_erase": context.erase is not None and viewer.may(Action.ADMINISTER),
        "own_rules": None if context.rules is None else own_cards(context, request, viewer, Place.one(one)),
    }
    return render(context, request, viewer, "patient.html", values, data=data)


def alerts(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """What is active and what was, with who has seen it."""
    snapshot = shown_alerts(context, viewer)
    may = any(viewer.may(Action.ACKNOWLEDGE, one) for one in snapshot.labels)
    return render(context, request, viewer, "alerts.html", {}, data={"snapshot": snapshot, "may_acknowledge": may})


def operations(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """What came in but was not understood, and who is how far behind in the log."""
    viewer.require(Action.VIEW_OPERATIONS)
    now_us = context.now()
    letters = context.store.documents(
        Topic.DEAD_LETTERS, None, now_us - 30 * DAY_US, now_us + DAY_US, _DEAD_LETTERS_SHOWN
    )
    values = {
        "letters": [_shown(letter) for letter in letters],
        "counts": context.store.counts(),
        "lags": _lags(context),
        "viewers": context.live.viewers,
        "conflicts": context.store.conflicts(),
        "forecasts": errors_shown(context, viewer.user.unit),
        "models": MODELS,
        "alarms_shown": None if context.alarms is None else alarms_shown(context, context.alarms, viewer),
    }
    language = language_of(request, viewer.user)
    values["rule_titles"] = {} if context.rules is None else context.rules.current().titles(language)
    return render(context, request, viewer, "operations.html", values, data={})


def visible_patient(context: WebContext, viewer: Viewer, id: str) -> Patient:
    """The patient, after the decision: one who may not see them does not learn whether they exist. To an application
    without a label.

    Raises AccessDenied or NotFound.
    """
    viewer.require(Action.VIEW_PATIENT, id)
    found = context.registry.patient(id)
    if found is None:
        raise NotFound("there is no such patient")
    return found if viewer.sees_labels else msgspec.structs.replace(found, label="")


def known_zone(name: str) -> str:
    """The zone, or UTC where this machine does not know it; the page says which."""
    return zone_or_utc(name).key


def _shown(letter: Document) -> dict[str, str]:
    try:
        body = msgspec.json.decode(letter.body, type=_DeadLetter)
    except msgspec.DecodeError:
        body = _DeadLetter()
    received = from_us(letter.received_at_us).astimezone(UTC)
    return {
        "time": received.strftime("%Y-%m-%d %H:%M:%S"),
        "device": letter.device,
        "reason": body.reason or letter.type,
        "message": body.message,
    }


def _lags(context: WebContext) -> list[tuple[str, str, int]] | None:
    """Per consumer and topic, how many entries it has not read; the slowest first. None while a log on other machines does
    not answer."""
    try:
        ends, cursors = {topic: context.log.end(topic) for topic in Topic}, context.log.cursors()
    except OSError:
        return None
    lags: dict[tuple[str, str], int] = {}
    for topic, offsets in ends.items():
        applied = context.store.applied(topic, context.log.partitions)
        lags["store", topic] = sum(max(0, end - done) for end, done in zip(offsets, applied, strict=True))
    for move in cursors:
        key = (move.consumer, str(move.topic))
        lags[key] = lags.get(key, 0) + max(0, ends[move.topic][move.partition] - move.offset)
    return sorted(((*key, lag) for key, lag in lags.items()), key=lambda row: (-row[2], row))
