"""Removing somebody who logs in, with all that was theirs: an account of that name made later gets nothing of it."""

import msgspec

from islet.contacts.book import ContactBook
from islet.errors import NotFound
from islet.model.people import Kind
from islet.model.permissions import Consent
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
    _forget_permissions(registry, name, by=by, at_us=at_us)
    for id, body in registry.entries(EntryKind.CONSENT).items():
        if msgspec.json.decode(body, type=Consent).user == name:
            registry.put_entry(EntryKind.CONSENT, id, None, by=by, at_us=at_us)
    registry.delete_user(name, by=by, at_us=at_us)


def _forget_contacts(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    book = ContactBook(registry, lambda: at_us)
    for contact in book.of(name):
        book.remove(contact.lane, by=by, at_us=at_us)


def _forget_permissions(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """What was granted to them or refused them, and their place in groups: as a person, and as an application (their role
    may have been another once). Groups are written as they are: another member who is no more must not keep them here."""
    issued_to = {f"{kind}/{name}" for kind in (Kind.APPLICATION, Kind.USER)}
    for one in read_permissions(registry):
        if one.issued_to in issued_to:
            registry.put_entry(EntryKind.PERMISSION, one.id, None, by=by, at_us=at_us)
    for group, known in read_groups(registry).items():
        if not issued_to.isdisjoint(known.members):
            others = tuple(member for member in known.members if member not in issued_to)
            body = msgspec.json.encode(Group(members=others)) if others else None
            registry.put_entry(EntryKind.PRINCIPALS, group, body, by=by, at_us=at_us)
