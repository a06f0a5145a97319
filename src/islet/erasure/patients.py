"""Erasing a patient: all that is kept of them, and every way in for more.

The id is marked first, and from then on refused everywhere: nobody may see or send anything for it, the store and the outbox
pass over what the log still holds of it, the engine forgets. What goes then may be interrupted: `finish_erasures` does
the rest. The log's own entries go with its age (`retention_days`); nobody is given them. The audit trail keeps what was
done, with the id.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from msgspec import Struct, structs

from islet.engine.parameters import Override
from islet.erasure.users import forget_principals, remove_user
from islet.errors import NotFound
from islet.model.job_runs import decode_kept, encode_kept, without
from islet.model.people import Kind, Role, User
from islet.model.permissions import Consent, Permission
from islet.notify.outbox import Outbox
from islet.store.app_secrets import end_app_secret
from islet.store.base import EntryKind, Registry, Store
from islet.store.device_changes import own_devices
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Devices
from islet.store.users import change_known

_log = structlog.get_logger("islet.erasure")

_INTO: Final = (EntryKind.CLAIM, EntryKind.ENROLLMENT, EntryKind.ENROLLMENT_GROUP)
"""Leave for a device to be registered, perhaps for a patient."""


class _For(Struct, frozen=True):
    patient: str = ""


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
    begun = msgspec.json.encode(Erased(at_us=at_us, by=by))
    registry.mark_erased(patient, begun, by=by, at_us=at_us)
    _finish(holders, patient, by=by, at_us=at_us)


def finish_erasures(holders: Callable[[], Holders], registry: Registry, at_us: int) -> int:
    """Go on with erasures that were interrupted; how many those were. `holders` is asked where there are any."""
    count = 0
    for patient, body in registry.entries(EntryKind.ERASED).items():
        said = msgspec.json.decode(body, type=Erased)
        if said.done:
            continue
        try:
            _finish(holders(), patient, by=said.by, at_us=at_us)
            count += 1
        except Exception:  # of one: the others, and whoever asks, go on, and it is tried again
            _log.exception("erasure_failed")
    return count


def _finish(holders: Holders, patient: str, *, by: str, at_us: int) -> None:
    """Each step may have been done before, or be done by somebody else at the same time."""
    registry = holders.registry
    devices = own_devices(registry, patient)
    holders.store.erase(patient, devices)
    holders.outbox.erase(patient)
    _forget_entries(registry, patient, by=by, at_us=at_us)
    holders.files.erase(patient, devices)
    for device in devices:  # from here on nobody knows any more that it was the patient's
        _forget_device(holders, device, by=by, at_us=at_us)
    holders.files.erase(patient, devices)
    _forget_people(registry, patient, by=by, at_us=at_us)
    for device in devices:
        holders.devices.erase(device)  # as of files, what came before its connection had ended
    registry.note("erased", "patient", patient, by=by, at_us=at_us)
    done = msgspec.json.encode(Erased(at_us=at_us, by=by, done=True))
    registry.mark_erased(patient, done, by=by, at_us=at_us)


def _forget_device(holders: Holders, device: str, *, by: str, at_us: int) -> None:
    holders.devices.erase(device)
    forget_principals(holders.registry, {f"{Kind.DEVICE}/{device}"}, by=by, at_us=at_us)
    end_app_secret(holders.registry, device, by=by, now_us=at_us)
    with suppress(NotFound):
        holders.registry.delete_device(device)
        holders.registry.note("removed", "device", device, by=by, at_us=at_us)


def own_accounts(registry: Registry, patient: str) -> list[str]:
    """The names of the accounts that go with the patient: those of patients that are for nobody else."""
    return [user.name for user in registry.users() if user.role is Role.PATIENT and user.patients == (patient,)]


def _forget_people(registry: Registry, patient: str, *, by: str, at_us: int) -> None:
    """Remove the account that is the patient's alone, and take the patient from all others."""

    def with_one_less(user: User) -> User:
        return structs.replace(user, patients=tuple(one for one in user.patients if one != patient))

    for name in own_accounts(registry, patient):
        with suppress(NotFound):
            remove_user(registry, name, by=by, at_us=at_us)
    for user in registry.users():
        if patient in user.patients:
            change_known(registry, user.name, with_one_less, by=by, at_us=at_us)


def _forget_entries(registry: Registry, patient: str, *, by: str, at_us: int) -> None:
    """What was set for the patient (rules, alarm policy, permissions, consents, wishes), leave to register devices for them,
    and what nightly jobs have found of them."""
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
    for kind in _INTO:
        for id, body in registry.entries(kind).items():
            if msgspec.json.decode(body, type=_For).patient == patient:
                registry.put_secret(f"{kind}/{id}", "")  # an enrollment's keys
                registry.put_entry(kind, id, None, by=by, at_us=at_us)
    for id, body in registry.entries(EntryKind.JOB).items():
        if patient.encode() in body:
            registry.put_entry(EntryKind.JOB, id, encode_kept(without(decode_kept(body), patient)), by=by, at_us=at_us)


def _is_set_for(body: bytes, patient: str) -> bool:
    """Whether an override is the patient's; one that cannot be read holds for nobody, and stays to be looked at."""
    try:
        override = msgspec.json.decode(body, type=Override)
    except msgspec.DecodeError:
        return False
    return (override.layer, override.of) == ("patient", patient)
