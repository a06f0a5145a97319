"""Modules of devices over HTTPS."""

import asyncio
import base64
import secrets
from typing import Final

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.decide import Action
from islet.access.sas import new_key
from islet.errors import AlreadyExists, BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import NEVER, ModuleNotFound, PreconditionFailed
from islet.gateways.http_body import read_body
from islet.gateways.http_registry import Authentication, Keys, check, check_id, chosen_key
from islet.model.foreign_json import parse
from islet.store.devices_base import Module

_MOST: Final = 50


class _Body(Struct, rename="camel"):
    device_id: str
    module_id: str
    managed_by: str | None = None
    authentication: Authentication | None = None


class ModuleEndpoints:
    """Handlers; each checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange) -> None:
        self._authenticator = authenticator
        self._exchange = exchange
        self._modules = exchange.devices

    async def list_modules(self, request: Request) -> Response:
        device = request.path_params["id"]
        self._check(request, Action.READ_REGISTRY)
        await self._authenticator.registered(device)
        found = await self._exchange.write(lambda: self._modules.modules(device))
        return JSONResponse([self._json(module) for module in found])

    async def get(self, request: Request) -> Response:
        self._check(request, Action.READ_REGISTRY)
        device, id = request.path_params["id"], request.path_params["module"]
        return self._answer(await self._exchange.write(lambda: self._found(device, id)))

    async def put(self, request: Request) -> Response:
        """201 with a new module, 200 with a changed one; 409, 412 and 404 as for devices."""
        by = self._check(request, Action.WRITE_REGISTRY)
        device, id = request.path_params["id"], request.path_params["module"]
        check_id(id)
        await self._authenticator.registered(device)
        body, if_match = _parse(await read_body(request), device, id), request.headers.get("if-match")
        module = await self._exchange.write(lambda: self._put(body, if_match))
        await self._done("added" if if_match is None else "changed", module.device, module.id, by)
        return self._answer(module, 201 if if_match is None else 200)

    async def delete(self, request: Request) -> Response:
        by = self._check(request, Action.WRITE_REGISTRY)
        device, id = request.path_params["id"], request.path_params["module"]
        if_match = request.headers.get("if-match", "*")
        await self._exchange.write(lambda: self._delete(device, id, if_match))
        await self._done("removed", device, id, by)
        return Response(status_code=204)

    async def _done(self, action: str, device: str, id: str, by: str) -> None:
        """Whoever is connected with the module's credential is looked at again; and a line of the audit trail."""
        self._authenticator.modules_changed()
        await asyncio.to_thread(self._authenticator.note, action, "module", f"{device}/{id}", by)

    def _check(self, request: Request, action: Action) -> str:
        return check(self._authenticator, request, f"devices/{request.path_params['id']}/modules", action)

    def _put(self, body: _Body, if_match: str | None) -> Module:
        known = self._modules.module(body.device_id, body.module_id)
        if if_match is None:
            if known is not None:
                raise AlreadyExists(f"A module with ID '{body.module_id}' is already registered for this device.")
            if len(self._modules.modules(body.device_id)) >= _MOST:
                raise BadInput(f"modules: expected at most {_MOST} for a device", reason="modules")
            fresh = Module(
                device=body.device_id,
                id=body.module_id,
                generation_id=str(secrets.randbelow(10**18)),
                primary_key=new_key(),
                secondary_key=new_key(),
            )
            module = _changed(fresh, body)
            self._modules.create_module(module)
            return module
        module = _changed(_matching(self._found(body.device_id, body.module_id), if_match), body)
        self._modules.update_module(module)
        return module

    def _delete(self, device: str, id: str, if_match: str) -> None:
        _matching(self._found(device, id), if_match)
        self._modules.delete_module(device, id)

    def _found(self, device: str, id: str) -> Module:
        module = self._modules.module(device, id)
        if module is None:
            raise ModuleNotFound(f"Module with ID '{id}' is not registered.")
        return module

    def _answer(self, module: Module, status: int = 200) -> Response:
        return JSONResponse(self._json(module), status, headers={"ETag": f'"{module.etag}"'})

    def _json(self, module: Module) -> dict[str, object]:
        connected = self._exchange.presence.link(f"{module.device}/{module.id}") is not None
        return {
            "deviceId": module.device,
            "moduleId": module.id,
            "managedBy": module.managed_by or None,
            "generationId": module.generation_id,
            "etag": module.etag,
            "connectionState": "Connected" if connected else "Disconnected",
            "connectionStateUpdatedTime": NEVER,
            "lastActivityTime": NEVER,
            "cloudToDeviceMessageCount": 0,
            "authentication": {
                "symmetricKey": {"primaryKey": module.primary_key, "secondaryKey": module.secondary_key},
                "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
                "type": "sas",
            },
        }


def _changed(module: Module, body: _Body) -> Module:
    if body.authentication is not None and body.authentication.type != "sas":
        raise BadInput("authentication: expected the type sas for a module", reason="schema")
    keys = (body.authentication and body.authentication.symmetric_key) or Keys()
    return structs.replace(
        module,
        primary_key=chosen_key(keys.primary_key, module.primary_key),
        secondary_key=chosen_key(keys.secondary_key, module.secondary_key),
        managed_by=body.managed_by or "",
        etag=base64.b64encode(secrets.token_bytes(8)).decode(),
    )


def _matching(module: Module, if_match: str) -> Module:
    if if_match.strip('"') not in ("*", module.etag):
        raise PreconditionFailed("expected If-Match to be the module's present etag, or *; read it again")
    return module


def _parse(content: bytes, device: str, id: str) -> _Body:
    body = parse(content, _Body, "module")
    if (body.device_id, body.module_id) != (device, id):
        raise BadInput("deviceId and moduleId: expected the same as in the path", reason="schema")
    return body
