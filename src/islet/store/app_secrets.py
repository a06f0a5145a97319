"""Secrets of apps that speak Nightscout's API: each stands for one device, is shown once, and is kept as a hash.

Such an app sends the SHA-1 of its secret with each request, so that is what opens the door; what is kept is a hash of it.
One that speaks the third API is given a token for it, which ends with the secret. A secret has 256 random bits, of signs
that an address may hold. It ends with the device, also where another one gets its id, and is no key of the device for
anything else.
"""

import hashlib
import re
import secrets
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from islet.access.app_tokens import LIFETIME_S, AppToken, signed, token_in
from islet.errors import NotFound
from islet.model.people import Device
from islet.store.base import EntryKind, Registry

_SHA1: Final = re.compile(r"[0-9a-fA-F]{40}")
_SIGNS: Final = "app_tokens"


class AppSecret(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.APP; its id is the hash. `unit`: in which the app shows glucose."""

    device: str
    generation_id: str
    unit: str = "mg/dL"


class App(NamedTuple):
    """Which device an app is, and in which unit it shows glucose."""

    device: Device
    unit: str


def new_app_secret(registry: Registry, device: str, *, by: str, now_us: int, unit: str = "mg/dL") -> str:
    """A secret for an app that sends as that device; the one that it had ends. Raises NotFound."""
    found = registry.device(device)
    if found is None:
        raise NotFound(f"there is no device {device!r}; `islet devices add` registers one")
    end_app_secret(registry, device, by=by, now_us=now_us)
    secret = secrets.token_urlsafe(32)
    body = msgspec.json.encode(AppSecret(device=device, generation_id=found.generation_id, unit=unit))
    registry.put_entry(EntryKind.APP, _kept_as(secret), body, by=by, at_us=now_us)
    return secret


def end_app_secret(registry: Registry, device: str, *, by: str, now_us: int) -> bool:
    """Let no app in as that device any more; whether one was."""
    held = _held(registry, device)
    for id in held:
        registry.put_entry(EntryKind.APP, id, None, by=by, at_us=now_us)
    return bool(held)


def app_of(registry: Registry, device: Device) -> str:
    """What the secret of this device's app is kept as, to tell it from another; "" where no app is let in."""
    held = _held(registry, device.id)
    return next((id for id, one in held.items() if one.generation_id == device.generation_id), "")


def app_by_secret(registry: Registry, said: str) -> App | None:
    """The app that a secret, or its SHA-1 in hexadecimal, stands for now; its device may be disabled. One read of the disk
    for each, from any thread."""
    return _app_of(registry, _kept_as(said))


def device_of_app(registry: Registry, said: str) -> Device | None:
    """The same, its device alone."""
    app = app_by_secret(registry, said)
    return None if app is None else app.device


def app_token(registry: Registry, said: str, now_s: int) -> tuple[str, AppToken] | None:
    """A token for a secret, and what it says; None where the secret stands for no device."""
    kept_as = _kept_as(said)
    if _app_of(registry, kept_as) is None:
        return None
    token = AppToken(app=kept_as, iat=now_s, exp=now_s + LIFETIME_S)
    return signed(token, _token_key(registry)), token


def app_by_token(registry: Registry, text: str, now_s: int) -> App | None:
    """The app that a token stands for now; its device may be disabled. None also where its secret has ended."""
    token = token_in(text, _token_key(registry)) if text.count(".") == 2 else None
    return None if token is None or token.exp <= now_s else _app_of(registry, token.app)


def _token_key(registry: Registry) -> bytes:
    """What tokens are signed with; made when first needed."""
    known = registry.secret(_SIGNS)
    if not known:
        made = secrets.token_urlsafe(32)
        registry.put_secret(_SIGNS, made)
        known = registry.secret(_SIGNS) or made  # another process may have been quicker
    return known.encode()


def _app_of(registry: Registry, kept_as: str) -> App | None:
    body = registry.entry(EntryKind.APP, kept_as)
    if body is None:
        return None
    held = msgspec.json.decode(body, type=AppSecret)
    device = registry.device(held.device)
    holds = device is not None and device.generation_id == held.generation_id
    return App(device, held.unit) if device is not None and holds else None


def _held(registry: Registry, device: str) -> dict[str, AppSecret]:
    found = {id: msgspec.json.decode(body, type=AppSecret) for id, body in registry.entries(EntryKind.APP).items()}
    return {id: one for id, one in found.items() if one.device == device}


def app_address(secret: str, portal: str) -> str:
    """What the app is given: where Islet is, as `portal` (https://islet.example:8443) says, with the secret."""
    scheme, _, place = portal.rstrip("/").partition("://")
    return f"{scheme}://{secret}@{place}/api/v1/"


def _kept_as(said: str) -> str:
    sent = said.lower() if _SHA1.fullmatch(said) else hashlib.sha1(said.encode(), usedforsecurity=False).hexdigest()
    return hashlib.sha256(sent.encode()).hexdigest()
