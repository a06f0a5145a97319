"""Which device an app is that speaks Nightscout's API: by its secret, in any of the ways that apps have, or by a token."""

import asyncio
from typing import Final

from starlette.requests import Request

from islet.access.app_tokens import AppToken
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.presence import Presence
from islet.model.people import Device
from islet.model.time import SECOND_US, Now
from islet.store.app_secrets import app_token, device_of_app, device_of_token
from islet.store.base import Registry
from islet.store.turned_away import REQUEST

_UNKNOWN: Final = "expected the secret of an app; `islet devices nightscout` makes one"


class NightscoutApps:
    """Of the whole installation. `now` is the platform's clock."""

    def __init__(self, authenticator: Authenticator, registry: Registry, presence: Presence, now: Now) -> None:
        self._authenticator, self._registry = authenticator, registry
        self._presence, self._now = presence, now

    async def of(self, request: Request) -> Device:
        """The device of the app that asks. Raises AccessDenied."""
        said = shown(request)
        device = await asyncio.to_thread(self._found, said) if said else None
        return self._let_in(device)

    async def token(self, secret: str) -> tuple[str, AppToken, Device]:
        """A token for an app's secret. Raises AccessDenied."""
        device = self._let_in(await asyncio.to_thread(device_of_app, self._registry, secret))
        given = await asyncio.to_thread(app_token, self._registry, secret, self._now() // SECOND_US)
        if given is None:
            raise AccessDenied(_UNKNOWN)
        return *given, device

    def turn_away(self, request: Request) -> None:
        """Count one who was refused."""
        self._authenticator.turned_away(REQUEST, "", request.client.host if request.client else "")

    def _found(self, said: str) -> Device | None:
        return device_of_app(self._registry, said) or device_of_token(self._registry, said, self._now() // SECOND_US)

    def _let_in(self, device: Device | None) -> Device:
        if device is None:
            raise AccessDenied(_UNKNOWN)
        if not device.enabled:
            raise AccessDenied("the device is disabled")
        self._presence.heard(device.id)
        return device


def shown(request: Request) -> str:
    """What the app shows: in the header api-secret, in the address, or as a bearer's token; "": nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    said = (request.headers.get("api-secret", ""), *(request.query_params.get(one, "") for one in ("secret", "token")))
    return next((one.removeprefix("token=") for one in said if one), token if scheme.lower() == "bearer" else "")
