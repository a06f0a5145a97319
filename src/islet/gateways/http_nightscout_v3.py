"""Nightscout's third API, for apps that keep what they have and what is here alike: AndroidAPS, Home Assistant.

Who asks, what it may, and what becomes of what it sends is as at the first one (`islet.gateways.http_nightscout`).
Sources: cgm-remote-monitor (lib/api3, lib/authorization), AndroidAPS (core/nssdk, plugins/sync).
"""

import asyncio
from typing import Final, NamedTuple
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from islet.decode.nightscout import KINDS, Kind
from islet.decode.nightscout_answers import treatments_told
from islet.decode.nightscout_search import Document, Search, instant_ms, limit_of, search_of, shown_fields
from islet.decode.nightscout_v3 import (
    COLLECTIONS,
    READ,
    STORAGE,
    VERSIONS,
    at_time,
    http_date,
    identifier_of,
    patched,
    reading_identifier,
    taken,
    treatment_told,
)
from islet.decode.telemetry import Arrival
from islet.errors import AccessDenied, BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import REFUSALS, Crowded, Handler, status_of
from islet.gateways.http_intake import committed
from islet.gateways.http_nightscout import NightscoutEndpoints, Understood, understood
from islet.gateways.http_nightscout_present import NightscoutPresent
from islet.gateways.intake import Intake
from islet.gateways.nightscout_apps import NightscoutApps, shown
from islet.gateways.nightscout_history import NightscoutReader
from islet.gateways.nightscout_treatments import News, Told, Treatments, bare, payloads
from islet.gateways.nightscout_v3_answers import Refused, answered, dated, document_of, refusal, token_answer
from islet.model.codec import events_in
from islet.model.events import AnyCareEvent, CareEvent
from islet.model.people import Device
from islet.model.time import Now, from_us, iso, to_us
from islet.store.base import Store

_MS_US: Final = 1_000
_READ_ONLY: Final = "Trying to modify read-only document"
_BAD_SINCE: Final = "Bad or missing Last-Modified header/parameter"
_WHO: Final = "Missing or bad access token or JWT"
_log = structlog.get_logger("islet.gateways.nightscout")


class _Known(NamedTuple):
    """A treatment of the app's own: what was told of it, as entries, and as the document that the app is told."""

    told: Told
    entries: list[AnyCareEvent]
    document: Document


