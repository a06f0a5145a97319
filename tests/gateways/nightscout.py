"""An app at the doors that Nightscout's API has here, with a store that follows the log."""

import hashlib
from typing import Any

import httpx
from starlette.applications import Starlette

from islet.decode.telemetry import Arrival
from islet.gateways.http_intake import committed
from islet.gateways.http_nightscout_v3 import app_routes
from islet.gateways.nightscout_apps import NightscoutApps
from islet.model.permissions import Permission, Verb
from islet.store.app_secrets import new_app_secret
from islet.store.follow import Follower
from islet.store.grants import grant
from islet.store.sqlite import SqliteStore
from tests.gateways.door import HUB, NOW_US, Door


def sha1(secret: str) -> dict[str, str]:
    return {"api-secret": hashlib.sha1(secret.encode()).hexdigest()}


class Night:
    """A door with a store that follows its log, and an app `phone` of p-1."""

    now_us = NOW_US

    def __init__(self, door: Door, store: SqliteStore) -> None:
        self.door, self.store = door, store
        door.add_device("phone")
        self.secret = new_app_secret(door.registry, "phone", by="test", now_us=NOW_US)
        self._follower = Follower(door.log, store)
        self.begin_anew()

    def begin_anew(self) -> None:
        """As after a restart of the platform."""
        door = self.door
        apps = NightscoutApps(door.authenticator, door.registry, door.exchange.presence, lambda: self.now_us)
        routes = app_routes(door.intake, door.authenticator, apps, self.store, lambda: self.now_us)
        transport = httpx.ASGITransport(Starlette(routes=routes))
        self.http = httpx.AsyncClient(transport=transport, base_url=f"https://{HUB}/api/v1", headers=sha1(self.secret))

    async def send(self, device: str, payload: bytes) -> None:
        """As a device of p-1 sends it."""
        await committed(self.door.intake, [Arrival(device, "p-1", payload)])

    def follow(self) -> None:
        while self._follower.run_once(0.0):
            pass

    def let_read(self, device: str = "phone", patient: str = "p-1") -> None:
        allowed = Permission(
            id="", issued_to=f"device/{device}", principal_for=patient, action=Verb.VIEW, filter=("patient",)
        )
        grant(self.door.registry, allowed, by="test", at_us=NOW_US)

    async def get(self, path: str, **find: Any) -> Any:
        answer = await self.http.get(path, params=find)
        assert answer.status_code == 200, answer.text
        return answer.json()
