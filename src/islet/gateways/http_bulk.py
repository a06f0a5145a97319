"""Up to a hundred changes of the registry in one call."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.decide import Action
from islet.errors import AlreadyExists, BadInput, IsletError, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import PreconditionFailed
from islet.gateways.http_body import read_body
from islet.gateways.http_registry import Authentication, Capabilities, DeviceBody, RegistryEndpoints, check, check_id
from islet.model.foreign_json import parse

_MOST: Final = 100
_CODES: Final[Mapping[type[IsletError], int]] = {
    AlreadyExists: 409001,
    NotFound: 404001,
    PreconditionFailed: 412002,
    BadInput: 400004,
}
_Mode = Literal["create", "update", "updateIfMatchETag", "createOrUpdate", "delete", "deleteIfMatchETag"]


class Item(Struct, rename="camel"):
    """One change."""

    id: str
    import_mode: _Mode = "createOrUpdate"
    etag: str = msgspec.field(name="eTag", default="")
    status: Literal["enabled", "disabled"] = "enabled"
    status_reason: str | None = None
    authentication: Authentication | None = None
    capabilities: Capabilities | None = None
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] | None = None
    patient: str | UnsetType = UNSET

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

    def __init__(self, authenticator: Authenticator, registry: RegistryEndpoints) -> None:
        self._authenticator = authenticator
        self._registry = registry
        self._changes: Mapping[_Mode, Callable[[Item, str], Awaitable[object]]] = {
            "create": lambda item, by: registry.put_device(item.body, None, by=by),
            "update": lambda item, by: registry.put_device(item.body, "*", by=by),
            "updateIfMatchETag": lambda item, by: registry.put_device(item.body, item.etag, by=by),
            "createOrUpdate": self._create_or_update,
            "delete": lambda item, by: registry.delete_device(item.id, "*", by=by),
            "deleteIfMatchETag": lambda item, by: registry.delete_device(item.id, item.etag, by=by),
        }

    async def post(self, request: Request) -> Response:
        """200 when all were done; 400 when one was not, with what went wrong for which. The others are done."""
        by = check(self._authenticator, request, "devices", Action.WRITE_REGISTRY)
        errors = [
            {"deviceId": item.id, "errorCode": code, "errorStatus": text}
            for item in _parse(await read_body(request))
            if (problem := await self.change(item, by)) is not None
            for code, text in [problem]
        ]
        body = {"isSuccessful": not errors, "errors": errors, "warnings": []}
        return JSONResponse(body, 400 if errors else 200)

    async def change(self, item: Item, by: str) -> tuple[int, str] | None:
        """Do one change for a hub policy; where it could not be done, what was wrong: IoT Hub's number, and words."""
        try:
            check_id(item.id)
            await self._changes[item.import_mode](item, by)
        except tuple(_CODES) as error:
            return next(code for kind, code in _CODES.items() if isinstance(error, kind)), str(error)
        return None

    async def _create_or_update(self, item: Item, by: str) -> None:
        try:
            await self._registry.put_device(item.body, None, by=by)
        except AlreadyExists:
            await self._registry.put_device(item.body, "*", by=by)


def _parse(content: bytes) -> list[Item]:
    items = parse(content, list[Item], "devices")
    if len(items) > _MOST:
        raise BadInput(f"devices: expected at most {_MOST} at a time", reason="schema")
    return items
