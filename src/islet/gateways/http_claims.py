"""Claim codes over HTTPS: services make them, devices redeem them. (Ours; IoT Hub has nothing like it.)"""

import asyncio
from collections import OrderedDict
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.actions import Action
from islet.errors import AccessDenied, BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.claims import USUAL_LIFE_US, find_claim, make_claim, redeem
from islet.gateways.http_answers import Crowded
from islet.gateways.http_body import read_body
from islet.model.foreign_json import UNREADABLE
from islet.model.time import SECOND_US, iso
from islet.store.base import Registry

FREE_TRIES: Final = 10
FORGIVEN_US: Final = 6 * SECOND_US
_KEPT: Final = 10_000
_BEYOND_S: Final = 1e9  # longer than a code may live; what is longer still need not be a number
T = TypeVar("T")


class _Wanted(Struct, rename="camel"):
    device_id: str
    patient: str = ""
    expires_in_seconds: float = USUAL_LIFE_US / SECOND_US


class _Redeemed(Struct):
    code: str
    pseudonym: str = ""


class Tries:
    """How many wrong codes came from an address: ten at once, then one every six seconds. Right ones do not count."""

    def __init__(self) -> None:
        self._forgiven_us: OrderedDict[str, int] = OrderedDict()

    def may(self, address: str, now_us: int) -> bool:
        return self._forgiven_us.get(address, 0) <= now_us + (FREE_TRIES - 1) * FORGIVEN_US

    def failed(self, address: str, now_us: int) -> None:
        self._forgiven_us[address] = max(self._forgiven_us.get(address, 0), now_us) + FORGIVEN_US
        self._forgiven_us.move_to_end(address)
        while len(self._forgiven_us) > _KEPT:
            self._forgiven_us.popitem(last=False)

    def forgiven(self, address: str) -> None:
        """Take the last one back."""
        if address in self._forgiven_us:
            self._forgiven_us[address] -= FORGIVEN_US


class ClaimEndpoints:
    """Handlers; `create` checks the caller's rights itself, `redeem` the code."""

    def __init__(self, authenticator: Authenticator, registry: Registry) -> None:
        self._authenticator, self._registry = authenticator, registry
        self._tries = Tries()

    async def create(self, request: Request) -> Response:
        """200 with a code, shown only here."""
        token = request.headers.get("authorization", "")
        admission = self._authenticator.admit_service("claims", token)
        decision = self._authenticator.decide("claims", token, Action.WRITE_REGISTRY)
        if not decision.allowed:
            raise AccessDenied(decision.reason)
        wanted = _decoded(await read_body(request), _Wanted)
        now_us = self._authenticator.wall_now()
        life_us = round(min(wanted.expires_in_seconds, _BEYOND_S) * SECOND_US)
        code = await asyncio.to_thread(
            make_claim,
            self._registry,
            wanted.device_id,
            wanted.patient,
            by=admission.principal.name,
            now_us=now_us,
            life_us=life_us,
        )
        return JSONResponse({"code": code, "deviceId": wanted.device_id, "expiresAt": iso(now_us + life_us)})

    async def redeem(self, request: Request) -> Response:
        """200 with the device's credentials, shown only here; 401 for a code that is not good, 429 after too many such.

        Who has a good one does not wait for others at their address (a ward, or a proxy for everybody): 59 random bits
        are not guessed, however often somebody tries.
        """
        address = request.client.host if request.client else ""
        now_us = self._authenticator.wall_now()
        may = self._tries.may(address, now_us)
        if may:
            self._tries.failed(address, now_us)  # before it is known, so that many at once gain nothing
        given = _decoded(await read_body(request), _Redeemed)
        if not may and await asyncio.to_thread(find_claim, self._registry, given.code, now_us=now_us) is None:
            raise Crowded("too many claim codes were tried from here; try again in a minute")
        device = await asyncio.to_thread(redeem, self._registry, given.code, given.pseudonym, now_us=now_us)
        if may:
            self._tries.forgiven(address)
        return JSONResponse(
            {
                "hostName": self._authenticator.hub_name,
                "deviceId": device.id,
                "patient": device.patient,
                "primaryKey": device.primary_key,
                "secondaryKey": device.secondary_key,
            },
            headers={"Cache-Control": "no-store"},
        )


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        raise BadInput("claim: expected a JSON object with deviceId, or with code", reason="schema") from None
