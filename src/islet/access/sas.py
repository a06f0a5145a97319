"""Shared access signatures, as Azure IoT Hub and its SDKs make them, and connection strings.

A token names a resource and an instant and is signed with a key: HMAC-SHA256 over the resource exactly as it is
written in the token (percent-encoded), a line feed, and the expiry. It is a credential of its own: whoever has it may
act until it expires. Source: MicrosoftDocs azure-docs, iot-hub-dev-guide-sas.md.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from islet.errors import AccessDenied, BadInput
from islet.model.people import Device, Kind, Principal, Role

POLICIES = {
    "iothubowner": ("RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"),
    "service": ("ServiceConnect",),
    "device": ("DeviceConnect",),
    "registryRead": ("RegistryRead",),
    "registryReadWrite": ("RegistryRead", "RegistryWrite"),
}
"""The hub policies and what each grants; their keys are the installation's."""

_SCHEME = "SharedAccessSignature "
_EVENT_HUB: Final = ("sb://", "amqp://", "amqps://", "https://", "http://")
"""What clients of Event Hubs put before the host: the one for Java the second, the one for Go the third, and who signs
by Microsoft's example of a token one of the last."""


class Token(Struct, frozen=True, kw_only=True):
    """A token taken apart, not yet believed. `resource` and `expiry` are as they were written."""

    resource: str
    signature: str
    expiry: str
    policy: str = ""

    @property
    def expires_us(self) -> int:
        return int(self.expiry) * 1_000_000


class Admission(Struct, frozen=True, kw_only=True):
    """Who a token is, and until when."""

    principal: Principal
    expires_us: int


class ConnectionString(Struct, frozen=True, kw_only=True):
    """What a device (or, with `policy`, a service) is configured with."""

    host: str
    key: str
    device: str = ""
    module: str = ""
    policy: str = ""


def new_key() -> str:
    """A device's or policy's key: 256 random bits in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def is_key(text: str) -> bool:
    """Whether a text can be a key: base64 of 16 to 64 bytes, as at IoT Hub."""
    try:
        return 16 <= len(base64.b64decode(text, validate=True)) <= 64
    except ValueError:
        return False


def make_token(resource: str, key: str, expires_s: int, policy: str = "") -> str:
    """A token for `resource` ("hub/devices/sensor-1") until `expires_s`, seconds since 1970.

    Raises BadInput when the key is none (`is_key`).
    """
    if not is_key(key):
        raise BadInput("key: expected base64 of 16 to 64 bytes", reason="key")
    encoded = quote(resource, safe="")
    signature = quote(_signature(encoded, str(expires_s), base64.b64decode(key)), safe="")
    name = f"&skn={quote(policy, safe='')}" if policy else ""
    return f"{_SCHEME}sr={encoded}&sig={signature}&se={expires_s}{name}"


def parse_token(text: str) -> Token:
    """A token's parts, which may come in any order. Raises AccessDenied when it is not a token."""
    scheme, body = text[: len(_SCHEME)], text[len(_SCHEME) :]
    parts = dict[str, str]()
    for part in body.split("&"):
        name, equals, value = part.partition("=")
        if not equals or name in parts:
            raise AccessDenied("the token is malformed")
        parts[name] = value
    expiry = parts.get("se", "")
    if scheme != _SCHEME or not parts.get("sr") or not parts.get("sig"):
        raise AccessDenied("the token is malformed")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
        raise AccessDenied("the token has no expiry in seconds")
    # unquote, never unquote_plus: some SDKs leave + and / of base64 as they are
    return Token(
        resource=parts["sr"], signature=unquote(parts["sig"]), expiry=expiry, policy=unquote(parts.get("skn", ""))
    )


def admit(
    text: str, *, endpoint: str, now_us: int, device: Device | None, policy_keys: Callable[[str], Sequence[str]]
) -> Admission:
    """Who asks for `endpoint` ("hub/devices/sensor-1"), if the token allows it at that instant of the wall's clock.

    Without `skn` it is signed by `device` (None: there is no such device), otherwise by a hub policy, whose keys
    `policy_keys(name)` gives. Raises AccessDenied; the reason tells a stranger nothing of which devices exist.
    """
    token = parse_token(text)
    if token.policy:
        principal = Principal(kind=Kind.SERVICE, name=token.policy, rights=POLICIES.get(token.policy, ()))
        keys = policy_keys(token.policy) if token.policy in POLICIES else ()
    else:
        principal = device_principal(device) if device else Principal(kind=Kind.DEVICE, name="", role=Role.DEVICE)
        keys = (device.primary_key, device.secondary_key) if device else ()
    _check(token, keys, endpoint, now_us)
    if device is not None and not device.enabled:
        raise AccessDenied("the device is disabled")
    return Admission(principal=principal, expires_us=token.expires_us)


