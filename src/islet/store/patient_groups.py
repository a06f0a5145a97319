"""Groups of patients: those with one tag. A group is there as long as a patient has its tag.

Rules are set for it (`islet.engine.parameters`), and people have it as "group/ward-3" among their patients, or in a
permission. Every change is a line of the audit trail and holds at once.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import structs

from islet.errors import BadInput, NotFound
from islet.model.people import DOTS, Patient, Role, User
from islet.model.permissions import PATIENT_GROUP, Permission
from islet.store.base import EntryKind, Registry
from islet.store.users import change_known

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KIND: Final = "patient_group"
MAY_HAVE_GROUPS: Final = frozenset({Role.CLINICIAN, Role.RESEARCHER, Role.APPLICATION})
"""Whose patients can be groups. Care partners follow one patient, who has agreed; administrators see everybody."""


def members(patients: Iterable[Patient]) -> dict[str, tuple[str, ...]]:
    """By group, the ids of its patients; both in order."""
    found: dict[str, list[str]] = {}
    for patient in patients:
        for tag in patient.tags:
            found.setdefault(tag, []).append(patient.id)
    return {tag: tuple(sorted(found[tag])) for tag in sorted(found)}


def group_name(name: str) -> str:
    """The tag in "group/ward-3"; "" where that is no group.

    >>> group_name("group/ward-3"), group_name("ward-3")
    ('ward-3', '')
    """
    return name.removeprefix(PATIENT_GROUP) if name.startswith(PATIENT_GROUP) else ""


def check_name(name: str) -> None:
    """Raises BadInput for what cannot be a group's name."""
    if not _NAME.fullmatch(name) or name in DOTS:
        raise BadInput("group: expected 1 to 64 of A-Z a-z 0-9 _ . -, and not . or ..", reason="group")


def check_group(registry: Registry, name: str) -> str:
    """Raises NotFound unless a patient has that tag; the tag."""
    if not any(name in patient.tags for patient in registry.patients()):
        raise NotFound(f"there is no group {name!r}; it is made by adding a patient to it")
    return name


def put_members(
    registry: Registry, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = (), by: str, at_us: int
) -> None:
    """Add patients to a group and take others out. Raises BadInput for its name, or NotFound for a patient: nothing
    has changed then."""
    adding, removing = [_patient(registry, id) for id in add], [_patient(registry, id) for id in remove]
    if adding:  # whoever has another tag can still lose it
        check_name(name)
    for patient in adding:
        if name not in patient.tags:
            _retag(registry, patient, (*patient.tags, name))
            registry.note(f"added {patient.id}", _KIND, name, by=by, at_us=at_us)
    for patient in removing:
        if name in patient.tags:
            _retag(registry, patient, tuple(tag for tag in patient.tags if tag != name))
            registry.note(f"removed {patient.id}", _KIND, name, by=by, at_us=at_us)


def rename_group(registry: Registry, name: str, to: str, *, by: str, at_us: int) -> None:
    """Give a group a name that none has, for its patients and for whom it was granted to; nobody loses or gains a patient
    meanwhile. What rules say of it is the rule book's (`islet.engine.groups`). Raises BadInput."""
    found = members(registry.patients()).get(name, ())
    put_members(registry, to, add=found, by=by, at_us=at_us)
    _change_grants(registry, name, to, by=by, at_us=at_us)
    put_members(registry, name, remove=found, by=by, at_us=at_us)
    registry.note(f"renamed to {to}", _KIND, name, by=by, at_us=at_us)


def delete_group(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """Take the tag from all its patients, and the group from all whom it was granted to. Raises NotFound."""
    found = members(registry.patients())[check_group(registry, name)]
    _change_grants(registry, name, None, by=by, at_us=at_us)
    put_members(registry, name, remove=found, by=by, at_us=at_us)
    registry.note("deleted", _KIND, name, by=by, at_us=at_us)


def assign_group(registry: Registry, user: str, name: str, *, given: bool, by: str, at_us: int) -> None:
    """Make the patients of a group, those of today and of later, a user's patients; or end that. Raises NotFound, and
    BadInput for a role that has none."""
    of = f"{PATIENT_GROUP}{check_group(registry, name) if given else name}"

    def change(found: User) -> User:
        if given and found.role not in MAY_HAVE_GROUPS:
            raise BadInput(f"a {found.role} has no groups of patients", reason="role")
        others = tuple(patient for patient in found.patients if patient != of)
        return structs.replace(found, patients=(*others, of) if given else others)

    change_known(registry, user, change, by=by, at_us=at_us)
    registry.note(f"{'given to' if given else 'taken from'} {user}", _KIND, name, by=by, at_us=at_us)


def assigned(users: Iterable[User]) -> Mapping[str, list[str]]:
    """By group, the names of the users who have it among their patients."""
    found: dict[str, list[str]] = {}
    for user in users:
        for patient in user.patients:
            if name := group_name(patient):
                found.setdefault(name, []).append(user.name)
    return found


def _patient(registry: Registry, id: str) -> Patient:
    patient = registry.patient(id)
    if patient is None:
        raise NotFound(f"there is no patient {id!r}; `islet patients list` shows all")
    return patient


def _retag(registry: Registry, patient: Patient, tags: tuple[str, ...]) -> None:
    registry.put_patient(structs.replace(patient, tags=tags))


def _change_grants(registry: Registry, name: str, to: str | None, *, by: str, at_us: int) -> None:
    """Of users and permissions: another group in the place of this one, or none."""
    old, new = f"{PATIENT_GROUP}{name}", None if to is None else f"{PATIENT_GROUP}{to}"

    def renamed(user: User) -> User:
        patients = [new if patient == old else patient for patient in user.patients]
        return structs.replace(user, patients=tuple(one for one in patients if one is not None))

    for user in registry.users():
        if old in user.patients:
            change_known(registry, user.name, renamed, by=by, at_us=at_us)
    for id, body in registry.entries(EntryKind.PERMISSION).items():
        permission = msgspec.json.decode(body, type=Permission)
        if permission.principal_for == old:
            changed = None if new is None else msgspec.json.encode(structs.replace(permission, principal_for=new))
            registry.put_entry(EntryKind.PERMISSION, id, changed, by=by, at_us=at_us)
