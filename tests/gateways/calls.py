"""Calls of IoT Hub's HTTPS paths at a front door."""

import httpx
from starlette.applications import Starlette

from islet.access.sas import make_token
from islet.gateways.http import routes
from islet.gateways.registry_files import RegistryFiles
from tests.gateways.door import HUB, NOW_S, NOW_US, Door

VERSION = {"api-version": "2021-04-12"}


def app(door: Door, files: RegistryFiles | None = None) -> Starlette:
    """The door's paths."""
    is_connected = door.mqtt.is_connected
    return Starlette(
        routes=routes(
            door.intake,
            door.authenticator,
            door.registry,
            lambda: NOW_US,
            is_connected,
            door.exchange,
            door.jobs,
            files,
        )
    )


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
