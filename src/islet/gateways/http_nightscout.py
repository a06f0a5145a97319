"""Nightscout's first API, for apps that upload to it and read from it: xDrip, Loop, Juggluco, bridges, watches.

An app is a device (`islet.store.app_secrets`). What it sends takes the way of all devices; it reads its own patient, and
only where it was granted to. Sources: cgm-remote-monitor (lib/api, lib/authorization).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from islet.decode.nightscout import (
    IDS,
    KINDS,
    LONGEST_ID,
    Kind,
    dated,
    documents_in,
    events_of,
    other_id,
    sender_id,
    treatment_time,
    with_id,
)
from islet.decode.nightscout_answers import (
    MOST,
    Document,
    Query,
    Treatment,
    entries_of,
    query_of,
    status_told,
    treatments_told,
)
from islet.decode.telemetry import Arrival
from islet.errors import AccessDenied, BadInput, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import Crowded, TooLarge
from islet.gateways.http_body import read_body
from islet.gateways.http_intake import committed
from islet.gateways.intake import Intake
from islet.gateways.nightscout_apps import NightscoutApps, is_token, shown
from islet.gateways.nightscout_treatments import News, Treatments, payloads
from islet.gateways.nightscout_v1_answers import answered, authorized_as, status_of_api
from islet.model.codec import decode_event, encode_event, events_in
from islet.model.events import AnyCareEvent, CareEvent, Method
from islet.model.people import Device
from islet.model.time import DAY_US, Now, from_us
from islet.model.topics import Topic
from islet.store.base import Store

_MOST_BYTES: Final = 4 << 20
_MOST_DOCUMENTS: Final = 20_000
"""Juggluco begins with up to 10,440 in a request, of 350 bytes, and cannot send fewer."""
_DELETED: Final = ("treatments", "treatments.json", "treatments/{which}")
_DELETED_BACK_US: Final = 92 * DAY_US
"""How far back a treatment is looked for that an app names by what it has read."""
_PARTS: Final = 3
"""Events that one treatment may have been."""
_METHODS: Final[dict[str, Method]] = {"sgv": "cgm", "mbg": "capillary"}
_USUAL_TREATMENTS: Final = 1_000


class NightscoutEndpoints:
    """What is under /api/v1. `now` is the platform's clock."""

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        apps: NightscoutApps,
        store: Store,
        treatments: Treatments,
        now: Now,
    ) -> None:
        self._intake, self._authenticator, self._apps = intake, authenticator, apps
        self._store, self._treatments, self._now = store, treatments, now

    def routes(self) -> list[Route]:
        """Each path with and without the ending .json; what is read is under the second API, too (a library for Rust)."""
        return [
            Route("/api/v2/{kind}", answered(self._apps, self._ask), methods=["GET"]),
            Route("/api/v2/{kind}/{which}", answered(self._apps, self._ask), methods=["GET"]),
            Route("/api/v1/{kind}", answered(self._apps, self._ask), methods=["GET"]),
            Route("/api/v1/{kind}/{which}", answered(self._apps, self._ask), methods=["GET"]),
            Route("/api/v1/{kind}", answered(self._apps, self._send), methods=["POST", "PUT"]),
            *(Route(f"/api/v1/{path}", answered(self._apps, self._delete), methods=["DELETE"]) for path in _DELETED),
        ]

    async def _send(self, request: Request) -> Response:
        """200 with the documents once all of them are in the log: as events, or, what cannot be read, as dead letters."""
        device = await self._apps.of(request)
        kind = next((one for one in KINDS if one == _name(request, "kind")), None)
        if kind is None:
            raise NotFound(f"expected one of {', '.join(KINDS)}; nothing else is kept here")
        self._check_sends(device)
        if self._intake.crowded:
            raise Crowded("expected fewer documents at a time; try again in a second")
        body = await read_body(request, _MOST_BYTES)
        is_alone = request.method == "PUT" and body.lstrip()[:1] == b"{"
        sent, answer = await asyncio.to_thread(self._understood, kind, device, body, is_alone)
        await self._commit(device, *sent)
        return answer

    def _understood(self, kind: Kind, device: Device, body: bytes, is_alone: bool) -> tuple["_Sent", Response]:
        """What a request brings that is new, and the answer to it once that is durable; `is_alone`: of one document, not of
        many. For a thread, as many documents take a second. Raises BadInput and TooLarge."""
        now_us = self._now()
        documents = documents_in(body)
        if len(documents) > _MOST_DOCUMENTS:
            raise TooLarge(f"expected at most {_MOST_DOCUMENTS} documents")
        sent, entries, answers = list[bytes](), dict[str, list[AnyCareEvent]](), list[Document]()
        for document in documents:
            one = understood(kind, device.id, document, from_us(now_us))
            sent += one.payloads
            if one.id:
                entries[one.id] = one.entries  # of two the last, as if they came one after the other
            answers.append(one.answer)
        news = self._treatments.news(device, entries, now_us) if entries else {}
        answer = JSONResponse(answers[0] if is_alone else answers)
        return _Sent(sent + payloads(news, entries, now_us), news), answer

    async def _commit(self, device: Device, payloads: Sequence[bytes], news: News) -> None:
        await committed(self._intake, [Arrival(device.id, device.patient, one) for one in payloads])
        self._treatments.keep(device, news)

    async def _delete(self, request: Request) -> Response:
        """200, and how many of the app's own treatments were withdrawn. An app that is refused here asks for ever, and sends
        little or nothing behind it (xDrip, Juggluco, Loop): what it names that nobody knows is answered so, too."""
        device = await self._apps.of(request)
        self._check_sends(device)
        query = query_of(request.query_params.multi_items(), self._now(), usual_count=_USUAL_TREATMENTS)
        which, now_us = _name(request, "which"), self._now()
        ids, count = await asyncio.to_thread(self._named, device, "" if which == "*" else which, query)
        news = self._treatments.withdrawn(device, ids, now_us)
        await self._commit(device, payloads(news, {}, now_us), news)
        return JSONResponse({"n": count, "ok": 1})

    def _named(self, device: Device, which: str, query: Query) -> tuple[list[str], int]:
        """The ids of the app's own entries that a deletion names, and of how many treatments they are."""
        own = [other_id(device.id, query.equal[name]) for name in IDS if name in query.equal]
        id = (which or query.equal.get("_id", "") or (own[0] if own else ""))[:LONGEST_ID]
        if not id and not (query.equal or query.is_bounded):
            return [], 0  # all that there is: nobody means that
        from_us = self._now() - _DELETED_BACK_US if id else query.from_us
        treatments = [one for one in self._told(device, from_us, query.to_us, MOST) if one.device == device.id]
        if id:
            found = [one for one in treatments if one.document["_id"] == id]
            return [entry for one in found for entry in one.entries] or [id], 1
        chosen = query.chosen(one.document for one in treatments)
        found = [one for one in treatments if any(one.document is document for document in chosen)]
        return list(dict.fromkeys(entry for one in found for entry in one.entries)), len(found)

    def _check_sends(self, device: Device) -> None:
        if not self._authenticator.may_send(device):
            raise AccessDenied("the device may not send for this patient")

    async def _ask(self, request: Request) -> Response:
        kind, which = _name(request, "kind"), _name(request, "which")
        if (kind, which) == ("status", ""):
            return await self._status(request)
        if (kind, which) == ("verifyauth", ""):
            return await self._verify(request)
        device = await self._apps.of(request)
        if (kind, which) == ("experiments", "test"):
            return JSONResponse({"status": "ok"})
        if kind not in ("entries", "treatments", "devicestatus", "profile") or (which and kind != "entries"):
            raise NotFound("there is nothing at this address")
        if not self._authenticator.may_view(device):
            raise AccessDenied("the app may not read what is kept of this patient; an administrator grants it")
        usual = {"usual_count": _USUAL_TREATMENTS} if kind == "treatments" else {}
        query = query_of(request.query_params.multi_items(), self._now(), **usual)
        return await asyncio.to_thread(lambda: JSONResponse(self._found(device, kind, which, query)))

    def _found(self, device: Device, kind: str, which: str, query: Query) -> list[Document]:
        if kind == "entries":
            return self._entries(device, which, query)
        if kind == "devicestatus":
            return query.chosen(self._batteries(device, query))
        if kind != "treatments":
            return []
        limit = MOST if query.is_of_fields else min(_PARTS * query.count, MOST)
        return query.chosen(one.document for one in self._told(device, query.from_us, query.to_us, limit))

    def _told(self, device: Device, from_us: int, to_us: int, limit: int) -> list[Treatment]:
        documents = self._store.documents(Topic.CARE_EVENTS, device.patient, from_us, to_us, limit=limit)
        return treatments_told([(one.device, decode_event(one.body.encode())) for one in documents])

    def _batteries(self, device: Device, query: Query) -> list[Document]:
        stored = self._store.documents(Topic.DEVICE_READINGS, device.patient, query.from_us, query.to_us, limit=MOST)
        found = ((one.device, event) for one in stored for event in events_in([one.body]))
        return [told for of, event in found if (told := status_told(of, event)) is not None]

    def _entries(self, device: Device, which: str, query: Query) -> list[Document]:
        """All kinds, or those of /entries/sgv, /entries/mbg and (the newest of a sensor) /entries/current."""
        names = ["sgv"] if which == "current" else [which] if which in _METHODS else list(_METHODS)
        found = list[Document]()
        for name in filter(query.takes, names):
            series = self._store.series(device.patient, query.from_us, query.to_us, method=_METHODS[name])
            found += entries_of(series, device.id, name, query.most)
        found.sort(key=lambda one: -int(str(one["date"])))
        return query.chosen(found)[: 1 if which == "current" else None]

    async def _status(self, request: Request) -> Response:
        """What apps ask before they begin. It says nothing of anybody, but to an app that shows what it was given: the unit in
        which that shows glucose, where it may read also the target range; and, as LoopFollow asks, what it may."""
        if not shown(request):
            return JSONResponse(status_of_api(self._now()))
        app = await self._apps.app(request)
        may_send, may_view = self._authenticator.may_send(app.device), self._authenticator.may_view(app.device)
        patient = await self._apps.patient(app) if may_view else None
        authorized = None
        if not is_token(shown(request)):
            text, token, _ = await self._apps.token(shown(request))
            authorized = authorized_as(text, token, app.device, may_send=may_send, may_view=may_view)
        return JSONResponse(status_of_api(self._now(), app.unit, patient, authorized))

    async def _verify(self, request: Request) -> Response:
        """Who asks, and what they may; also nobody is told."""
        try:
            device: Device | None = await self._apps.of(request)
        except AccessDenied:
            device = None
            if shown(request):
                self._apps.turn_away(request)
        said = {
            "canRead": device is not None and self._authenticator.may_view(device),
            "canWrite": device is not None and self._authenticator.may_send(device),
            "isAdmin": False,
            "message": "UNAUTHORIZED" if device is None else "OK",
            "rolefound": "NOTFOUND" if device is None else "FOUND",
            "permissions": "ROLE",
        }
        return JSONResponse({"status": 200, "message": said})


class _Sent(NamedTuple):
    """What goes to the log, and what of it is to be remembered when it is there."""

    payloads: list[bytes]
    news: News


class Understood(NamedTuple):
    """What a document brings: events as devices send them, or itself where it cannot be read; the entries of a treatment
    and its id ("": it is none); what is answered."""

    payloads: list[bytes]
    id: str
    entries: list[AnyCareEvent]
    answer: Document


def understood(kind: Kind, device: str, document: Document, received: datetime) -> Understood:
    """Raises nothing."""
    try:
        events = events_of(kind, document, received)
        at = treatment_time(document, received) if kind == "treatments" else received
    except BadInput:
        return Understood([msgspec.json.encode(document)], "", [], with_id(document))
    if kind != "treatments":
        return Understood([encode_event(event) for event in events], "", [], with_id(document))
    id = sender_id(document, device, at)
    entries = [event for event in events if isinstance(event, CareEvent)]
    others = [encode_event(event) for event in events if not isinstance(event, CareEvent)]
    return Understood(others, id, entries, with_id(dated(document, at), id))


def _name(request: Request, part: str) -> str:
    return str(request.path_params.get(part, "")).removesuffix(".json")
