"""Calls of IoT Hub's HTTPS paths at a front door."""

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from islet.access.sas import make_token
from islet.gateways.http import routes, upload_routes
from islet.gateways.registry_files import RegistryFiles
from islet.model.time import Now
from tests.gateways.door import HUB, NOW_S, NOW_US, Door

VERSION = {"api-version": "2021-04-12"}


def paths(door: Door, now: Now, files: RegistryFiles | None = None) -> list[Route]:
    """The door's paths."""
    is_connected = door.mqtt.is_connected
    found = routes(
        door.intake,
        door.authenticator,
        door.registry,
        now,
        is_connected,
        door.exchange,
        door.jobs,
        files,
        door.configurations,
        door.registrar,
    )
    return [*found, *upload_routes(door.authenticator, door.device_files, now)]


def app(door: Door, files: RegistryFiles | None = None) -> Starlette:
    """A server of the door's paths."""
    return Starlette(routes=paths(door, lambda: NOW_US, files))


def calls(door: Door, files: RegistryFiles | None = None) -> httpx.AsyncClient:
    """A client that calls as the hub's owner, unless a request says otherwise."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app(door, files)),
        base_url=f"https://{HUB}",
        params=VERSION,
        headers={"Authorization": door.policy_token("iothubowner")},
    )


def as_device(door: Door, id: str = "cgm-1") -> dict[str, str]:
    """The headers of that device, which is registered if it was not."""
    device = door.registry.device(id) or door.add_device(id)
    return {"Authorization": make_token(f"{HUB}/devices/{id}", device.primary_key, NOW_S + 60)}


def as_policy(door: Door, policy: str) -> dict[str, str]:
    """The headers of that hub policy."""
    return {"Authorization": door.policy_token(policy)}