def check_registration(text: str, *, endpoint: str, now_us: int, keys: Sequence[str]) -> int:
    """When the token of one who registers itself for `endpoint` ("islet/registrations/pump-1") expires (µs).

    Its `skn` is always "registration". Raises AccessDenied when none of the keys has signed it.
    """
    token = parse_token(text)
    _check(token, keys, endpoint, now_us)
    return token.expires_us


def derived_key(group_key: str, registration_id: str) -> str:
    """The key of a device in an enrollment group: the group's own stays with the maker.

    Source: MicrosoftDocs azure-docs, iot-dps concepts-symmetric-key-attestation.md.
    """
    digest = hmac.digest(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def _check(token: Token, keys: Sequence[str], endpoint: str, now_us: int) -> None:
    if not _signed_by(token, keys):
        raise AccessDenied("the token is not signed with a key that is known here")
    if now_us >= token.expires_us:
        raise AccessDenied("the token has expired")
    if not covers(resource_of(token), endpoint):
        raise AccessDenied("the token is for another resource")


def device_principal(device: Device) -> Principal:
    """A device as one who asks: it acts for the patient it is assigned to, if any."""
    patients = (device.patient,) if device.patient else ()
    return Principal(kind=Kind.DEVICE, name=device.id, role=Role.DEVICE, patients=patients)


def resource_of(token: Token) -> str:
    """What a token is for, as IoT Hub writes it; clients of Event Hubs mean any case.

    >>> resource_of(Token(resource="sb%3A%2F%2Fhub%3A5671%2FDevice-Messages%2f", signature="", expiry="0"))
    'hub/device-messages'
    """
    resource = unquote(token.resource)
    if not is_event_hub(token):
        return resource
    host, slash, path = resource.partition("://")[2].lower().rstrip("/").partition("/")
    return f"{host.partition(':')[0]}{slash}{path}"


def is_event_hub(token: Token) -> bool:
    """Whether it is one of clients of Event Hubs, which name a scheme before the host."""
    return unquote(token.resource).startswith(_EVENT_HUB)


def covers(resource: str, endpoint: str) -> bool:
    """Whether `resource` is the endpoint or a front part of it, by whole segments; only the host ignores case.

    >>> covers("HUB/devices/a", "hub/devices/a/messages/events"), covers("hub/devices/a", "hub/devices/ab")
    (True, False)
    """
    wanted, given = endpoint.split("/"), resource.split("/")
    if given[0].lower() != wanted[0].lower():
        return False
    return given[1:] == wanted[1 : len(given)]


def _signed_by(token: Token, keys: Sequence[str]) -> bool:
    """Any of the keys will do, so that one can be renewed while the other is in use."""
    given = token.signature.encode()
    return any(
        hmac.compare_digest(_signature(token.resource, token.expiry, secret).encode(), given)
        for key in keys
        if is_key(key)
        for secret in _signing(token, key)
    )


def _signing(token: Token, key: str) -> tuple[bytes, ...]:
    """What may have signed: the bytes that a key stands for; clients of Event Hubs take its text."""
    decoded = base64.b64decode(key)
    return (decoded, key.encode()) if is_event_hub(token) else (decoded,)


def _signature(encoded_resource: str, expiry: str, secret: bytes) -> str:
    digest = hmac.digest(secret, f"{encoded_resource}\n{expiry}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


_FIELDS = {
    "HostName": "host",
    "DeviceId": "device",
    "ModuleId": "module",
    "SharedAccessKeyName": "policy",
    "SharedAccessKey": "key",
}


def parse_connection_string(text: str) -> ConnectionString:
    """The parts of `HostName=…;DeviceId=…;SharedAccessKey=…`, in any order; parts not known here are let through.

    Raises BadInput when host or key are missing, or both device and policy.
    """
    parts = dict[str, str]()
    for part in filter(None, text.strip().split(";")):
        name, _, value = part.partition("=")  # a key ends with = itself
        if name in _FIELDS:
            parts[_FIELDS[name]] = value
    if not parts.get("host") or not parts.get("key") or not (parts.get("device") or parts.get("policy")):
        raise BadInput(
            "connection string: expected HostName, SharedAccessKey and DeviceId or SharedAccessKeyName",
            reason="connection_string",
        )
    return ConnectionString(**parts)


def format_connection_string(given: ConnectionString) -> str:
    """The text that `parse_connection_string` reads back and the official SDKs accept."""
    return ";".join(f"{name}={getattr(given, part)}" for name, part in _FIELDS.items() if getattr(given, part))
