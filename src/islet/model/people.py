"""Who and what Islet knows: patients, devices, users, and the principal behind a request."""

import re
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

from islet.errors import BadInput
from islet.model.permissions import Permission
from islet.model.time_zones import named_zone

_PATIENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # stands in addresses, topics and file names as it is


DOTS: Final = (".", "..")
"""No names: in an address they are the folder itself and the one above it, so that a page would be another's."""
_LONGEST_LABEL: Final = 200


class Role(StrEnum):
    """What a person (or an application) is to Islet. `docs/reference/access.md` has the matrix."""

    ADMINISTRATOR = "administrator"
    CLINICIAN = "clinician"
    CARE_PARTNER = "care_partner"
    PATIENT = "patient"
    RESEARCHER = "researcher"
    AUDITOR = "auditor"
    APPLICATION = "application"
    DEVICE = "device"


class Kind(StrEnum):
    """What a principal is. People and applications have a role besides; a group has members and asks for nothing."""

    DEVICE = "device"
    USER = "user"
    APPLICATION = "application"
    GROUP = "group"
    SERVICE = "service"


class Patient(Struct, frozen=True, kw_only=True):
    """A person who wears sensors. `label` is what staff call them; it never leaves the portal."""

    id: str
    label: str = ""
    profile: str = ""
    tags: tuple[str, ...] = ()
    time_zone: str = "UTC"
    low_mg_dl: int = 70
    high_mg_dl: int = 180


def check_patient(patient: Patient) -> None:
    """Raises BadInput for an id that could not stand in an address, a label that would not be read as it is (with line
    breaks, or with signs that nobody sees and that turn what follows around), or a time zone that does not exist."""
    if not _PATIENT_ID.fullmatch(patient.id):
        raise BadInput("patient id: expected 1 to 64 of A-Z a-z 0-9 _ -", reason="patient_id")
    if len(patient.label) > _LONGEST_LABEL or not patient.label.isprintable():
        raise BadInput(f"label: expected at most {_LONGEST_LABEL} printable characters", reason="label")
    named_zone(patient.time_zone)


AuthenticationKind = Literal["sas", "selfSigned", "certificateAuthority"]


class Device(Struct, frozen=True, kw_only=True):
    """A registered device. Keys are base64 of 32 random bytes, as IoT Hub's are."""

    id: str
    patient: str = ""
    generation_id: str = ""
    etag: str = ""
    enabled: bool = True
    status_reason: str = ""
    primary_key: str = ""
    secondary_key: str = ""
    created_us: int = 0
    authentication: AuthenticationKind = "sas"
    primary_thumbprint: str = ""
    secondary_thumbprint: str = ""
    """Of its certificate, for `selfSigned`: SHA-1 or SHA-256 in capital hexadecimal digits."""
    enrollment: str = ""
    """What provisioned it ("individual/…" or "group/…"), if anything did."""
    edge: bool = False
    """It is a gateway that others can be put behind."""
    scope: str = ""
    """Of a gateway: its own; of another device: the gateway's that it is behind, "" where it is behind none."""
    parent_scope: str = ""
    """Of a gateway: the gateway's that it is behind itself."""


class User(Struct, frozen=True, kw_only=True):
    """A person or an application that logs in. `patients` are those they may see (administrators: all); "group/ward-3"
    are those with that tag. `language`: "" until they choose one; pages are in their browser's then, and messages in that of
    the setting notify_language."""

    name: str
    role: Role
    password_hash: str
    patients: tuple[str, ...] = ()
    language: str = ""
    unit: str = "mg/dL"
    enabled: bool = True


class Session(Struct, frozen=True, kw_only=True):
    """A log-in that holds. `key`: the id of the API key that it was made with; `by`: who acts as the user."""

    user: str
    expires_us: int
    key: str = ""
    by: str = ""


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks, after the credential has been checked."""

    kind: Kind
    name: str
    role: Role | None = None
    """Of a user, an application or a device."""
    patients: tuple[str, ...] = ()
    """Those assigned to it; "*" is everybody."""
    rights: tuple[str, ...] = ()
    """For a service (a hub policy's token): RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect."""
    groups: tuple[str, ...] = ()
    patient_groups: dict[str, frozenset[str]] = {}
    """The patients of each group ("group/ward-3") that what was granted to it names."""
    consents: dict[str, bool] = {}
    """What patients have said of being followed by it, by id."""
    granted: tuple[Permission, ...] = ()
    """What concerns it and is in force, by priority; what comes with its role is not among them."""
    scope: tuple[str, ...] | None = None
    """The actions of the key that it came with; None where nothing narrows it."""
    erased: frozenset[str] = frozenset()
    """The patients of whom everything was erased: nobody may anything for them."""
