"""Which device an app is that speaks Nightscout's API: by its secret, in any of the ways that apps have, or by a token."""

import asyncio
from typing import Final

from starlette.requests import Request

from islet.access.app_tokens import AppToken
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.presence import Presence
from islet.model.people import Device, Patient
from islet.model.time import SECOND_US, Now
from islet.store.app_secrets import App, app_by_secret, app_by_token, app_token
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
        return (await self.app(request)).device

    async def app(self, request: Request) -> App:
        """The app that asks. Raises AccessDenied."""
        said = shown(request)
        return self._let_in(await asyncio.to_thread(self._found, said) if said else None)

    async def said(self, secret: str) -> App:
        """The app whose secret, or a token for it, that is. Raises AccessDenied."""
        return self._let_in(await asyncio.to_thread(self._found, secret))

    async def token(self, secret: str) -> tuple[str, AppToken, Device]:
        """A token for an app's secret. Raises AccessDenied."""
        device = self._let_in(await asyncio.to_thread(app_by_secret, self._registry, secret)).device
        given = await asyncio.to_thread(app_token, self._registry, secret, self._now() // SECOND_US)
        if given is None:
            raise AccessDenied(_UNKNOWN)
        return *given, device

    async def patient(self, app: App) -> Patient | None:
        """Whose readings the app sends; whether it may read of them is for the caller to ask."""
        return await asyncio.to_thread(self._registry.patient, app.device.patient)

    def turn_away(self, request: Request) -> None:
        """Count one who was refused."""
        self._authenticator.turned_away(REQUEST, "", request.client.host if request.client else "")

    def _found(self, said: str) -> App | None:
        return app_by_secret(self._registry, said) or app_by_token(self._registry, said, self._now() // SECOND_US)

    def _let_in(self, app: App | None) -> App:
        if app is None:
            raise AccessDenied(_UNKNOWN)
        if not app.device.enabled:
            raise AccessDenied("the device is disabled")
        self._presence.heard(app.device.id)
        return app


def shown(request: Request) -> str:
    """What the app shows: in the header api-secret, in the address, or as a bearer's token; "": nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    said = (request.headers.get("api-secret", ""), *(request.query_params.get(one, "") for one in ("secret", "token")))
    return next((one.removeprefix("token=") for one in said if one), token if scheme.lower() == "bearer" else "")


def is_token(said: str) -> bool:
    """Whether that is a token for a secret, and no secret or hash of one."""
    return "." in said