class NightscoutV3:
    """What is under /api/v3, and where a token for it is had. `now` is the platform's clock."""

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        apps: NightscoutApps,
        store: Store,
        treatments: Treatments,
        now: Now,
    ) -> None:
        self._intake, self._authenticator, self._apps, self._now = intake, authenticator, apps, now
        self._treatments, self._reader = treatments, NightscoutReader(store)

    def routes(self) -> list[Route]:
        one = "/api/v3/{collection}/{identifier:path}"  # AAPS encodes a slash in it
        return [
            Route("/api/v2/authorization/request/{secret}", self._answered(self._token), methods=["GET"]),
            Route("/api/v3/version", self._answered(self._version), methods=["GET"]),
            Route("/api/v3/status", self._answered(self._status), methods=["GET"]),
            Route("/api/v3/lastModified", self._answered(self._last_modified), methods=["GET"]),
            Route("/api/v3/{collection}", self._answered(self._search), methods=["GET"]),
            Route("/api/v3/{collection}", self._answered(self._create), methods=["POST"]),
            Route("/api/v3/{collection}/history", self._answered(self._history), methods=["GET"]),
            Route("/api/v3/{collection}/history/{since}", self._answered(self._history), methods=["GET"]),
            Route(one, self._answered(self._read), methods=["GET"]),
            Route(one, self._answered(self._update), methods=["PUT", "PATCH"]),
            Route(one, self._answered(self._delete), methods=["DELETE"]),
        ]

    async def _token(self, request: Request) -> Response:
        """A token for an app's secret. What is shown else does not count."""
        text, token, device = await self._apps.token(request.path_params["secret"])
        return token_answer(text, token, device)

    async def _version(self, request: Request) -> Response:
        return answered({**VERSIONS, "srvDate": self._now() // _MS_US, "storage": STORAGE})

    async def _status(self, request: Request) -> Response:
        """With what the app may do with each collection: create, read, update, delete."""
        device = await self._apps.of(request)
        may_send, may_view = self._authenticator.may_send(device), self._authenticator.may_view(device)
        allowed = ("c" if may_send else "") + ("r" if may_view else "") + ("ud" if may_send else "")
        said = {**VERSIONS, "srvDate": self._now() // _MS_US, "storage": STORAGE}
        return answered({**said, "apiPermissions": dict.fromkeys(COLLECTIONS, allowed)})

    async def _last_modified(self, request: Request) -> Response:
        """Of what the app may read."""
        device, now_us = await self._apps.of(request), self._now()
        changed = dict[str, int]()
        if self._authenticator.may_view(device):
            changed = await asyncio.to_thread(self._reader.last_modified, device, now_us)
        return answered({"srvDate": now_us // _MS_US, "srvDateString": iso(now_us), "collections": changed})

    async def _search(self, request: Request) -> Response:
        device, collection = await self._reads(request)
        search = search_of(request.query_params.multi_items(), self._now())
        if collection not in READ:
            return answered([])
        return await asyncio.to_thread(lambda: answered(self._reader.search(device, collection, search)))

    async def _history(self, request: Request) -> Response:
        """What was changed since an instant that the address names, or at it or later where a header does."""
        device, collection = await self._reads(request)
        said = dict(request.query_params.multi_items())
        limit, search = limit_of(said), shown_fields(said)
        since = request.path_params.get("since")
        at = instant_ms(request.headers.get("last-modified", "") if since is None else since)
        if at is None:
            raise BadInput(_BAD_SINCE, reason="query")
        from_ms = at // 1000 * 1000 if since is None else at + 1
        if collection not in READ:
            return answered([])
        return await asyncio.to_thread(self._told, device, collection, from_ms, limit, search)

    def _told(self, device: Device, collection: str, from_ms: int, limit: int, search: Search) -> Response:
        found = self._reader.history(device, collection, from_ms, limit, self._now())
        headers = dated(max(int(str(one["srvModified"])) for one in found)) if found else {}
        return answered([search.shown(one) for one in found], headers=headers)

    async def _read(self, request: Request) -> Response:
        device, collection = await self._reads(request)
        identifier = request.path_params["identifier"]
        found = await asyncio.to_thread(self._found, device, collection, identifier)
        headers = dated(changed_ms := int(str(found["srvModified"])))
        since = instant_ms(request.headers.get("if-modified-since", ""))
        if since is not None and changed_ms // 1000 <= since // 1000:
            return Response(status_code=304, headers=headers)
        fields = shown_fields(dict(request.query_params.multi_items()))
        return answered(fields.shown(found), headers=headers)

    def _found(self, device: Device, collection: str, identifier: str) -> Document:
        """Raises Refused."""
        if collection == "treatments" and (known := self._known(device, identifier)) is not None:
            return known.document
        found = self._reader.found(device, collection, identifier, self._now()) if collection in READ else None
        if found is None:
            raise Refused(404)
        return found

    async def _create(self, request: Request) -> Response:
        """201 when what the document brings is in the log, 200 where it took the place of one."""
        device, collection = await self._writes(request)
        document = await document_of(request)
        if collection not in KINDS:  # taken, so that the app goes on, and not kept
            return self._created(request, identifier_of(document))
        document = taken(document)
        return await self._create_as(request, device, collection, identifier_of(document), document)

    async def _create_as(
        self, request: Request, device: Device, kind: Kind, identifier: str, document: Document
    ) -> Response:
        """Readings are known by what they are, whatever they are called."""
        return await self._take(request, device, kind, _reading_name(device, kind, document) or identifier, document)

    async def _update(self, request: Request) -> Response:
        """As CREATE, under that identifier; with PATCH only of what is there."""
        device, collection = await self._writes(request)
        identifier, document = request.path_params["identifier"], await document_of(request)
        if collection not in KINDS:
            return answered() if request.method == "PUT" else refusal(Refused(404))
        if collection != "treatments":
            await asyncio.to_thread(self._check_unread, device, collection, identifier)
            if request.method == "PATCH":
                raise Refused(404)
            return await self._create_as(request, device, collection, identifier, taken(document))
        known = await asyncio.to_thread(self._known, device, identifier)
        self._check_unmodified(request, known)
        if known is None:
            await asyncio.to_thread(self._check_unread, device, collection, identifier)
        if request.method == "PUT":
            return await self._take(request, device, collection, identifier, taken(document))
        return await self._patch(request, device, identifier, document, known)

    async def _patch(
        self, request: Request, device: Device, identifier: str, patch: Document, known: _Known | None
    ) -> Response:
        if known is None:
            if _keeps(device, patch, self._now()):
                raise Refused(404)
            return answered()  # of a kind of which nothing was kept when it was sent
        at_us = to_us(known.entries[0].time)
        stored = at_time(known.document, at_us)
        if not patch.get("eventType") and not _is_all(device, stored, known, self._now()):
            raise Refused(422, _READ_ONLY)
        document = patched(stored, patch)
        at = patch.get("date") or patch.get("created_at")
        document = at_time(document, at_us) if at is None else taken({**document, "date": at})
        return await self._take(request, device, "treatments", identifier, document)

    async def _delete(self, request: Request) -> Response:
        device, collection = await self._writes(request)
        identifier, now_us = request.path_params["identifier"], self._now()
        if collection != "treatments":
            await asyncio.to_thread(self._check_unread, device, collection, identifier)
            raise Refused(404)
        ids = await asyncio.to_thread(self._own, device, identifier)
        news = self._treatments.withdrawn(device, ids, now_us)
        await self._commit(device, payloads(news, {}, now_us), news)
        return answered()

    def _own(self, device: Device, identifier: str) -> list[str]:
        """The ids of the app's entries that are known by that. Raises Refused."""
        told = self._treatments.known(device, identifier)
        if told is not None:
            return [identifier] if told.said else []
        named = self._reader.named(device, identifier, self._now()) if device.patient else None
        if named is None or (named.device != device.id and not self._authenticator.may_view(device)):
            raise Refused(404)
        if named.device != device.id:
            raise Refused(422, _READ_ONLY)
        return list(dict.fromkeys(named.entries))

    def _known(self, device: Device, identifier: str) -> _Known | None:
        """Raises Refused for what was withdrawn."""
        told = self._treatments.known(device, identifier)
        if told is None:
            return None
        if not told.said:
            raise Refused(410)
        entries = [one for one in events_in(one.decode() for one in sorted(told.said)) if isinstance(one, CareEvent)]
        treatments = treatments_told([(device.id, one) for one in entries])
        if not treatments:
            return None  # nothing that Nightscout has a word for
        changed_us = told.revision * _MS_US
        document = treatment_told(treatments[0].document, device.id, changed_us, own=True, holds=True)
        return _Known(told, entries, {**document, "identifier": identifier})

    def _check_unread(self, device: Device, collection: str, identifier: str) -> None:
        """Raises Refused for a document that the app may read and not change: a reading, or what another one told."""
        is_readable = collection in READ and self._authenticator.may_view(device)
        if is_readable and self._reader.found(device, collection, identifier, self._now()) is not None:
            raise Refused(422, _READ_ONLY)

    def _check_unmodified(self, request: Request, known: _Known | None) -> None:
        since = instant_ms(request.headers.get("if-unmodified-since", ""))
        if known is not None and since is not None and known.told.revision // 1000 > since // 1000:
            raise Refused(412)

    async def _take(
        self, request: Request, device: Device, kind: Kind, identifier: str, document: Document
    ) -> Response:
        edited = request.method in ("PUT", "PATCH")
        one, before, news = await asyncio.to_thread(self._news, device, kind, identifier, document, edited)
        entries = {identifier: one.entries}
        await self._commit(device, [*one.payloads, *payloads(news, entries, self._now())], news)
        if before is not None and before.said:
            return self._created(request, identifier, status=200)
        return self._created(request, identifier)

    def _news(
        self, device: Device, kind: Kind, identifier: str, document: Document, edited: bool
    ) -> tuple[Understood, Told | None, News]:
        """What a document brings, what was known by that identifier before, and what is new."""
        now_us = self._now()
        one = understood(kind, device.id, {**document, "_id": identifier}, from_us(now_us))
        if document.get("isValid") is False:  # so are those that AAPS has taken back
            one = one._replace(payloads=[], entries=[])
        if not one.id:
            return one, None, {}
        before = self._treatments.known(device, identifier)
        return one, before, self._treatments.news(device, {identifier: one.entries}, now_us, edited=edited)

    async def _commit(self, device: Device, sent: list[bytes], news: News) -> None:
        await committed(self._intake, [Arrival(device.id, device.patient, one) for one in sent])
        self._treatments.keep(device, news)

    def _created(self, request: Request, identifier: str, *, status: int = 201) -> Response:
        now_ms = self._now() // _MS_US
        said: Document = {"identifier": identifier, "lastModified": now_ms}
        if status == 200 and request.method == "POST":
            said["isDeduplication"] = True
        place = f"/api/v3/{request.path_params['collection']}/{quote(identifier, safe='')}"
        headers = {"Last-Modified": http_date(now_ms * _MS_US), "Location": place}
        return JSONResponse({"status": status, **said}, status, headers)

    async def _reads(self, request: Request) -> tuple[Device, str]:
        """The app, and what it asks for. Raises AccessDenied and Refused."""
        device, collection = await self._apps.of(request), _collection(request)
        if collection in READ and not self._authenticator.may_view(device):
            raise Refused(403, f"Missing permission api:{collection}:read; an administrator grants it")
        return device, collection

    async def _writes(self, request: Request) -> tuple[Device, str]:
        device, collection = await self._apps.of(request), _collection(request)
        if not self._authenticator.may_send(device):
            raise Refused(403, f"Missing permission api:{collection}:create")
        if self._intake.crowded:
            raise Crowded("expected fewer documents at a time; try again in a second")
        return device, collection

    def _answered(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except Refused as error:
                return refusal(error)
            except REFUSALS as error:
                if isinstance(error, AccessDenied):
                    if shown(request) or "secret" in request.path_params:  # AAPS begins with nothing
                        self._apps.turn_away(request)
                    return refusal(Refused(401, _WHO))
                return refusal(Refused(status_of(error), str(error)))
            except OSError as error:  # the disk
                _log.error("request_failed", error=type(error).__name__, reason=str(error))
                return refusal(Refused(503, "it could not be kept or read; try again later"))

        return answer


def app_routes(
    intake: Intake,
    authenticator: Authenticator,
    apps: NightscoutApps,
    store: Store,
    now: Now,
) -> list[Route]:
    """Nightscout's APIs, the first and the third, and what it says of the present. `now` is the platform's clock."""
    treatments = Treatments(store)
    first = NightscoutEndpoints(intake, authenticator, apps, store, treatments, now)
    third = NightscoutV3(intake, authenticator, apps, store, treatments, now)
    present = NightscoutPresent(authenticator, apps, store, now)
    return [*present.routes(), *first.routes(), *third.routes()]


def _collection(request: Request) -> str:
    collection: str = request.path_params["collection"]
    if collection not in COLLECTIONS:
        raise Refused(404, "Bad operation or collection")
    return collection


def _reading_name(device: Device, kind: Kind, document: Document) -> str:
    """What the reading in a document of `entries` is known by; "" where there is none."""
    value = next((name for name in ("sgv", "mbg") if document.get(name) is not None), None)
    ms = instant_ms(document.get("date"))
    return reading_identifier(device.patient, value, ms * _MS_US) if kind == "entries" and value and ms else ""


def _keeps(device: Device, document: Document, now_us: int) -> bool:
    """Whether something is kept of a document of `treatments`."""
    one = understood("treatments", device.id, at_time(document, now_us), from_us(now_us))
    return bool(one.entries or one.payloads)


def _is_all(device: Device, document: Document, known: _Known, now_us: int) -> bool:
    """Whether a document says all that was told of a treatment: what is patched in it is lost else."""
    one = understood("treatments", device.id, document, from_us(now_us))
    return frozenset(map(bare, one.entries)) == known.told.said
