"""Twins and methods over HTTPS, for services."""

import asyncio

import msgspec
from msgspec import Struct, field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_twins import (
    MOST_PROPERTY_BYTES,
    Json,
    JsonObject,
    Twin,
    parse_object,
    parse_service_twin,
    service_twin,
)
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange, client_id
from islet.gateways.http_answers import NEVER, ModuleNotFound, TooLarge, seen_text, thumbprints_json
from islet.gateways.http_body import read_body
from islet.gateways.method_calls import MOST_METHOD_BYTES
from islet.gateways.service_acts import ServiceActs
from islet.model.foreign_json import UNREADABLE
from islet.model.people import Device
from islet.store.devices_base import Activity, Address

_MOST_TWIN_BYTES = 4 * MOST_PROPERTY_BYTES  # with metadata, as a service that read it sends it back


class Call(Struct, rename="camel"):
    """What a service asks of a device."""

    method_name: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    answer_s: float = field(name="responseTimeoutInSeconds", default=30.0)
    connect_s: float = field(name="connectTimeoutInSeconds", default=0.0)


class TwinEndpoints:
    """Handlers; each checks the caller's rights itself. A path with `module` is about a module."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange) -> None:
        self._authenticator = authenticator
        self._exchange = exchange
        self._acts = ServiceActs(exchange, authenticator.trail)

    async def get(self, request: Request) -> Response:
        device, of, _ = await self._about(request)
        return await self._answer(device, of, await self._exchange.twin(of))

    async def patch(self, request: Request) -> Response:
        """200 with the twin, merged; 412 when If-Match names another version."""
        return await self._change(request, whole=False)

    async def post(self, request: Request) -> Response:
        """A patch of the SDK for Java, whose HTTP library has no such method; 405 without its header."""
        if request.headers.get("x-http-method-override", "").upper() == "PATCH":
            return await self.patch(request)
        await self._about(request)
        raise HTTPException(405)

    async def put(self, request: Request) -> Response:
        """200 with the twin; tags and desired properties that were sent take the place of the present ones."""
        return await self._change(request, whole=True)

    async def _change(self, request: Request, *, whole: bool) -> Response:
        device, of, by = await self._about(request)
        body = await read_body(request)
        if len(body) > _MOST_TWIN_BYTES:
            raise TooLarge(f"body: expected at most {_MOST_TWIN_BYTES} bytes")
        wanted = parse_service_twin(parse_object(body))
        etag = request.headers.get("if-match", "*").strip('"')
        twin = await self._acts.change_twin(by, of, wanted, whole=whole, etag=None if etag == "*" else etag)
        return await self._answer(device, of, twin)

    async def invoke(self, request: Request) -> Response:
        """200 with the device's own status and answer; 404 when it is not connected, 504 when it does not answer."""
        _, of, by = await self._about(request)
        call = parse_call(await read_body(request))
        status, answer = await self._acts.invoke(
            by, of, call.method_name, bytes(call.payload), answer_s=call.answer_s, connect_s=call.connect_s
        )
        return JSONResponse({"status": status, "payload": shown_answer(answer)})

    async def _about(self, request: Request) -> tuple[Device, Address, str]:
        """The device, whose twin it is, and the hub policy that asks."""
        id, module_id = request.path_params["id"], request.path_params.get("module", "")
        path = f"twins/{id}/modules/{module_id}" if module_id else f"twins/{id}"
        by = self._authenticator.check_service(path, request.headers.get("authorization", ""))
        device = await self._authenticator.registered(id)
        if not module_id:
            return device, Address(device.id, device.generation_id), by
        module = await asyncio.to_thread(self._exchange.devices.module, id, module_id)
        if module is None:
            raise ModuleNotFound(f"Module with ID '{module_id}' is not registered.")
        return device, Address(id, module.generation_id, module_id), by

    async def _answer(self, device: Device, of: Address, twin: Twin) -> Response:
        connected = self._exchange.presence.link(client_id(of)) is not None
        await self._exchange.note_activity()
        seen = await self._exchange.write(lambda: self._exchange.devices.activity(of.device))
        activity = seen.get((of.device, of.module))
        body = twin_json(device, twin, connected=connected, module=of.module, activity=activity)
        return JSONResponse(body, headers={"ETag": f'"{twin.etag}"'})


def twin_json(
    device: Device,
    twin: Twin,
    *,
    connected: bool,
    module: str = "",
    pending: int = 0,
    activity: Activity | None = None,
) -> JsonObject:
    """A twin as services see it; with the parts of the identity that IoT Hub shows beside it."""
    return {
        "deviceId": device.id,
        **({"moduleId": module} if module else {}),
        "deviceEtag": device.etag,
        "status": "enabled" if device.enabled else "disabled",
        "statusReason": device.status_reason or None,
        "statusUpdateTime": NEVER,
        "connectionState": "Connected" if connected else "Disconnected",
        "lastActivityTime": seen_text(activity),
        "cloudToDeviceMessageCount": pending,
        "authenticationType": device.authentication,
        "x509Thumbprint": {**thumbprints_json(device)},
        "modelId": twin.model_id,
        "capabilities": {"iotEdge": device.edge and not module},
        **service_twin(twin),
    }


def parse_call(body: bytes) -> Call:
    """A method call as services send it. Raises BadInput and TooLarge."""
    try:
        call = msgspec.json.decode(body, type=Call)
    except UNREADABLE:
        raise BadInput("method: expected a JSON object with methodName", reason="schema") from None
    if not 1 <= len(call.method_name) <= 100:
        raise BadInput("methodName: expected 1 to 100 characters", reason="schema")
    if not (5 <= call.answer_s <= 300 and 0 <= call.connect_s <= 300):
        raise BadInput(
            "method: expected responseTimeoutInSeconds from 5 to 300, connectTimeoutInSeconds from 0 to 300",
            reason="schema",
        )
    if len(call.payload) > MOST_METHOD_BYTES:
        raise TooLarge(f"payload: expected at most {MOST_METHOD_BYTES} bytes")
    return call


def shown_answer(answer: bytes) -> Json:
    """A device answers with JSON or nothing; what is neither is shown as text."""
    try:
        shown: Json = msgspec.json.decode(answer) if answer else None
    except UNREADABLE:
        return answer.decode(errors="replace")
    return shown
