"""Removing somebody who logs in, with all that was theirs: an account of that name made later gets nothing of it."""

from collections.abc import Collection
from contextlib import suppress

import msgspec
from msgspec import structs

from islet.contacts.book import ContactBook
from islet.errors import BadInput, NotFound
from islet.model.people import Kind
from islet.model.permissions import Consent
from islet.notify.policy import USER, Policy, check_policy
from islet.store import people
from islet.store.base import EntryKind, Registry
from islet.store.grants import revoke_keys_of
from islet.store.principals import Group, read_groups, read_permissions
from islet.store.second_factors import put_second_factor
from islet.store.subjects import unlink_subjects


def remove_user(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """Log them out, and forget their account, keys, second factor, contacts, permissions and consents. What they did stays
    in the audit trail, under their name. Interrupted, it may be done again. Raises NotFound, and AccessDenied for the last
    administrator."""
    if registry.user(name) is None:
        raise NotFound(f"there is no user {name!r}; `islet users list` shows all")
    people.set_enabled(registry, name, False, by=by, at_us=at_us)  # refuses the last administrator; holds at once
    revoke_keys_of(registry, name, by=by, at_us=at_us)
    unlink_subjects(registry, name, by=by, at_us=at_us)
    put_second_factor(registry, name, None)
    _forget_contacts(registry, name, by=by, at_us=at_us)
    forget_principals(registry, {f"{kind}/{name}" for kind in (Kind.APPLICATION, Kind.USER)}, by=by, at_us=at_us)
    _forget_steps(registry, name, by=by, at_us=at_us)
    for id, body in registry.entries(EntryKind.CONSENT).items():
        if msgspec.json.decode(body, type=Consent).user == name:
            registry.put_entry(EntryKind.CONSENT, id, None, by=by, at_us=at_us)
    registry.delete_user(name, by=by, at_us=at_us)


def _forget_contacts(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    book = ContactBook(registry, lambda: at_us)
    for contact in book.of(name):
        book.remove(contact.lane, by=by, at_us=at_us)


def _forget_steps(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """Take them out of alarm policies. One that would wake nobody then goes, and everybody's policy holds in its place."""
    for id, body in registry.entries(EntryKind.ALARM_POLICY).items():
        policy = msgspec.json.decode(body, type=Policy)
        steps = tuple(step for step in policy.steps if step.who != f"{USER}{name}")
        if steps == policy.steps:
            continue
        left: bytes | None = None
        with suppress(BadInput):
            changed = structs.replace(policy, steps=steps)
            check_policy(changed)
            left = msgspec.json.encode(changed)
        registry.put_entry(EntryKind.ALARM_POLICY, id, left, by=by, at_us=at_us)


def forget_principals(registry: Registry, names: Collection[str], *, by: str, at_us: int) -> None:
    """Take away what was granted to these principals or refused them ("user/anna"), and their place in groups. Groups are
    written as they are: another member who is no more must not keep them here."""
    for one in read_permissions(registry):
        if one.issued_to in names:
            registry.put_entry(EntryKind.PERMISSION, one.id, None, by=by, at_us=at_us)
    for group, known in read_groups(registry).items():
        others = tuple(member for member in known.members if member not in names)
        if others != known.members:
            body = msgspec.json.encode(Group(members=others)) if others else None
            registry.put_entry(EntryKind.PRINCIPALS, group, body, by=by, at_us=at_us)
