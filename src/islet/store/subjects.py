"""Which user an account at an OpenID provider is linked to: by issuer and subject, which never change hands."""

import hashlib

import msgspec
from msgspec import Struct

from islet.errors import AccessDenied, NotFound
from islet.store.base import EntryKind, Registry


class Linked(Struct, frozen=True, kw_only=True):
    user: str
    issuer: str
    subject: str


def subject_user(registry: Registry, issuer: str, subject: str) -> str | None:
    """The name of the user; None where it is linked to nobody."""
    body = registry.entry(EntryKind.SUBJECT, _id(issuer, subject))
    return None if body is None else msgspec.json.decode(body, type=Linked).user


def link_subject(registry: Registry, issuer: str, subject: str, user: str, *, by: str, at_us: int) -> None:
    """Raises NotFound for a user who is none, AccessDenied where the account is somebody else's already."""
    if registry.user(user) is None:
        raise NotFound("there is no such user")
    known = subject_user(registry, issuer, subject)
    if known is not None and known != user:
        raise AccessDenied("the account at the provider is linked to somebody else")
    body = msgspec.json.encode(Linked(user=user, issuer=issuer, subject=subject))
    registry.put_entry(EntryKind.SUBJECT, _id(issuer, subject), body, by=by, at_us=at_us)


def unlink_subjects(registry: Registry, user: str, *, by: str, at_us: int) -> int:
    """Take away all that are linked to a user; how many they were."""
    found = _of(registry, user)
    for id in found:
        registry.put_entry(EntryKind.SUBJECT, id, None, by=by, at_us=at_us)
    return len(found)


def linked_subjects(registry: Registry, user: str) -> int:
    """How many accounts are linked to a user."""
    return len(_of(registry, user))


def _of(registry: Registry, user: str) -> list[str]:
    bodies = registry.entries(EntryKind.SUBJECT).items()
    return [id for id, body in bodies if msgspec.json.decode(body, type=Linked).user == user]


def _id(issuer: str, subject: str) -> str:
    return hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()
