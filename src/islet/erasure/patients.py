"""Erasing a patient: all that is kept of them, and every way in for more.

The id is marked first, and from then on refused everywhere: nobody may see or send anything for it, the store and the outbox
pass over what the log still holds of it, the engine forgets. What goes then may be interrupted: `finish_erasures` does
the rest. The log's own entries go with its age (`retention_days`); nobody is given them. The audit trail keeps what was
done, with the id.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import Struct, structs

from islet.engine.parameters import Override
from islet.erasure.users import remove_user
from islet.errors import NotFound
from islet.model.people import Role, User
from islet.model.permissions import Consent, Permission
from islet.notify.outbox import Outbox
from islet.store.base import EntryKind, Registry, Store
from islet.store.device_changes import own_devices
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Devices
from islet.store.users import change_known


class Erased(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.ERASED. `done`: nothing is left to be removed."""

    at_us: int
    by: str
    done: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Holders:
    """All that keeps something of a patient, beside the log and the engine."""

    registry: Registry
    store: Store
    outbox: Outbox
    devices: Devices
    files: DeviceFiles


def erase_patient(holders: Holders, patient: str, *, by: str, at_us: int) -> None:
    """Erase everything of a patient, and their own account. Idempotent. Raises NotFound for one who never was."""
    registry = holders.registry
    if registry.patient(patient) is None and registry.entry(EntryKind.ERASED, patient) is None:
        raise NotFound(f"there is no patient {patient!r}; `islet patients list` shows all")
    _mark(registry, patient, Erased(at_us=at_us, by=by))
    _finish(holders, patient, by=by, at_us=at_us)


def finish_erasures(holders: Callable[[], Holders], registry: Registry, at_us: int) -> int:
    """Go on with erasures that were interrupted; how many those were. `holders` is asked where there are any."""
    count = 0
    for patient, body in registry.entries(EntryKind.ERASED).items():
        said = msgspec.json.decode(body, type=Erased)
        if not said.done:
            _finish(holders(), patient, by=said.by, at_us=at_us)
            count += 1
    return count


def _mark(registry: Registry, patient: str, said: Erased) -> None:
    registry.put_entry(EntryKind.ERASED, patient, msgspec.json.encode(said), by=said.by, at_us=said.at_us)


def _finish(holders: Holders, patient: str, *, by: str, at_us: int) -> None:
    registry = holders.registry
    devices = own_devices(registry, patient)
    holders.store.erase(patient, devices)
    holders.outbox.erase(patient)
    for device in devices:
        holders.devices.forget(device)
        registry.delete_device(device)
        registry.note("removed", "device", device, by=by, at_us=at_us)
    while files := holders.files.of_patient(patient):
        for file in files:
            holders.files.delete(file.id)
    _forget_people(registry, patient, by=by, at_us=at_us)
    _forget_entries(registry, patient, by=by, at_us=at_us)
    registry.delete_patient(patient)
    registry.note("erased", "patient", patient, by=by, at_us=at_us)
    _mark(registry, patient, Erased(at_us=at_us, by=by, done=True))


def own_accounts(registry: Registry, patient: str) -> list[str]:
    """The names of the accounts that go with the patient: those of patients that are for nobody else."""
    return [user.name for user in registry.users() if user.role is Role.PATIENT and user.patients == (patient,)]


def _forget_people(registry: Registry, patient: str, *, by: str, at_us: int) -> None:
    """Remove the account that is the patient's alone, and take the patient from all others."""

    def without(user: User) -> User:
        return structs.replace(user, patients=tuple(one for one in user.patients if one != patient))

    for name in own_accounts(registry, patient):
        remove_user(registry, name, by=by, at_us=at_us)
    for user in registry.users():
        if patient in user.patients:
            change_known(registry, user.name, without, by=by, at_us=at_us)


def _forget_entries(registry: Registry, patient: str, *, by: str, at_us: int) -> None:
    """What was set for the patient: rules, alarm policy, permissions, consents, wishes."""
    theirs: dict[EntryKind, Callable[[str, bytes], bool]] = {
        EntryKind.ALARM_POLICY: lambda name, body: name == patient,
        EntryKind.WISHES: lambda name, body: name == patient,
        EntryKind.CONSENT: lambda name, body: msgspec.json.decode(body, type=Consent).patient == patient,
        EntryKind.PERMISSION: lambda name, body: msgspec.json.decode(body, type=Permission).principal_for == patient,
        EntryKind.RULE_SETTING: lambda name, body: _is_set_for(body, patient),
    }
    for kind, is_theirs in theirs.items():
        for id, body in registry.entries(kind).items():
            if is_theirs(id, body):
                registry.put_entry(kind, id, None, by=by, at_us=at_us)


def _is_set_for(body: bytes, patient: str) -> bool:
    """Whether an override is the patient's; one that cannot be read holds for nobody, and stays to be looked at."""
    try:
        override = msgspec.json.decode(body, type=Override)
    except msgspec.DecodeError:
        return False
    return (override.layer, override.of) == ("patient", patient)
