"""Changes of the table of permissions, each with a line in the audit trail: grants, refusals, groups, keys."""

import re
import secrets
from typing import Final

import msgspec
from msgspec import structs

from islet.access.actions import SUBJECTS, SUBJECTS_OF_INSTALLATION
from islet.access.keys import new_api_key
from islet.access.sas import POLICIES
from islet.errors import BadInput, NotFound
from islet.model.people import Kind, Role
from islet.model.permissions import ASSIGNED, DEFAULT_PRIORITY, GRANT_PRIORITY, Permission
from islet.store.administrators import check_some_stay
from islet.store.base import EntryKind, Registry
from islet.store.patient_groups import check_group, group_name
from islet.store.principals import Group, read_groups, read_key, read_keys_of

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_REASON: Final = 300


def grant(registry: Registry, permission: Permission, *, by: str, at_us: int) -> Permission:
    """Keep a permission (or a refusal) under a new id. Raises BadInput; NotFound for whom or what there is not;
    AccessDenied where nobody could administer afterwards."""
    if not GRANT_PRIORITY <= permission.priority < DEFAULT_PRIORITY:
        raise BadInput(f"priority: expected {GRANT_PRIORITY} to {DEFAULT_PRIORITY - 1}", reason="priority")
    if permission.expires_us and permission.expires_us <= at_us:
        raise BadInput("the end: expected an instant to come", reason="expires")
    if len(permission.reason) > _LONGEST_REASON:
        raise BadInput(f"reason: expected at most {_LONGEST_REASON} characters", reason="reason")
    for subject in permission.filter:
        if subject not in SUBJECTS:
            raise BadInput(f"{subject!r} is no subject; there are {', '.join(SUBJECTS)}", reason="filter")
        if permission.principal_for and subject in SUBJECTS_OF_INSTALLATION:
            raise BadInput(
                f"{subject} is the whole installation's: grant it, or refuse it, for no patient in particular",
                reason="filter",
            )
    if permission.authorized and not permission.issued_to:
        raise BadInput("to whom: expected somebody; role/… names all of a role", reason="issued_to")
    if permission.authorized and not permission.principal_for and permission.action is None:
        raise BadInput("expected an action or a patient: who may do all is an administrator", reason="action")
    _check_principal(registry, permission.issued_to)
    wanted = permission.principal_for
    if name := group_name(wanted):
        check_group(registry, name)
    elif wanted not in ("", ASSIGNED) and registry.patient(wanted) is None:
        raise NotFound(f"there is no patient {wanted!r}")
    kept = structs.replace(permission, id=secrets.token_hex(4), granted_by=by)
    _put(registry, EntryKind.PERMISSION, kept.id, msgspec.json.encode(kept), by=by, at_us=at_us)
    return kept


def revoke(registry: Registry, id: str, *, by: str, at_us: int) -> None:
    """Take a permission away; it holds no more when this returns. Raises NotFound, and AccessDenied as `grant` does."""
    if registry.entry(EntryKind.PERMISSION, id) is None:
        raise NotFound(f"there is no permission {id!r}; `islet permissions list` shows all")
    _put(registry, EntryKind.PERMISSION, id, None, by=by, at_us=at_us)


def put_group(registry: Registry, name: str, members: tuple[str, ...], *, by: str, at_us: int) -> None:
    """Make or change a group; without members it is removed. Raises BadInput, NotFound for a member, and AccessDenied as
    `grant` does."""
    if not _NAME.fullmatch(name):
        raise BadInput("group: expected 1 to 64 of A-Z a-z 0-9 _ . -", reason="group")
    for member in members:
        _check_principal(registry, member)
        if not member or member.startswith(("group/", "role/")):
            raise BadInput("group: expected user/…, application/…, device/… or service/… as members", reason="group")
    body = msgspec.json.encode(Group(members=members)) if members else None
    _put(registry, EntryKind.PRINCIPALS, name, body, by=by, at_us=at_us)


def make_key(
    registry: Registry,
    user: str,
    expires_us: int,
    scope: tuple[str, ...] | None,
    purpose: str,
    *,
    by: str,
    at_us: int,
) -> tuple[str, str]:
    """A new key for the API, of an application or (as a token) of a person: its id, and the text that is shown once. It
    does what they may and `scope` says, and is not they themselves. Raises BadInput, or NotFound for the user."""
    if registry.user(user) is None:
        raise NotFound(f"there is no user {user!r}; `islet users list` shows all")
    id, key, token = new_api_key(user, expires_us, scope, purpose)
    registry.put_entry(EntryKind.API_KEY, id, msgspec.json.encode(key), by=by, at_us=at_us)
    return id, token


def revoke_key(registry: Registry, id: str, *, by: str, at_us: int) -> None:
    """End a key, and all tokens that were made with it. Raises NotFound."""
    if read_key(registry, id) is None:
        raise NotFound(f"there is no key {id!r}; `islet keys list` shows all")
    registry.put_entry(EntryKind.API_KEY, id, None, by=by, at_us=at_us)


def revoke_keys_of(registry: Registry, user: str, *, by: str, at_us: int) -> None:
    """End all keys of a user, and all tokens that were made with them."""
    for id in read_keys_of(registry, user):
        registry.put_entry(EntryKind.API_KEY, id, None, by=by, at_us=at_us)


def _put(registry: Registry, kind: EntryKind, id: str, body: bytes | None, *, by: str, at_us: int) -> None:
    check_some_stay(registry, kind, id, body, at_us)
    registry.put_entry(kind, id, body, by=by, at_us=at_us)


def _check_principal(registry: Registry, issued_to: str) -> None:
    """Raises BadInput, or NotFound, unless there is somebody of that name ("" is anybody)."""
    kind, slash, name = issued_to.partition("/")
    there = {
        "": lambda: not slash,
        Kind.USER: lambda: (one := registry.user(name)) is not None and one.role is not Role.APPLICATION,
        Kind.APPLICATION: lambda: (one := registry.user(name)) is not None and one.role is Role.APPLICATION,
        Kind.DEVICE: lambda: registry.device(name) is not None,
        Kind.SERVICE: lambda: name in POLICIES,
        Kind.GROUP: lambda: name in read_groups(registry),
        "role": lambda: name in set(Role),
    }
    if kind not in there:
        raise BadInput("expected user/…, application/…, device/…, service/…, group/… or role/…", reason="issued_to")
    if not there[kind]():
        raise NotFound(f"there is no {issued_to or 'principal without a name'}")
