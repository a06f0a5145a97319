"""Up to a hundred changes of the registry in one call, and of tags and desired properties with them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.decide import Action
from islet.decode.iothub_twins import JsonObject, ServiceTwin, parse_service_twin
from islet.errors import AccessDenied, AlreadyExists, BadInput, IsletError, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import PreconditionFailed
from islet.gateways.http_body import read_body
from islet.gateways.http_registry import (
    STATUSES,
    Authentication,
    Capabilities,
    DeviceBody,
    RegistryEndpoints,
    check,
    check_id,
)
from islet.gateways.service_acts import ServiceActs
from islet.model.foreign_json import one_of, parse
from islet.store.devices_base import Address, EtagDiffers

_MOST: Final = 100
_CODES: Final[Mapping[type[IsletError], int]] = {
    AlreadyExists: 409001,
    NotFound: 404001,
    PreconditionFailed: 412002,
    EtagDiffers: 412002,
    BadInput: 400004,
    AccessDenied: 401002,
}
_MODES: Final = (
    "create",
    "update",
    "updateIfMatchETag",
    "createOrUpdate",
    "createOrUpdateIfMatchETag",
    "delete",
    "deleteIfMatchETag",
    "updateTwin",
    "updateTwinIfMatchETag",
)


class Item(Struct, rename="camel"):
    """One change. Only devices are changed so, no modules."""

    id: str
    module_id: str | None = None
    import_mode: str = "createOrUpdate"
    etag: str = msgspec.field(name="eTag", default="")
    status: str = "enabled"
    status_reason: str | None = None
    authentication: Authentication | None = None
    capabilities: Capabilities | None = None
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] | None = None
    patient: str | UnsetType = UNSET
    twin_etag: str | None = msgspec.field(name="twinETag", default=None)
    tags: JsonObject | None = None
    properties: JsonObject | None = None

    def __post_init__(self) -> None:
        self.import_mode, self.status = one_of(_MODES, self.import_mode), one_of(STATUSES, self.status)

    @property
    def twin(self) -> ServiceTwin:
        """What it says of the twin. Raises BadInput."""
        said = {"tags": self.tags, "properties": self.properties}
        return parse_service_twin({name: value for name, value in said.items() if value})

    @property
    def body(self) -> DeviceBody:
        return DeviceBody(
            device_id=self.id,
            status=self.status,
            status_reason=self.status_reason,
            authentication=self.authentication,
            capabilities=self.capabilities,
            device_scope=self.device_scope,
            parent_scopes=self.parent_scopes,
            patient=self.patient,
        )


class BulkEndpoint:
    """`POST /devices`."""

    def __init__(
        self, authenticator: Authenticator, registry: RegistryEndpoints, exchange: Exchange | None = None
    ) -> None:
        """Without an exchange there are no twins."""
        self._authenticator = authenticator
        self._registry = registry
        self._acts = None if exchange is None else ServiceActs(exchange, authenticator.trail)
        self._changes: Mapping[str, Callable[[Item, str], Awaitable[object]]] = {
            "create": lambda item, by: registry.put_device(item.body, None, by=by),
            "update": lambda item, by: registry.put_device(item.body, "*", by=by),
            "updateIfMatchETag": lambda item, by: registry.put_device(item.body, item.etag, by=by),
            "createOrUpdate": lambda item, by: self._create_or_update(item, "*", by),
            "createOrUpdateIfMatchETag": lambda item, by: self._create_or_update(item, item.etag, by),
            "delete": lambda item, by: registry.delete_device(item.id, "*", by=by),
            "deleteIfMatchETag": lambda item, by: registry.delete_device(item.id, item.etag, by=by),
            "updateTwin": lambda item, by: authenticator.registered(item.id),
            "updateTwinIfMatchETag": lambda item, by: authenticator.registered(item.id),
        }

    async def post(self, request: Request) -> Response:
        """200 when all were done; 400 when one was not, with what went wrong for which. The others are done."""
        by = check(self._authenticator, request, "devices", Action.WRITE_REGISTRY)
        twins = self.may_change_twins(request, "devices")
        errors = [
            {"deviceId": item.id, "errorCode": code, "errorStatus": text}
            for item in _parse(await read_body(request))
            if (problem := await self.change(item, by, twins=twins)) is not None
            for code, text in [problem]
        ]
        body = {"isSuccessful": not errors, "errors": errors, "warnings": []}
        return JSONResponse(body, 400 if errors else 200)

    def may_change_twins(self, request: Request, path: str) -> bool:
        """Whether the policy of a caller who was let in at that path grants what it takes to change one twin, too."""
        token = request.headers.get("authorization", "")
        return self._authenticator.decide(path, token, Action.COMMAND_DEVICES).allowed

    async def change(self, item: Item, by: str, *, twins: bool) -> tuple[int, str] | None:
        """Do one change for a hub policy, which may change `twins` or not; where it could not be done, what was wrong:
        IoT Hub's number, and words."""
        try:
            check_id(item.id)
            if item.module_id:
                raise BadInput("moduleId: expected none; modules are changed one at a time", reason="schema")
            wanted = _twin(item, allowed=twins)
            await self._changes[item.import_mode](item, by)
            if wanted is not None:
                await self._change_twin(item, wanted, by)
        except tuple(_CODES) as error:
            return next(code for kind, code in _CODES.items() if isinstance(error, kind)), str(error)
        return None

    async def _create_or_update(self, item: Item, etag: str, by: str) -> None:
        try:
            await self._registry.put_device(item.body, None, by=by)
        except AlreadyExists:
            await self._registry.put_device(item.body, etag, by=by)

    async def _change_twin(self, item: Item, wanted: ServiceTwin, by: str) -> None:
        """Merged; where a twin's etag is said, only that version."""
        if self._acts is None:
            raise BadInput("tags and properties: expected none; there are no twins here", reason="schema")
        device = await self._authenticator.registered(item.id)
        etag = item.twin_etag or (item.etag if item.import_mode == "updateTwinIfMatchETag" else "*")
        await self._acts.change_twin(
            by, Address(device.id, device.generation_id), wanted, etag=None if etag == "*" else etag.strip('"')
        )


def _twin(item: Item, *, allowed: bool) -> ServiceTwin | None:
    """What becomes of the twin; None: nothing. Raises AccessDenied and BadInput, before anything is done."""
    if item.import_mode in ("delete", "deleteIfMatchETag"):
        return None
    wanted = item.twin
    if wanted.tags is None and wanted.desired is None and not item.import_mode.startswith("updateTwin"):
        return None
    if not allowed:
        raise AccessDenied("tags and properties: expected a hub policy that grants ServiceConnect, too")
    return wanted


def _parse(content: bytes) -> list[Item]:
    items = parse(content, list[Item], "devices")
    if len(items) > _MOST:
        raise BadInput(f"devices: expected at most {_MOST} at a time", reason="schema")
    return items
