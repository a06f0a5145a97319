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
from islet.gateways.http_registry import Authentication, DeviceBody, RegistryEndpoints, check, check_id

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
    patient: str | UnsetType = UNSET

    @property
    def body(self) -> DeviceBody:
        return DeviceBody(
            device_id=self.id,
            status=self.status,
            status_reason=self.status_reason,
            authentication=self.authentication,
            patient=self.patient,
        )


class BulkEndpoint:
    """`POST /devices`."""

    def __init__(self, authenticator: Authenticator, registry: RegistryEndpoints) -> None:
        self._authenticator = authenticator
        self._registry = registry
        self._changes: Mapping[_Mode, Callable[[Item], Awaitable[object]]] = {
            "create": lambda item: registry.put_device(item.body, None),
            "update": lambda item: registry.put_device(item.body, "*"),
            "updateIfMatchETag": lambda item: registry.put_device(item.body, item.etag),
            "createOrUpdate": self._create_or_update,
            "delete": lambda item: registry.delete_device(item.id, "*"),
            "deleteIfMatchETag": lambda item: registry.delete_device(item.id, item.etag),
        }

    async def post(self, request: Request) -> Response:
        """200 when all were done; 400 when one was not, with what went wrong for which. The others are done."""
        check(self._authenticator, request, "devices", Action.WRITE_REGISTRY)
        errors = [
            {"deviceId": item.id, "errorCode": code, "errorStatus": text}
            for item in _parse(await read_body(request))
            if (problem := await self.change(item)) is not None
            for code, text in [problem]
        ]
        body = {"isSuccessful": not errors, "errors": errors, "warnings": []}
        return JSONResponse(body, 400 if errors else 200)

    async def change(self, item: Item) -> tuple[int, str] | None:
        """Do one change; what was wrong with it, as a number of IoT Hub's and in words, where it could not be done."""
        try:
            check_id(item.id)
            await self._changes[item.import_mode](item)
        except tuple(_CODES) as error:
            return next(code for kind, code in _CODES.items() if isinstance(error, kind)), str(error)
        return None

    async def _create_or_update(self, item: Item) -> None:
        try:
            await self._registry.put_device(item.body, None)
        except AlreadyExists:
            await self._registry.put_device(item.body, "*")


def _parse(content: bytes) -> list[Item]:
    try:
        items = msgspec.json.decode(content, type=list[Item])
    except msgspec.ValidationError as error:
        raise BadInput(f"devices: {error}", reason="schema") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("devices: expected a JSON array in UTF-8", reason="json") from None
    if len(items) > _MOST:
        raise BadInput(f"devices: expected at most {_MOST} at a time", reason="schema")
    return items
