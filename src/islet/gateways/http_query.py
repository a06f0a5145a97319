"""Device queries over HTTPS, page by page."""

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_query import Query, parse_query
from islet.decode.iothub_twins import UNWRITTEN, JsonObject
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_body import read_body
from islet.gateways.http_jobs import step_json
from islet.gateways.http_twins import twin_json
from islet.model.foreign_json import UNREADABLE
from islet.store.base import Registry
from islet.store.devices_base import MOST_DEVICES, Address, Devices

_MOST_ITEMS: Final = 1000
_MOST_DIGITS: Final = 10


class _Asked(Struct):
    query: str = ""
    spelt_large: str = msgspec.field(default="", name="Query")  # IoT Hub takes either, and clients in Go send this


class QueryEndpoint:
    """`POST /devices/query`."""

    def __init__(self, authenticator: Authenticator, registry: Registry, exchange: Exchange) -> None:
        self._authenticator = authenticator
        self._registry = registry
        self._exchange = exchange

    async def query(self, request: Request) -> Response:
        """200 with a page; the header `x-ms-continuation` is there when there is another one."""
        self._authenticator.check_service("devices/query", request.headers.get("authorization", ""))
        query = _parse(await read_body(request))
        most = _most(request.headers.get("x-ms-max-item-count", ""))
        after = _after(request.headers.get("x-ms-continuation", ""))
        online = self._exchange.presence.online()
        store, registry = self._exchange.devices, self._registry

        def documents() -> list[JsonObject]:
            if query.jobs:
                return job_documents(store)
            return device_documents(registry, store, modules=query.modules, online=online)

        found = await self._exchange.write(lambda: [one for one in documents() if query.matches(one)])
        for one in found if query.jobs else ():
            del one["devices"]
        if query.aggregates:
            return _page_of_groups(query.rows(found)[: query.top or None], most, after)
        rest = [one for one in found[: query.top or None] if _place(one) > after]
        headers = {"x-ms-item-type": "Raw" if query.columns else "DeviceJob" if query.jobs else "Twin"}
        if len(rest) > most:
            headers["x-ms-continuation"] = _continuation(_place(rest[most - 1]))
        return JSONResponse([query.shown(one) for one in rest[:most]], headers=headers)


def device_documents(registry: Registry, store: Devices, *, modules: bool, online: frozenset[str]) -> list[JsonObject]:
    """The twins of all devices, or of all modules, in the order of their ids."""
    twins, pending, seen = store.twins(), store.pending_commands(), store.activity()
    documents = []
    for device in registry.devices():
        if modules:
            for module in store.modules(device.id):
                twin = twins.get(Address(device.id, module.generation_id, module.id), UNWRITTEN)
                connected = f"{device.id}/{module.id}" in online
                activity = seen.get((device.id, module.id))
                documents.append(twin_json(device, twin, connected=connected, module=module.id, activity=activity))
        else:
            twin = twins.get(Address(device.id, device.generation_id), UNWRITTEN)
            waiting, activity, connected = pending.get(device.id, 0), seen.get((device.id, "")), device.id in online
            documents.append(twin_json(device, twin, connected=connected, pending=waiting, activity=activity))
    return documents


def job_documents(store: Devices) -> list[JsonObject]:
    """Every device of every job, as `FROM devices.jobs` shows it, in the order of both ids."""
    documents: list[JsonObject] = []
    for state in store.jobs():
        for step in store.job_steps(state.job.id, limit=MOST_DEVICES):
            document = step_json(state, step)
            documents.append({**document, "devices": {"jobs": document}})  # names in a query may have this in front
    return sorted(documents, key=_place)


def _place(document: JsonObject) -> str:
    """Sorts as the documents do."""
    return f"{document['deviceId']}\0{document.get('moduleId', '')}\0{document.get('jobId', '')}"


def _page_of_groups(rows: list[JsonObject], most: int, after: str) -> Response:
    """Behind as many as earlier pages had."""
    begin = int(after) if after.isascii() and after.isdigit() and len(after) < _MOST_DIGITS else 0
    headers = {"x-ms-item-type": "Raw"}
    if len(rows) > begin + most:
        headers["x-ms-continuation"] = _continuation(str(begin + most))
    return JSONResponse(rows[begin : begin + most], headers=headers)


def _continuation(place: str) -> str:
    return base64.b64encode(place.encode()).decode()


def _parse(body: bytes) -> Query:
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except UNREADABLE:
        asked = _Asked()
    text = asked.query or asked.spelt_large
    if not text:
        raise BadInput('expected {"query": "SELECT …"}', reason="schema")
    return parse_query(text)


def _most(text: str) -> int:
    if not text:
        return _MOST_ITEMS
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise BadInput("x-ms-max-item-count: expected a number above 0", reason="schema")
    return min(int(text), _MOST_ITEMS)


def _after(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadInput("x-ms-continuation: expected what an earlier page said", reason="schema") from None
