"""The front door for HTTPS: IoT Hub's device endpoints, and the routes of its registry."""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.decode.iothub import parse_identity
from islet.decode.telemetry import Arrival
from islet.errors import BadInput, NotFound, ProtocolError
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import Crowded, Handler, NotCommitted, endpoint
from islet.gateways.http_body import read_body
from islet.gateways.http_registry import RegistryEndpoints
from islet.gateways.intake import Intake
from islet.model.people import Device
from islet.model.time import Now
from islet.store.base import Registry

BATCH_TYPE = "application/vnd.microsoft.iothub.json"
_SYSTEM_PROPERTIES = {
    "iothub-messageid": "$.mid",
    "iothub-correlationid": "$.cid",
    "iothub-userid": "$.uid",
    "iothub-contenttype": "$.ct",
    "iothub-contentencoding": "$.ce",
    "iothub-expiry": "$.exp",
    "iothub-to": "$.to",
}
_APPLICATION_PREFIX = "iothub-app-"


def routes(
    intake: Intake, authenticator: Authenticator, registry: Registry, now: Now, is_connected: Callable[[str], bool]
) -> list[Route]:
    """IoT Hub's paths for devices and for its registry; `is_connected` is the MQTT server's.

    Made for the event loop that `intake` belongs to.
    """
    door = DeviceEndpoints(intake, authenticator)
    identities = RegistryEndpoints(authenticator, registry, now, is_connected)

    def route(method: str, path: str, handler: Handler) -> Route:
        return Route(path, endpoint(handler, now), methods=[method])

    return [
        route("POST", "/devices/{id}/messages/events", door.post_events),
        route("GET", "/devices/{id}/messages/{box}", door.get_command),
        route("PUT", "/devices/{id}", identities.put),
        route("GET", "/devices/{id}", identities.get),
        route("DELETE", "/devices/{id}", identities.delete),
        route("GET", "/devices", identities.list_devices),
        route("GET", "/devices/", identities.list_devices),  # the Node SDK writes it with a slash
        route("GET", "/statistics/devices", identities.device_statistics),
        route("GET", "/statistics/service", identities.service_statistics),
    ]


class _Item(Struct):
    """One message of a batch."""

    body: str
    base64_encoded: bool = field(name="base64Encoded", default=True)
    properties: dict[str, str] = {}


class DeviceEndpoints:
    """What devices call; each handler checks the device's token itself."""

    def __init__(self, intake: Intake, authenticator: Authenticator) -> None:
        self._intake = intake
        self._authenticator = authenticator

    async def post_events(self, request: Request) -> Response:
        """204 once every message is in the log: as an event, or as a dead letter."""
        device = self._admitted(request)
        if self._intake.crowded:
            raise Crowded("expected fewer messages at a time; try again in a second")
        content = await read_body(request)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == BATCH_TYPE:
            messages = [(_payload(item), _properties(item.properties.items())) for item in _items(content)]
        else:
            messages = [(content, _properties(request.headers.items()))]
        await self._committed([Arrival(device.id, device.patient, *message) for message in messages])
        return Response(status_code=204)

    async def get_command(self, request: Request) -> Response:
        """204: nothing waits for the device. SDKs spell the path in two ways."""
        if request.path_params["box"].lower() != "devicebound":
            raise NotFound("expected /messages/events or /messages/deviceBound")
        self._admitted(request)
        return Response(status_code=204)

    def _admitted(self, request: Request) -> Device:
        try:
            identity = parse_identity(request.path_params["id"])
        except ProtocolError as error:
            raise BadInput(str(error), reason="device_id") from None
        device, _ = self._authenticator.admit_device(identity, request.headers.get("authorization", ""))
        return device

    async def _committed(self, arrivals: Sequence[Arrival]) -> None:
        """Wait until all are durable. Raises NotCommitted when one of them is not."""
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(arrivals)

        def done(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if finished.done():  # failed, or the caller has gone
                return
            if error is not None:
                finished.set_exception(NotCommitted("the log could not commit; send it again"))
            elif not left:
                finished.set_result(None)

        for arrival in arrivals:
            self._intake.offer(arrival, done)
        if arrivals:
            await finished


def _items(content: bytes) -> list[_Item]:
    try:
        return msgspec.json.decode(content, type=list[_Item])
    except msgspec.ValidationError as error:
        raise BadInput(f"batch: {error}", reason="schema") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("batch: expected a JSON array of messages", reason="json") from None


def _payload(item: _Item) -> bytes:
    if not item.base64_encoded:
        return item.body.encode()
    try:
        return base64.b64decode(item.body, validate=True)
    except ValueError:
        raise BadInput("batch: expected base64 in each body", reason="schema") from None


def _properties(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The message's properties among HTTP headers, by the names that MQTT has for them."""
    properties = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _SYSTEM_PROPERTIES:
            properties[_SYSTEM_PROPERTIES[lower]] = value
        elif lower.startswith(_APPLICATION_PREFIX):
            properties[name[len(_APPLICATION_PREFIX) :]] = value
    return properties
