"""Digital twins over HTTPS, for services: Plug and Play properties and commands (`/digitaltwins`)."""

import secrets
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_digital_twins import Operation, desired_changes, digital_twin, parse_operations
from islet.decode.iothub_twins import MOST_PROPERTY_BYTES, ServiceTwin, Twin
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import TooLarge
from islet.gateways.http_body import read_body
from islet.gateways.http_twins import parse_call, shown_answer
from islet.gateways.service_acts import ActKind, ServiceActs
from islet.store.devices_base import Address, EtagDiffers

_MOST_PATCH_BYTES = 4 * MOST_PROPERTY_BYTES


class DigitalTwinEndpoints:
    """Handlers; each checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange) -> None:
        self._authenticator, self._exchange = authenticator, exchange
        self._acts = ServiceActs(exchange, authenticator.trail)

    async def get(self, request: Request) -> Response:
        of, _ = await self._about(request)
        twin = await self._exchange.twin(of)
        return JSONResponse(digital_twin(of.device, twin), headers={"ETag": f'"{twin.etag}"'})

    async def patch(self, request: Request) -> Response:
        """202: the device is told, and answers when it has done so; 412 when If-Match names another version."""
        of, by = await self._about(request)
        body = await read_body(request)
        if len(body) > _MOST_PATCH_BYTES:
            raise TooLarge(f"body: expected at most {_MOST_PATCH_BYTES} bytes")
        operations = parse_operations(body)
        etag = request.headers.get("if-match", "*").strip('"')
        await self._acts.allowed(by, of, ActKind.CONFIGURATION)
        twin = await self._changed(of, operations, None if etag == "*" else etag)
        location = f"https://{self._authenticator.hub_name}/digitaltwins/{quote(of.device, safe='')}"
        return Response(status_code=202, headers={"ETag": f'"{twin.etag}"', "Location": location})

    async def _changed(self, of: Address, operations: list[Operation], etag: str | None) -> Twin:
        """The twin as it is then. What is to be done depends on what is there, so it is done to that or again."""
        while True:
            before = await self._exchange.twin(of)
            wanted = ServiceTwin(desired=desired_changes(operations, before.desired.values))
            try:
                return await self._exchange.change_twin(of, wanted, etag=etag or before.etag)
            except EtagDiffers:
                if etag is not None:
                    raise

    async def invoke(self, request: Request) -> Response:
        """200 with the device's answer, its status in a header; 404 and 504 as for methods."""
        of, by = await self._about(request)
        part, name = request.path_params.get("part", ""), request.path_params["name"]
        payload = msgspec.Raw(await read_body(request) or b"null")
        asked: dict[str, object] = {"methodName": f"{part}*{name}" if part else name, "payload": payload}
        for key in ("connectTimeoutInSeconds", "responseTimeoutInSeconds"):
            if key in request.query_params:
                asked[key] = _seconds(request.query_params[key])
        call = parse_call(msgspec.json.encode(asked))
        status, answer = await self._acts.invoke(
            by, of, call.method_name, bytes(call.payload), answer_s=call.answer_s, connect_s=call.connect_s
        )
        headers = {"x-ms-command-statuscode": str(status), "x-ms-request-id": secrets.token_hex(16)}
        return JSONResponse(shown_answer(answer), headers=headers)

    async def _about(self, request: Request) -> tuple[Address, str]:
        """Whose twin it is, and the hub policy that asks."""
        id = request.path_params["id"]
        by = self._authenticator.check_service(f"digitaltwins/{id}", request.headers.get("authorization", ""))
        device = await self._authenticator.registered(id)
        return Address(device.id, device.generation_id), by


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise BadInput("timeouts: expected whole seconds", reason="schema")
    return int(text)
