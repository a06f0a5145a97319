"""Answers to alarms from outside of the portal (a link, a button), and who was told: acknowledge, snooze, deliveries."""

from typing import Final

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from islet.access.decide import Action
from islet.errors import BadInput, NotFound
from islet.model.alerts import Alert, patient_in
from islet.notify.queue import Delivery
from islet.web.answers import api, async_api, error_json, json_response, render
from islet.web.bodies import json_body
from islet.web.context import WebAlarms, WebContext
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer
from islet.web.texts import ANSWERS

TELEGRAM_SECRET: Final = "x-telegram-bot-api-secret-token"  # noqa: S105  # the header's name
_LARGEST_UPDATE: Final = 64 * 1024
_STATUS: Final = {"acknowledged": 200, "confirmed": 200, "refused": 403, "unknown": 404}


class Told(Struct, frozen=True, kw_only=True):
    """One message about an alert. `state`: pending, sent, not_sent or undeliverable; `at_us`: when it became that."""

    channel: str
    recipient: str
    kind: str
    state: str
    queued_us: int
    at_us: int | None
    attempts: int
    reason: str


class Deliveries(Struct, frozen=True, kw_only=True):
    """Who was told of an alert, oldest first. `snoozed_until_us`: 0 where it pages; `snooze_most_min`: how long a
    snooze of it may be, 0 where there is none."""

    told: list[Told]
    snoozed_until_us: int
    snooze_most_min: float


class _Snooze(Struct, frozen=True, kw_only=True):
    minutes: float


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no outbox."""
    if context.alarms is None:
        return []
    alarms = context.alarms

    async def show(request: Request) -> Response:
        return _page(context, request, request.path_params["token"], "", 200)

    async def answer(request: Request) -> Response:
        return await _answer(context, alarms, request)

    async def telegram(request: Request) -> Response:
        return await _telegram(alarms, request)

    return [
        Route("/acknowledge/{token}", show, methods=["GET"]),
        Route("/acknowledge/{token}", answer, methods=["POST"]),
        Route("/telegram", telegram, methods=["POST"]),
        api(context, "/api/troubles", troubles),
        api(context, "/api/alerts/{id}/deliveries", deliveries),
        async_api(context, "/api/alerts/{id}/snooze", snooze, ("POST",)),
    ]


def alarms_of(context: WebContext) -> WebAlarms:
    assert context.alarms is not None, "routes are made only where there is an outbox"
    return context.alarms


async def _answer(context: WebContext, alarms: WebAlarms, request: Request) -> Response:
    """The token is the credential: it was sent to one recipient, for one alert. A GET never comes here, because mail
    servers follow links."""
    token = request.path_params["token"]
    answer = await run_in_threadpool(alarms.outbox.answer, token, context.now())
    if "text/html" in request.headers.get("accept", ""):
        return _page(context, request, token, answer, _STATUS[answer])
    return json_response({"answer": answer}, _STATUS[answer])


def _page(context: WebContext, request: Request, token: str, answer: str, status: int) -> Response:
    """Says nothing of the alert: who has the link has the message, too."""
    text = words(language_of(request)).text
    said = text(ANSWERS[answer]) if answer else ""
    values = {"token": token, "answer": answer, "said": said}
    return render(context, request, None, "acknowledge.html", values, status=status)


async def _telegram(alarms: WebAlarms, request: Request) -> Response:
    """An update of the bot, with the secret that its webhook was registered with."""
    secret = request.headers.get(TELEGRAM_SECRET, "")
    try:
        update = await json_body(request, object, expected="JSON", reason="json", most_bytes=_LARGEST_UPDATE)
    except BadInput as error:
        return error_json(error)
    taken = await run_in_threadpool(alarms.received, update, secret)
    return json_response({"ok": taken}, 200 if taken else 403)


def troubles(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Alerts that nobody answered, or of which a message did not reach somebody."""
    return json_response(alarms_of(context).outbox.troubles(viewer.audience))


def deliveries(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Who was told of an alert, when, and what became of it."""
    alert = visible_alert(context, viewer, request.path_params["id"])
    alarms = alarms_of(context)
    now_us = context.now()
    found = (one for one in alarms.outbox.snoozes(now_us) if (one.patient, one.rule) == (alert.patient, alert.rule))
    until_us = max((one.until_us for one in found), default=0)
    may = alert.active and viewer.may(Action.ACKNOWLEDGE, alert.patient) and alarms.outbox.paging(alert.id) is not None
    most_min = alarms.book.policy(alert.patient)[0].snooze_min(alert.severity) if may else 0.0
    told = [_told(one) for one in alarms.outbox.deliveries(alert.id)]
    return json_response(Deliveries(told=told, snoozed_until_us=until_us, snooze_most_min=most_min))


async def snooze(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Alerts of this one's rule and patient page nobody for so many minutes: {"minutes": 15} -> {"until_us": …}."""
    alert = await run_in_threadpool(visible_alert, context, viewer, request.path_params["id"])
    viewer.require(Action.ACKNOWLEDGE, alert.patient)
    expected = 'snooze: expected {"minutes": a number}'
    wish = await json_body(request, _Snooze, expected=expected, reason="snooze")
    by, now_us = viewer.name, context.now()
    until_us = await run_in_threadpool(alarms_of(context).outbox.snooze, alert.id, wish.minutes, by, now_us)
    await run_in_threadpool(
        lambda: context.registry.note(f"snoozed for {wish.minutes:g} min", "alert", alert.id, by=by, at_us=now_us)
    )
    return json_response({"until_us": until_us})


def visible_alert(context: WebContext, viewer: Viewer, id: str) -> Alert:
    """The alert, after the decision: who may not see its patient does not learn whether it exists.

    Raises AccessDenied or NotFound.
    """
    alert = context.store.alert(id)
    if alert is None:
        viewer.require(Action.VIEW_PATIENT, patient_in(id) or None)
        raise NotFound("there is no such alert")
    viewer.require(Action.VIEW_PATIENT, alert.patient)
    return alert


def _told(one: Delivery) -> Told:
    return Told(
        channel=one.channel,
        recipient=one.recipient,
        kind=one.kind,
        state=one.state,
        queued_us=one.queued_us,
        at_us=one.done_us,
        attempts=one.attempts,
        reason=one.reason,
    )
