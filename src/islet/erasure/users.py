"""Removing somebody who logs in, with all that was theirs: an account of that name made later gets nothing of it."""

import msgspec

from islet.contacts.book import ContactBook
from islet.errors import NotFound
from islet.model.people import Kind, Role
from islet.model.permissions import Consent
from islet.store import people
from islet.store.base import EntryKind, Registry
from islet.store.grants import put_group, revoke_keys_of
from islet.store.principals import read_groups, read_permissions
from islet.store.second_factors import put_second_factor
from islet.store.subjects import unlink_subjects


def remove_user(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """Log them out, and forget their account, keys, second factor, contacts, permissions and consents. What they did stays
    in the audit trail, under their name. Interrupted, it may be done again. Raises NotFound, and AccessDenied for the last
    administrator."""
    user = registry.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}; `islet users list` shows all")
    people.set_enabled(registry, name, False, by=by, at_us=at_us)  # refuses the last administrator; holds at once
    revoke_keys_of(registry, name, by=by, at_us=at_us)
    unlink_subjects(registry, name, by=by, at_us=at_us)
    put_second_factor(registry, name, None)
    _forget_contacts(registry, name, by=by, at_us=at_us)
    _forget_permissions(registry, user.role, name, by=by, at_us=at_us)
    for id, body in registry.entries(EntryKind.CONSENT).items():
        if msgspec.json.decode(body, type=Consent).user == name:
            registry.put_entry(EntryKind.CONSENT, id, None, by=by, at_us=at_us)
    registry.delete_user(name, by=by, at_us=at_us)


def _forget_contacts(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    book = ContactBook(registry, lambda: at_us)
    for contact in book.of(name):
        book.remove(contact.lane, by=by, at_us=at_us)


def _forget_permissions(registry: Registry, role: Role, name: str, *, by: str, at_us: int) -> None:
    """What was granted to them or refused them, and their place in groups."""
    issued_to = f"{Kind.APPLICATION if role is Role.APPLICATION else Kind.USER}/{name}"
    for one in read_permissions(registry):
        if one.issued_to == issued_to:
            registry.put_entry(EntryKind.PERMISSION, one.id, None, by=by, at_us=at_us)
    for group, known in read_groups(registry).items():
        if issued_to in known.members:
            others = tuple(member for member in known.members if member != issued_to)
            put_group(registry, group, others, by=by, at_us=at_us)
