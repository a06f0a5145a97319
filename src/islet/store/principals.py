"""Who asks, with what was granted to them: principals made from the registry's users, devices, groups and permissions."""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct, structs

from islet.access.keys import ApiKey
from islet.access.sas import device_principal
from islet.model.people import Device, Kind, Principal, Role, User
from islet.model.permissions import PATIENT_GROUP, Consent, Permission
from islet.store.base import EntryKind, Registry
from islet.store.patient_groups import members


class Group(Struct, frozen=True, kw_only=True):
    """Principals that permissions are issued to as one; members are "user/anna", "application/mirror" …"""

    members: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    version: int
    permissions: Mapping[str, Sequence[Permission]]
    groups: Mapping[str, tuple[str, ...]]
    consents: Mapping[str, dict[str, bool]]
    erased: frozenset[str]
    expiries_us: Sequence[int]


class Principals:
    """Makes principals; keeps the table of permissions until the registry's version changes. From any thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: _Table | None = None
        self._patients_of: tuple[int, Mapping[str, frozenset[str]]] | None = None  # as of that version
        self._making = threading.Lock()

    def of_user(self, user: User, now_us: int, scope: tuple[str, ...] | None = None) -> Principal:
        """A person or an application as one who asks; `scope` is their key's."""
        kind = Kind.APPLICATION if user.role is Role.APPLICATION else Kind.USER
        patients = self._each(user.patients)
        said = self._table().consents.get(user.name, {})
        plain = Principal(kind=kind, name=user.name, role=user.role, patients=patients, scope=scope, consents=said)
        return self.completed(plain, now_us)

    def of_device(self, device: Device, now_us: int) -> Principal:
        return self.completed(device_principal(device), now_us)

    def completed(self, principal: Principal, now_us: int) -> Principal:
        """The principal with its groups, and with what was granted to it and has not expired."""
        table, name = self._table(), issued_name(principal)
        groups = table.groups.get(name, ())
        keys = ["", name, *(f"group/{group}" for group in groups)]
        if principal.role is not None:
            keys.append(f"role/{principal.role}")
        found = [one for key in keys for one in table.permissions.get(key, ()) if not 0 < one.expires_us <= now_us]
        granted = tuple(sorted(found, key=lambda one: (one.priority, one.authorized, one.id)))
        named = {one.principal_for for one in granted if one.principal_for.startswith(PATIENT_GROUP)}
        members = {name: self._members(name) for name in sorted(named)}
        return structs.replace(principal, groups=groups, granted=granted, patient_groups=members, erased=table.erased)

    @property
    def erased(self) -> frozenset[str]:
        """The patients of whom everything was erased."""
        return self._table().erased

    def _each(self, patients: tuple[str, ...]) -> tuple[str, ...]:
        """Patients one by one: those of a group in its place."""
        if not any(patient.startswith(PATIENT_GROUP) for patient in patients):
            return patients
        found = {patient for patient in patients if not patient.startswith(PATIENT_GROUP)}
        return tuple(sorted(found.union(*(self._members(one) for one in patients if one.startswith(PATIENT_GROUP)))))

    def _members(self, name: str) -> frozenset[str]:
        """The patients of "group/ward-3" now."""
        table, made = self._table(), self._patients_of
        if made is None or made[0] != table.version:
            groups = members(self._registry.patients())
            found = {f"{PATIENT_GROUP}{tag}": frozenset(patients) for tag, patients in groups.items()}
            made = self._patients_of = (table.version, found)
        return made[1].get(name, frozenset())

    def epoch(self, now_us: int) -> tuple[int, int]:
        """Another one whenever a decision may be another: the registry has changed, or a permission has expired."""
        table = self._table()
        return table.version, bisect_right(table.expiries_us, now_us)

    def _table(self) -> _Table:
        made, version = self._made, self._registry.version
        if made is not None and made.version == version:
            return made
        with self._making:
            version = self._registry.version  # first: what changes while we read makes it another
            if self._made is None or self._made.version != version:
                self._made = _read(self._registry, version)
            return self._made


def issued_name(principal: Principal) -> str:
    """The principal as a permission's `issued_to` names it."""
    return f"{principal.kind}/{principal.name}"


def read_permissions(registry: Registry) -> list[Permission]:
    """All that was granted and refused, in the order in which it is asked; without what comes with roles."""
    found = [msgspec.json.decode(body, type=Permission) for body in registry.entries(EntryKind.PERMISSION).values()]
    return sorted(found, key=lambda one: (one.priority, one.authorized, one.id))


def read_consents(registry: Registry) -> list[Consent]:
    """What patients have said of those who follow them, or want to."""
    return [msgspec.json.decode(body, type=Consent) for body in registry.entries(EntryKind.CONSENT).values()]


def read_key(registry: Registry, id: str) -> ApiKey | None:
    """An API key by its id."""
    body = registry.entry(EntryKind.API_KEY, id)
    return None if body is None else msgspec.json.decode(body, type=ApiKey)


def read_keys_of(registry: Registry, user: str) -> dict[str, ApiKey]:
    """The API keys of a user, by id."""
    keys = {id: msgspec.json.decode(body, type=ApiKey) for id, body in registry.entries(EntryKind.API_KEY).items()}
    return {id: key for id, key in keys.items() if key.user == user}


def read_groups(registry: Registry) -> dict[str, Group]:
    """All groups by name."""
    return {
        name: msgspec.json.decode(body, type=Group) for name, body in registry.entries(EntryKind.PRINCIPALS).items()
    }


def _read(registry: Registry, version: int) -> _Table:
    permissions: dict[str, list[Permission]] = {}
    for one in read_permissions(registry):
        permissions.setdefault(one.issued_to, []).append(one)
    expiries = sorted(one.expires_us for many in permissions.values() for one in many if one.expires_us)
    groups = _by_member(read_groups(registry).items())
    consents: dict[str, dict[str, bool]] = {}
    for said in read_consents(registry):
        consents.setdefault(said.user, {})[said.patient] = said.given
    return _Table(
        version=version,
        permissions=permissions,
        groups=groups,
        consents=consents,
        erased=frozenset(registry.entries(EntryKind.ERASED)),
        expiries_us=expiries,
    )


def _by_member(groups: Iterable[tuple[str, Group]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, group in groups:
        for member in group.members:
            found[member] = (*found.get(member, ()), name)
    return found
