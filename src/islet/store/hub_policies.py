"""The hub policies' keys: two for each, so that one can be renewed while services still use the other."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct, structs

from islet.access.sas import POLICIES, new_key
from islet.errors import NotFound
from islet.store.base import EntryKind, Registry


class Which(StrEnum):
    """One of two keys, a policy's or a device's."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Renewed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When each key of a policy was made anew; 0: it is the one that the installation began with."""

    primary_us: int = 0
    secondary_us: int = 0


_SECRETS: Final = {Which.PRIMARY: "policy/{}", Which.SECONDARY: "policy/{}/secondary"}


def policy_key(registry: Registry, policy: str, which: Which = Which.PRIMARY) -> str:
    """A policy's key; "" where there is none yet."""
    return registry.secret(_SECRETS[which].format(policy)) or ""


def policy_keys(registry: Registry, policy: str) -> tuple[str, ...]:
    """The keys that may sign a policy's tokens now."""
    return tuple(key for which in Which if (key := policy_key(registry, policy, which)))


def ensure_policy_keys(registry: Registry) -> None:
    """Give each hub policy the keys that it does not have; for the first start."""
    for policy in POLICIES:
        for which in Which:
            if not policy_key(registry, policy, which):
                registry.put_secret(_SECRETS[which].format(policy), new_key())


def renew_key(registry: Registry, policy: str, which: Which, *, by: str, at_us: int) -> str:
    """A new key in the place of one of a policy's two. What the old one has signed is refused from now on, and
    connections that came in with that end within a second. Raises NotFound for a policy that there is not."""
    if policy not in POLICIES:
        raise NotFound(f"there is no hub policy {policy!r}; there are {', '.join(POLICIES)}")
    key = new_key()
    registry.put_secret(_SECRETS[which].format(policy), key)
    renewed = structs.replace(renewals(registry).get(policy, Renewed()), **{f"{which}_us": at_us})
    registry.put_entry(EntryKind.HUB_POLICY, policy, msgspec.json.encode(renewed), by=by, at_us=at_us)
    return key


def renewals(registry: Registry) -> dict[str, Renewed]:
    """When keys were made anew, by policy; without the policies whose keys never were."""
    return dict(_read(registry))


def _read(registry: Registry) -> Iterator[tuple[str, Renewed]]:
    for policy, body in registry.entries(EntryKind.HUB_POLICY).items():
        yield policy, msgspec.json.decode(body, type=Renewed)
