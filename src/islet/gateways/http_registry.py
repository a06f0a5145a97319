"""The identity registry over HTTPS: devices are made, read, changed and removed with a hub policy's token.

Paths, conditions and status codes are IoT Hub's. Ours is one field: `patient`, whom the device belongs to.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.decide import Action
from islet.access.sas import is_key, new_key
from islet.access.x509 import parse_thumbprint
from islet.decode.iothub import DEVICE_ID
from islet.errors import AlreadyExists, BadInput, NotFound
from islet.gateways.authenticate import Authenticator, new_device
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import PreconditionFailed, device_answer, device_json
from islet.gateways.http_body import number_in, read_body
from islet.model.foreign_json import one_of, parse
from islet.model.people import AuthenticationKind, Device
from islet.model.time import Now
from islet.store.base import Registry
from islet.store.device_changes import new_etag
from islet.store.devices_base import Activity, EtagDiffers

MOST_LISTED = 1000
STATUSES: Final = ("enabled", "disabled")
_SCOPE: Final = "ms-azure-iot-edge://"

_Kept = tuple[dict[str, int], dict[tuple[str, str], Activity]]


class Keys(Struct, rename="camel"):
    """Base64; None: as they are, or new ones."""

    primary_key: str | None = None
    secondary_key: str | None = None


class Thumbprints(Struct, rename="camel"):
    """SHA-1 or SHA-256 in hexadecimal digits; None: there is none."""

    primary_thumbprint: str | None = None
    secondary_thumbprint: str | None = None


class Authentication(Struct, rename="camel"):
    """How a device proves who it is."""

    type: AuthenticationKind = "sas"
    symmetric_key: Keys | None = None
    x509_thumbprint: Thumbprints | None = msgspec.field(name="x509Thumbprint", default=None)


class Capabilities(Struct, rename="camel"):
    iot_edge: bool = False


class DeviceBody(Struct, rename="camel"):
    """A device as services send it."""

    device_id: str
    status: str = "enabled"
    status_reason: str | None = None
    authentication: Authentication | None = None
    capabilities: Capabilities | None = None
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] | None = None
    patient: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.status = one_of(STATUSES, self.status)


class RegistryEndpoints:
    """Handlers; each checks the caller's rights itself."""

    def __init__(
        self,
        authenticator: Authenticator,
        registry: Registry,
        now: Now,
        is_connected: Callable[[str], bool],
        exchange: Exchange | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._registry = registry
        self._now = now
        self._is_connected = is_connected
        self._exchange = exchange
        self._writing = asyncio.Lock()

    async def put(self, request: Request) -> Response:
        """200 with the device; 409 for a second one without If-Match, 412 and 404 for an update of another or none."""
        device_id = _device_id(request)
        by = self._check(request, f"devices/{device_id}", Action.WRITE_REGISTRY)
        body = _parse(await read_body(request), device_id)
        return await self._answer(await self.put_device(body, request.headers.get("if-match"), by=by))

    async def get(self, request: Request) -> Response:
        device_id = _device_id(request)
        self._check(request, f"devices/{device_id}", Action.READ_REGISTRY)
        return await self._answer(await self._authenticator.registered(device_id))

    async def delete(self, request: Request) -> Response:
        """204; 412 when If-Match is there and names another version."""
        device_id = _device_id(request)
        by = self._check(request, f"devices/{device_id}", Action.WRITE_REGISTRY)
        await self.delete_device(device_id, request.headers.get("if-match", "*"), by=by)
        return Response(status_code=204)

    async def list_devices(self, request: Request) -> Response:
        """At most `top` devices, 1,000 where it is not given."""
        self._check(request, "devices", Action.READ_REGISTRY)
        top = number_in(request.query_params.get("top", str(MOST_LISTED)), "top", MOST_LISTED)
        devices = await asyncio.to_thread(self._registry.devices)
        pending, seen = await self._kept(None)
        return JSONResponse([self._json(device, pending, seen) for device in devices[:top]])

    async def device_statistics(self, request: Request) -> Response:
        self._check(request, "statistics/devices", Action.READ_REGISTRY)
        devices = await asyncio.to_thread(self._registry.devices)
        enabled = sum(device.enabled for device in devices)
        counts = {
            "totalDeviceCount": len(devices),
            "enabledDeviceCount": enabled,
            "disabledDeviceCount": len(devices) - enabled,
        }
        return JSONResponse(counts)

    async def service_statistics(self, request: Request) -> Response:
        self._check(request, "statistics/service", Action.READ_REGISTRY)
        devices = await asyncio.to_thread(self._registry.devices)
        return JSONResponse({"connectedDeviceCount": sum(self._is_connected(device.id) for device in devices)})

    async def put_device(self, body: DeviceBody, if_match: str | None, *, by: str) -> Device:
        """The device as it is then, made where `if_match` is None; `by`: the hub policy whose act it is. Raises
        AlreadyExists, NotFound, BadInput and PreconditionFailed."""
        async with self._writing:
            return await asyncio.to_thread(self._put, body, if_match, by)

    async def delete_device(self, id: str, if_match: str, *, by: str) -> None:
        """With its commands, twins and modules. Raises NotFound and PreconditionFailed."""
        async with self._writing:
            await asyncio.to_thread(self._delete, id, if_match, by)
        exchange = self._exchange
        if exchange is not None:
            await exchange.write(lambda: exchange.devices.forget(id))

    def _check(self, request: Request, path: str, action: Action) -> str:
        return check(self._authenticator, request, path, action)

    async def _kept(self, device: str | None) -> _Kept:
        """How many commands wait for whom, and who was there when; of one device or all."""
        if self._exchange is None:
            return {}, {}
        await self._exchange.note_activity()
        kept = self._exchange.devices
        return await self._exchange.write(lambda: (kept.pending_commands(), kept.activity(device)))

    def _put(self, body: DeviceBody, if_match: str | None, by: str) -> Device:
        id = body.device_id
        known = self._registry.device(id)
        if if_match is None:
            if known is not None:
                raise AlreadyExists(f"A device with ID '{id}' is already registered.")
            device = self._changed(new_device(id, self._now()), body)
            self._registry.create_device(device)
            action = f"added, assigned to {device.patient}" if device.patient else "added"
            self._registry.note(action, "device", id, by=by, at_us=self._now())
            return device
        before = _matching(known, id, if_match)
        device = self._changed(before, body)
        action = _action("changed", before, device)
        try:
            self._registry.change_device(device, action, etag=before.etag, by=by, at_us=self._now())
        except EtagDiffers:  # somebody at a page or a command line was faster
            return self._put(body, if_match, by)
        return device

    def _changed(self, device: Device, body: DeviceBody) -> Device:
        """The device as the body wants it; keys and patient that the body does not name stay."""
        patient = device.patient if body.patient is UNSET else body.patient
        if patient and self._registry.patient(patient) is None:
            raise BadInput("patient: expected one who is registered", reason="patient")
        return structs.replace(
            device,
            patient=patient,
            enabled=body.status == "enabled",
            status_reason=body.status_reason or "",
            **_credentials(device, body.authentication),
            **self._place(device, body),
            etag=new_etag(),
        )

    def _place(self, device: Device, body: DeviceBody) -> dict[str, object]:
        """Whether it is a gateway, and behind which one it is. What the body does not name stays."""
        edge = device.edge if body.capabilities is None else body.capabilities.iot_edge
        own = f"{_SCOPE}{device.id}-{device.generation_id}"
        present = device.parent_scope if device.edge else device.scope
        above = None if body.parent_scopes is None else "".join(body.parent_scopes[:1])
        if not edge and body.device_scope is not None:
            above = body.device_scope
        if above is None or above == own:
            above = present
        if above not in ("", present):
            above = self._gateway_scope(above)
        if edge:
            return {"edge": True, "scope": own, "parent_scope": above}
        return {"edge": False, "scope": above, "parent_scope": ""}

    def _gateway_scope(self, scope: str) -> str:
        """The scope of the gateway that a scope names, also by an earlier registration of it: so a file of devices can
        be imported. Raises BadInput."""
        id = scope.removeprefix(_SCOPE).rpartition("-")[0]
        known = self._registry.device(id) if scope.startswith(_SCOPE) else None
        if known is None or not known.edge:
            raise BadInput("deviceScope: expected that of a device with the capability iotEdge", reason="scope")
        return known.scope

    def _delete(self, id: str, if_match: str, by: str) -> None:
        _matching(self._registry.device(id), id, if_match)
        self._registry.delete_device(id)
        self._registry.note("removed", "device", id, by=by, at_us=self._now())

    async def _answer(self, device: Device) -> Response:
        pending, seen = await self._kept(device.id)
        waiting, activity = pending.get(device.id, 0), seen.get((device.id, ""))
        return device_answer(device, connected=self._is_connected(device.id), pending=waiting, activity=activity)

    def _json(
        self, device: Device, pending: dict[str, int], seen: dict[tuple[str, str], Activity]
    ) -> dict[str, object]:
        waiting, activity = pending.get(device.id, 0), seen.get((device.id, ""))
        return device_json(device, connected=self._is_connected(device.id), pending=waiting, activity=activity)


def check(authenticator: Authenticator, request: Request, path: str, action: Action) -> str:
    """The hub policy, for the audit trail. Raises AccessDenied unless the caller has a token of one for that endpoint
    which grants the action."""
    return authenticator.check(path, request.headers.get("authorization", ""), action)


def _credentials(device: Device, wanted: Authentication | None) -> dict[str, str]:
    """Keys or thumbprints of the device, as the body wants them. Raises BadInput."""
    if wanted is None:
        return {}
    if wanted.type == "sas":
        keys = wanted.symmetric_key or Keys()
        return {
            "authentication": "sas",
            "primary_key": chosen_key(keys.primary_key, device.primary_key or new_key()),
            "secondary_key": chosen_key(keys.secondary_key, device.secondary_key or new_key()),
            "primary_thumbprint": "",
            "secondary_thumbprint": "",
        }
    given = (wanted.x509_thumbprint if wanted.type == "selfSigned" else None) or Thumbprints()
    primary = parse_thumbprint(given.primary_thumbprint or "")
    if wanted.type == "selfSigned" and not primary:
        raise BadInput("x509Thumbprint: expected a primaryThumbprint for selfSigned", reason="schema")
    return {
        "authentication": wanted.type,
        "primary_key": "",
        "secondary_key": "",
        "primary_thumbprint": primary,
        "secondary_thumbprint": parse_thumbprint(given.secondary_thumbprint or ""),
    }


def chosen_key(wanted: str | None, present: str) -> str:
    if not wanted:
        return present
    if not is_key(wanted):
        raise BadInput("symmetricKey: expected base64 of 16 to 64 bytes", reason="key")
    return wanted


def _action(action: str, before: Device, after: Device) -> str:
    """What the audit trail says."""
    said = [action]
    if after.patient != before.patient:
        said.append(f"assigned to {after.patient or 'nobody'}")
    if after.enabled != before.enabled:
        said.append("enabled" if after.enabled else "disabled")
    if (after.primary_key, after.secondary_key) != (before.primary_key, before.secondary_key):
        said.append("keys renewed")
    return ", ".join(said)


def _matching(known: Device | None, id: str, if_match: str) -> Device:
    device = _found(known, id)
    if if_match not in ("*", '"*"') and if_match.strip('"') != device.etag:
        raise PreconditionFailed("expected If-Match to be the device's present etag, or *; read it again")
    return device


def _found(device: Device | None, id: str) -> Device:
    if device is None:
        raise NotFound(f"Device with ID '{id}' is not registered.")
    return device


def _device_id(request: Request) -> str:
    device_id: str = request.path_params["id"]
    check_id(device_id)
    return device_id


def check_id(id: str) -> None:
    """Raises BadInput for what is no id of a device or module."""
    if not DEVICE_ID.fullmatch(id):
        raise BadInput(
            "device id: expected 1 to 128 characters of A-Z a-z 0-9 and - . + % _ # * ? ! ( ) , = @ $ '",
            reason="device_id",
        )


def _parse(content: bytes, id: str) -> DeviceBody:
    body = parse(content, DeviceBody, "device")
    if body.device_id != id:
        raise BadInput("deviceId: expected the same as in the path", reason="schema")
    return body
