"""Who may sign certificates of devices: entries of the registry that an operator has put there."""

import base64
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from islet.access.x509 import read_authority, thumbprint
from islet.errors import NotFound
from islet.store.base import EntryKind, Registry


class Authority(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.AUTHORITY; its id is the name that the operator gave."""

    certificate: str
    """DER in base64."""

    @property
    def der(self) -> bytes:
        return base64.b64decode(self.certificate)


def named_authorities(registry: Registry) -> dict[str, Authority]:
    """All by name."""
    entries = registry.entries(EntryKind.AUTHORITY)
    return {name: msgspec.json.decode(body, type=Authority) for name, body in entries.items()}


def read_authorities(registry: Registry) -> Mapping[str, bytes]:
    """Their certificates (DER) by SHA-256 thumbprint."""
    return {thumbprint(one.der): one.der for one in named_authorities(registry).values()}


def put_authority(registry: Registry, name: str, content: bytes, *, by: str, at_us: int) -> str:
    """Trust it from now on; its thumbprint. `content` is PEM or DER. Raises BadInput when it is no authority's."""
    der = read_authority(content)
    body = msgspec.json.encode(Authority(certificate=base64.b64encode(der).decode()))
    registry.put_entry(EntryKind.AUTHORITY, name, body, by=by, at_us=at_us)
    return thumbprint(der)


def remove_authority(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """Devices whose certificates it signed are refused, and disconnected, within a second. Raises NotFound."""
    if registry.entry(EntryKind.AUTHORITY, name) is None:
        raise NotFound(f"there is no authority {name!r}")
    registry.put_entry(EntryKind.AUTHORITY, name, None, by=by, at_us=at_us)
