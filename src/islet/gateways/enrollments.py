"""Devices that register themselves: who may (entries of the registry), and their registration.

As at the Device Provisioning Service: an enrollment is for one device, a group's for all that have a key derived from
the group's, or a certificate of its authority. An enrollment of its own comes before any group's.
"""

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from islet.access.sas import check_registration, derived_key
from islet.access.x509 import PeerCertificate, thumbprint
from islet.decode.iothub import DEVICE_ID
from islet.decode.iothub_dps import Registrant
from islet.decode.iothub_twins import JsonObject
from islet.errors import AccessDenied, AlreadyExists, BadInput
from islet.gateways.authenticate import new_device, with_certificate
from islet.model.people import Device
from islet.model.time import Now
from islet.store.base import EntryKind, Registry
from islet.store.device_changes import new_etag
from islet.store.devices_base import EtagDiffers

_NOT_ENROLLED = "the registration id is not enrolled, or its credential is another"


class Enrollment(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.ENROLLMENT or ENROLLMENT_GROUP. It has keys, or certificates (DER in base64): the
    device's own, of a group its authority's. `device` is the device's id, "" the registration id.

    Keys are kept among the secrets: entries stand in the audit trail."""

    device: str = ""
    patient: str = ""
    enabled: bool = True
    keys: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    tags: JsonObject | None = None
    desired: JsonObject | None = None
    etag: str = ""

    def thumbprints(self) -> frozenset[str]:
        """SHA-256."""
        return frozenset(thumbprint(base64.b64decode(one)) for one in self.certificates)


class Grant(NamedTuple):
    """Leave to register: as which device with which credential, by which enrollment ("group/…"), until when."""

    device: str
    enrollment_id: str
    enrollment: Enrollment
    keys: tuple[str, ...]
    thumbprint: str
    expires_us: int


class Enrollments:
    """Checks and registers in the ID scope `scope`; `wall_now` is the wall's clock, which tokens are dated by."""

    def __init__(self, registry: Registry, scope: str, wall_now: Now) -> None:
        self.scope = scope
        self._registry = registry
        self._wall_now = wall_now
        self._thumbprints: frozenset[str] = frozenset()
        self._thumbprints_version = -1

    @property
    def version(self) -> int:
        """Grows whenever an enrollment may have changed."""
        return self._registry.version

    def admit(self, registrant: Registrant, token: str, peer: PeerCertificate | None) -> Grant:
        """What one may register as who comes with that token or (without one) certificate. Raises AccessDenied; a
        stranger is not told what is enrolled."""
        if registrant.scope != self.scope:
            raise AccessDenied("the ID scope is another installation's")
        own = find_enrollment(self._registry, EntryKind.ENROLLMENT, registrant.id)
        if own is not None:
            candidates = {f"individual/{registrant.id}": own}
        else:
            kind = EntryKind.ENROLLMENT_GROUP
            groups = ((id, find_enrollment(self._registry, kind, id)) for id in self._registry.entries(kind))
            candidates = {f"group/{id}": group for id, group in groups if group is not None}
        for id, enrollment in candidates.items():
            grant = self._grant(registrant, id, enrollment, token, peer)
            if grant is not None:
                if not enrollment.enabled:
                    raise AccessDenied("the enrollment is disabled")
                return grant
        raise AccessDenied(_NOT_ENROLLED)

    def _grant(
        self, registrant: Registrant, id: str, enrollment: Enrollment, token: str, peer: PeerCertificate | None
    ) -> Grant | None:
        group = id.startswith("group/")
        device = enrollment.device or registrant.id
        if token:
            keys = enrollment.keys
            if group:
                keys = tuple(derived_key(key, registrant.id) for key in keys)
            endpoint = f"{self.scope}/registrations/{registrant.id}"
            try:
                expires_us = check_registration(token, endpoint=endpoint, now_us=self._wall_now(), keys=keys)
            except AccessDenied:
                return None
            return Grant(device, id, enrollment, keys, "", expires_us)
        if peer is None or self._wall_now() >= peer.expires_us:
            return None
        trusted = enrollment.thumbprints()
        if group:
            good = peer.root in trusted and peer.common_name == registrant.id
        else:
            good = not trusted.isdisjoint(peer.thumbprints)
        own = max(peer.thumbprints, key=len)  # SHA-256
        return Grant(device, id, enrollment, (), own, peer.expires_us) if good else None

    def register(self, grant: Grant) -> tuple[Device, bool]:
        """The device as it is registered then, and whether it is new. Raises BadInput for an id that is none, and
        AlreadyExists for a device that came by another way: an enrollment does not take it over."""
        if not DEVICE_ID.fullmatch(grant.device):
            raise BadInput("registration id: expected one that can be a device's id", reason="device_id")
        for _ in range(2):
            known = self._registry.device(grant.device)
            if known is not None:
                with suppress(EtagDiffers):
                    return self._registered_again(known, grant), False
                continue
            device = _with_credential(new_device(grant.device, self._wall_now(), grant.enrollment.patient), grant)
            try:
                self._registry.create_device(device)
            except AlreadyExists:  # made at the same time
                continue
            self._registry.note("added", "device", device.id, by=_by(grant), at_us=self._wall_now())
            return device, True
        raise AlreadyExists("the device was registered at the same time; try again")

    def registered(self, grant: Grant) -> Device | None:
        """The device that the enrollment has registered; None where there is none yet."""
        known = self._registry.device(grant.device)
        return known if known is not None and known.enrollment == grant.enrollment_id else None

    def _registered_again(self, known: Device, grant: Grant) -> Device:
        if known.enrollment != grant.enrollment_id:
            raise AlreadyExists("a device of that id was registered in another way; remove it first")
        device = _with_credential(known, grant)
        if device != known:
            device = structs.replace(device, etag=new_etag())
            done, now_us = "given a new credential", self._wall_now()
            self._registry.change_device(device, done, etag=known.etag, by=_by(grant), at_us=now_us)
        return device

    def knows_certificate(self, thumbprints: Iterable[str]) -> bool:
        """Whether one of these is enrolled."""
        version = self._registry.version
        if version != self._thumbprints_version:
            enrolled = read_enrollments(self._registry, EntryKind.ENROLLMENT).values()
            self._thumbprints = frozenset[str]().union(*(one.thumbprints() for one in enrolled))
            self._thumbprints_version = version
        return not self._thumbprints.isdisjoint(thumbprints)

    def authorities(self) -> Mapping[str, bytes]:
        """The authorities of groups (DER) by SHA-256 thumbprint."""
        groups = read_enrollments(self._registry, EntryKind.ENROLLMENT_GROUP).values()
        certificates = (base64.b64decode(one) for group in groups for one in group.certificates)
        return {thumbprint(one): one for one in certificates}


def read_enrollments(registry: Registry, kind: EntryKind) -> dict[str, Enrollment]:
    """All of a kind by id, without their keys."""
    return {id: msgspec.json.decode(body, type=Enrollment) for id, body in registry.entries(kind).items()}


def find_enrollment(registry: Registry, kind: EntryKind, id: str) -> Enrollment | None:
    """One with its keys."""
    body = registry.entry(kind, id)
    if body is None:
        return None
    enrollment = msgspec.json.decode(body, type=Enrollment)
    if enrollment.certificates:
        return enrollment
    keys = registry.secret(_secret(kind, id)) or ""
    return structs.replace(enrollment, keys=tuple(keys.split()))


def put_enrollment(
    registry: Registry, kind: EntryKind, id: str, enrollment: Enrollment | None, *, by: str, at_us: int
) -> None:
    """Keep it, or (None) remove it."""
    keys = "" if enrollment is None else " ".join(enrollment.keys)
    if keys:
        registry.put_secret(_secret(kind, id), keys)
    body = None if enrollment is None else msgspec.json.encode(structs.replace(enrollment, keys=()))
    registry.put_entry(kind, id, body, by=by, at_us=at_us)
    if not keys:
        registry.put_secret(_secret(kind, id), "")


def _secret(kind: EntryKind, id: str) -> str:
    return f"{kind}/{id}"


def _by(grant: Grant) -> str:
    """As the audit trail names it."""
    return f"enrollment {grant.enrollment_id}"


def _with_credential(device: Device, grant: Grant) -> Device:
    device = structs.replace(device, enrollment=grant.enrollment_id)
    if grant.thumbprint:
        return with_certificate(device, grant.thumbprint)
    primary, secondary = grant.keys
    return structs.replace(
        device,
        authentication="sas",
        primary_key=primary,
        secondary_key=secondary,
        primary_thumbprint="",
        secondary_thumbprint="",
    )
