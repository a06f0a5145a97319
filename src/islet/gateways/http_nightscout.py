"""Nightscout's first API, for apps that upload to it and read from it: xDrip, Loop, Juggluco, bridges, watches.

An app is a device (`islet.store.app_secrets`). What it sends takes the way of all devices; it reads its own patient, and
only where it was granted to. Sources: cgm-remote-monitor (lib/api, lib/authorization).
"""

import asyncio
from datetime import datetime
from typing import Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from islet.decode.nightscout import KINDS, Kind, dated, documents_in, events_of, with_id
from islet.decode.nightscout_answers import MOST, Document, Query, entries_of, query_of, treatment_id, treatments_of
from islet.decode.telemetry import Arrival
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import REFUSALS, Crowded, Handler, NotCommitted, TooLarge, status_of
from islet.gateways.http_body import read_body
from islet.gateways.http_intake import committed
from islet.gateways.intake import Intake
from islet.gateways.presence import Presence
from islet.model.codec import decode_event, encode_event
from islet.model.events import Method
from islet.model.people import Device
from islet.model.time import Now, from_us, iso, to_us
from islet.model.topics import Topic
from islet.store.app_secrets import device_of_app
from islet.store.base import Registry, Store
from islet.store.turned_away import REQUEST

_MOST_BYTES: Final = 4 << 20
_MOST_DOCUMENTS: Final = 20_000
"""Juggluco begins with up to 10,440 in a request, of 350 bytes, and cannot send fewer."""
_DELETED: Final = ("treatments", "treatments.json", "treatments/{which}")
_PARTS: Final = 3
"""Events that one treatment may have been."""
_VERSION: Final = "14.2.6"
"""Whose first API this is; apps ask."""
_METHODS: Final[dict[str, Method]] = {"sgv": "cgm", "mbg": "capillary"}
_USUAL_TREATMENTS: Final = 1_000
_log = structlog.get_logger("islet.gateways.nightscout")


