"""Claim codes: a person who may register devices makes one; the device that is given it gets its key for it, once.

A code has 59 random bits and lives for an hour, unless said otherwise; here only its hash is kept.
"""

import hashlib
import secrets
from typing import Final

import msgspec
from msgspec import Struct

from islet.decode.iothub import DEVICE_ID
from islet.errors import AccessDenied, AlreadyExists, BadInput, NotFound
from islet.gateways.authenticate import new_device
from islet.model.people import Device, Patient, check_patient
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.store.base import EntryKind, Registry

USUAL_LIFE_US: Final = HOUR_US
LONGEST_LIFE_US: Final = 7 * DAY_US
_SIGNS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # 31 signs, without those that are mistaken for others
_LENGTH: Final = 12  # 59 bits
_GROUP: Final = 4
_REFUSED: Final = "the claim code is wrong, was used, or is too old"
PSEUDONYM_PREFIX: Final = "p-"


class Claim(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.CLAIM. `patient` "": the device brings a pseudonym for a new one."""

    device: str
    patient: str = ""
    expires_us: int


def make_claim(
    registry: Registry, device: str, patient: str, *, by: str, now_us: int, life_us: int = USUAL_LIFE_US
) -> str:
    """A code for a device that is not registered yet. `now_us` is the wall's clock. Raises BadInput, NotFound for an
    unknown patient, AlreadyExists for a registered device."""
    if not DEVICE_ID.fullmatch(device) or "#" in device or "+" in device:
        raise BadInput("device id: expected 1 to 128 of A-Z a-z 0-9 - . % _ * ? ! ( ) , = @ $ '", reason="device_id")
    if not MINUTE_US <= life_us <= LONGEST_LIFE_US:
        raise BadInput("claim code: expected a life from a minute to seven days", reason="claim")
    if patient and registry.patient(patient) is None:
        raise NotFound("there is no such patient; add them first")
    if registry.device(device) is not None:
        raise AlreadyExists("a device of that id is registered already")
    forget_expired(registry, by=by, now_us=now_us)
    signs = "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH))
    claim = Claim(device=device, patient=patient, expires_us=now_us + life_us)
    registry.put_entry(EntryKind.CLAIM, code_hash(signs), msgspec.json.encode(claim), by=by, at_us=now_us)
    return "-".join(signs[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def redeem(registry: Registry, code: str, pseudonym: str, *, now_us: int) -> Device:
    """The device, registered now, with its keys. Raises AccessDenied, which does not tell a wrong code from an old one,
    and BadInput for a pseudonym that is none.

    Who has a code for no patient in particular cannot choose one that is there already: the pseudonym has to be new.
    """
    hashed, claim = code_hash(code), find_claim(registry, code, now_us=now_us)
    if claim is None:
        raise AccessDenied(_REFUSED)
    patient = Patient(id=_new_patient(registry, pseudonym)) if pseudonym and not claim.patient else None
    made = new_device(claim.device, now_us, claim.patient if patient is None else patient.id)
    try:
        registry.create_device(made)  # of two that come together, one
    except AlreadyExists:
        raise AccessDenied(_REFUSED) from None
    if patient is not None:
        registry.put_patient(patient)
    registry.put_entry(EntryKind.CLAIM, hashed, None, by=made.id, at_us=now_us)
    return made


def find_claim(registry: Registry, code: str, *, now_us: int) -> Claim | None:
    """What a code is for that is good now."""
    body = registry.entry(EntryKind.CLAIM, code_hash(code))
    claim = None if body is None else msgspec.json.decode(body, type=Claim)
    return None if claim is None or now_us >= claim.expires_us else claim


def forget_expired(registry: Registry, *, by: str, now_us: int) -> None:
    """Remove the codes that nobody has used in time."""
    for id, body in registry.entries(EntryKind.CLAIM).items():
        if msgspec.json.decode(body, type=Claim).expires_us <= now_us:
            registry.put_entry(EntryKind.CLAIM, id, None, by=by, at_us=now_us)


def code_hash(code: str) -> str:
    """SHA-256 of a code, however it is typed: in small letters, with spaces or without signs between."""
    return hashlib.sha256("".join(filter(str.isalnum, code.upper())).encode()).hexdigest()


def _new_patient(registry: Registry, pseudonym: str) -> str:
    if not pseudonym.startswith(PSEUDONYM_PREFIX):
        raise BadInput(f"pseudonym: expected one that begins with {PSEUDONYM_PREFIX}", reason="claim")
    check_patient(Patient(id=pseudonym))
    if registry.patient(pseudonym) is not None or registry.entry(EntryKind.ERASED, pseudonym) is not None:
        raise AccessDenied(_REFUSED)
    return pseudonym