class NightscoutEndpoints:
    """What is under /api/v1. `now` is the platform's clock."""

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        registry: Registry,
        store: Store,
        now: Now,
        presence: Presence,
    ) -> None:
        self._intake, self._authenticator = intake, authenticator
        self._registry, self._store, self._now = registry, store, now
        self._presence = presence

    def routes(self) -> list[Route]:
        """Each path with and without the ending .json."""
        return [
            Route("/api/v1/{kind}", self._answered(self._ask), methods=["GET"]),
            Route("/api/v1/{kind}/{which}", self._answered(self._ask), methods=["GET"]),
            Route("/api/v1/{kind}", self._answered(self._send), methods=["POST", "PUT"]),
            *(Route(f"/api/v1/{path}", self._answered(self._delete), methods=["DELETE"]) for path in _DELETED),
        ]

    async def _send(self, request: Request) -> Response:
        """200 with the documents once all of them are in the log: as events, or, what cannot be read, as dead letters."""
        device = await self._app(request)
        kind = next((one for one in KINDS if one == _name(request, "kind")), None)
        if kind is None:
            raise NotFound(f"expected one of {', '.join(KINDS)}; nothing else is kept here")
        self._check_sends(device)
        if self._intake.crowded:
            raise Crowded("expected fewer documents at a time; try again in a second")
        body = await read_body(request, _MOST_BYTES)
        is_alone = request.method == "PUT" and body.lstrip()[:1] == b"{"
        arrivals, answer = await asyncio.to_thread(_understood, kind, device, body, from_us(self._now()), is_alone)
        await committed(self._intake, arrivals)
        return answer

    async def _delete(self, request: Request) -> Response:
        """200, and that no treatment was deleted: what is in the log stays. An app that is refused here asks for ever, and
        sends little or nothing behind it (xDrip, Juggluco, Loop)."""
        self._check_sends(await self._app(request))
        return JSONResponse({"n": 0, "ok": 1})

    def _check_sends(self, device: Device) -> None:
        if not self._authenticator.may_send(device):
            raise AccessDenied("the device may not send for this patient")

    async def _ask(self, request: Request) -> Response:
        kind, which = _name(request, "kind"), _name(request, "which")
        if (kind, which) == ("status", ""):
            if _secret(request):  # LoopFollow tries by this what it was given
                await self._app(request)
            return JSONResponse(_status(self._now()))
        if (kind, which) == ("verifyauth", ""):
            return await self._verify(request)
        device = await self._app(request)
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
        if kind != "treatments":
            return []
        limit = MOST if query.equal or query.unequal else min(_PARTS * query.count, MOST)
        documents = self._store.documents(Topic.CARE_EVENTS, device.patient, query.from_us, query.to_us, limit=limit)
        return query.chosen(treatments_of([(one.device, decode_event(one.body.encode())) for one in documents]))

    def _entries(self, device: Device, which: str, query: Query) -> list[Document]:
        """All kinds, or those of /entries/sgv, /entries/mbg and (the newest of a sensor) /entries/current."""
        names = ["sgv"] if which == "current" else [which] if which in _METHODS else list(_METHODS)
        found = list[Document]()
        for name in filter(query.takes, names):
            series = self._store.series(device.patient, query.from_us, query.to_us, method=_METHODS[name])
            found += entries_of(series, device.id, name, query.most)
        found.sort(key=lambda one: -int(str(one["date"])))
        return query.chosen(found)[: 1 if which == "current" else None]

    async def _verify(self, request: Request) -> Response:
        """Who asks, and what they may; also nobody is told."""
        try:
            device: Device | None = await self._app(request)
        except AccessDenied:
            device = None
            if _secret(request):
                self._turn_away(request)
        said = {
            "canRead": device is not None and self._authenticator.may_view(device),
            "canWrite": device is not None and self._authenticator.may_send(device),
            "isAdmin": False,
            "message": "UNAUTHORIZED" if device is None else "OK",
            "rolefound": "NOTFOUND" if device is None else "FOUND",
            "permissions": "ROLE",
        }
        return JSONResponse({"status": 200, "message": said})

    async def _app(self, request: Request) -> Device:
        """The device of the app that asks. Raises AccessDenied."""
        said = _secret(request)
        device = await asyncio.to_thread(device_of_app, self._registry, said) if said else None
        if device is None:
            raise AccessDenied("expected the secret of an app; `islet devices nightscout` makes one")
        if not device.enabled:
            raise AccessDenied("the device is disabled")
        self._presence.heard(device.id)
        return device

    def _turn_away(self, request: Request) -> None:
        self._authenticator.turned_away(REQUEST, "", request.client.host if request.client else "")

    def _answered(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except REFUSALS as error:
                if isinstance(error, AccessDenied):
                    self._turn_away(request)
                return _refusal(error)
            except OSError as error:  # the disk
                _log.error("request_failed", error=type(error).__name__, reason=str(error))
                return _refusal(NotCommitted("it could not be kept or read; try again later"))

        return answer


def _understood(
    kind: Kind, device: Device, body: bytes, received: datetime, is_alone: bool
) -> tuple[list[Arrival], Response]:
    """What a request brings, and the answer to it once that is durable; `is_alone`: of one document, not of many. For a
    thread, as many documents take a second. Raises BadInput and TooLarge."""
    documents = documents_in(body)
    if len(documents) > _MOST_DOCUMENTS:
        raise TooLarge(f"expected at most {_MOST_DOCUMENTS} documents")
    arrivals, answers = list[Arrival](), list[Document]()
    for document in documents:
        payloads, answer = understood(kind, device.id, document, received)
        arrivals += [Arrival(device.id, device.patient, payload) for payload in payloads]
        answers.append(answer)
    return arrivals, JSONResponse(answers[0] if is_alone else answers)


def understood(kind: Kind, device: str, document: Document, received: datetime) -> tuple[list[bytes], Document]:
    """The events of a document as devices send them, and what is answered; the document itself where it cannot be read."""
    try:
        events = events_of(kind, document, received)
    except BadInput:
        return [msgspec.json.encode(document)], with_id(document)
    answer = with_id(document)
    if kind == "treatments" and events:
        at = events[0].time
        answer = with_id(dated(document, at), treatment_id(device, to_us(at)))
    return [encode_event(event) for event in events], answer


def _name(request: Request, part: str) -> str:
    return str(request.path_params.get(part, "")).removesuffix(".json")


def _secret(request: Request) -> str:
    """What the app shows: in the header api-secret, in the address, or as a bearer's token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = (request.headers.get("api-secret", ""), *(request.query_params.get(one, "") for one in ("secret", "token")))
    return next((one.removeprefix("token=") for one in shown if one), token if scheme.lower() == "bearer" else "")


def _status(now_us: int) -> Document:
    """What apps ask before they begin; nothing of anybody."""
    return {
        "status": "ok",
        "name": "Islet",
        "version": _VERSION,
        "serverTime": iso(now_us),
        "serverTimeEpoch": now_us // 1000,
        "apiEnabled": True,
        "careportalEnabled": True,
        "boluscalcEnabled": False,
        "settings": {"units": "mg/dl", "timeFormat": 24, "enable": ["careportal"]},
        "extendedSettings": {},
        "authorized": None,
    }


def _refusal(error: IsletError) -> Response:
    status = status_of(error)
    message = "Unauthorized" if status == 401 else "Refused"
    headers = {"Retry-After": "1"} if status == 429 else None
    return JSONResponse({"status": status, "message": message, "description": str(error)}, status, headers)
