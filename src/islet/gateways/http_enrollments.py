"""Enrollments over HTTPS, in the paths and the JSON of the Device Provisioning Service.

A hub policy's token does what that service's own policies do there. Ours is one field: `patient`, whom devices of the
enrollment belong to from the first. Keys are shown when they are made; later only by `attestationmechanism`.
"""

import asyncio
import base64
import secrets
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType, structs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.decide import Action
from islet.access.sas import is_key, new_key
from islet.access.x509 import facts, parse_certificate, read_authority, thumbprints
from islet.decode.iothub import DEVICE_ID
from islet.decode.iothub_dps import REGISTRATION_ID
from islet.decode.iothub_twins import Json, JsonObject, Properties, parse_service_twin, patched, patched_tags
from islet.errors import AlreadyExists, BadInput, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.enrollments import Enrollment, find_enrollment, put_enrollment, read_enrollments
from islet.gateways.http_answers import PreconditionFailed
from islet.gateways.http_body import read_body
from islet.gateways.http_registry import check
from islet.model.foreign_json import parse
from islet.model.time import Now, iso
from islet.store.base import EntryKind, Registry

_PATHS: Final = {EntryKind.ENROLLMENT: "/enrollments", EntryKind.ENROLLMENT_GROUP: "/enrollmentGroups"}

_ITEM_TYPES: Final = {EntryKind.ENROLLMENT: "Enrollment", EntryKind.ENROLLMENT_GROUP: "EnrollmentGroup"}


class _Keys(Struct, rename="camel"):
    primary_key: str | None = None
    secondary_key: str | None = None


class _Certificate(Struct):
    certificate: str = ""


class _Pair(Struct):
    primary: _Certificate | None = None
    secondary: _Certificate | None = None


class _X509(Struct, rename="camel"):
    client_certificates: _Pair | None = None
    signing_certificates: _Pair | None = None


class _Attestation(Struct, rename="camel"):
    type: Literal["symmetricKey", "x509"]
    symmetric_key: _Keys | None = None
    x509: _X509 | None = None


class _Body(Struct, rename="camel"):
    attestation: _Attestation
    registration_id: str = ""
    enrollment_group_id: str = ""
    device_id: str | None = None
    provisioning_status: Literal["enabled", "disabled"] = "enabled"
    initial_twin: dict[str, Json] | None = None
    patient: str | UnsetType = UNSET


class EnrollmentEndpoints:
    """Handlers for enrollments or for groups, at `path`; each checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, registry: Registry, now: Now, kind: EntryKind) -> None:
        self.path = _PATHS[kind]
        self._authenticator, self._registry, self._now, self._kind = authenticator, registry, now, kind
        self._writing = asyncio.Lock()

    async def put(self, request: Request) -> Response:
        """200 with the enrollment and its keys; 409 for a second one without If-Match, 412 and 404 as for devices."""
        id = self._about(request, Action.WRITE_REGISTRY)
        body = _parse(await read_body(request), self._kind, id)
        async with self._writing:
            enrollment = await asyncio.to_thread(self._put, id, body, request.headers.get("if-match"))
        return self._answer(id, enrollment, keys=True)

    async def get(self, request: Request) -> Response:
        id = self._about(request, Action.READ_REGISTRY)
        return self._answer(id, await asyncio.to_thread(self._found, id))

    async def attestation(self, request: Request) -> Response:
        """200 with the keys or certificates."""
        id = self._about(request, Action.WRITE_REGISTRY)
        enrollment = await asyncio.to_thread(self._found, id)
        return JSONResponse(_attestation_json(self._kind, enrollment, keys=True))

    async def delete(self, request: Request) -> Response:
        """204; devices that it has registered stay."""
        id = self._about(request, Action.WRITE_REGISTRY)
        if_match = request.headers.get("if-match", "*")
        async with self._writing:
            _matching(await asyncio.to_thread(self._found, id), if_match)
            await asyncio.to_thread(self._keep, id, None)
        return Response(status_code=204)

    async def query(self, request: Request) -> Response:
        """200 with all of the kind; what the query says is not looked at."""
        self._check(request, Action.READ_REGISTRY)
        found = await asyncio.to_thread(read_enrollments, self._registry, self._kind)
        shown = [_json(self._kind, id, one) for id, one in found.items()]
        return JSONResponse(shown, headers={"x-ms-item-type": _ITEM_TYPES[self._kind]})  # the SDK for Java wants it

    def _about(self, request: Request, action: Action) -> str:
        self._check(request, action)
        id: str = request.path_params["id"]
        if not REGISTRATION_ID.fullmatch(id):
            raise BadInput("id: expected 1 to 128 of A-Z a-z 0-9 - . _ :", reason="registration_id")
        return id

    def _check(self, request: Request, action: Action) -> None:
        check(self._authenticator, request, self.path[1:], action)

    def _found(self, id: str) -> Enrollment:
        enrollment = find_enrollment(self._registry, self._kind, id)
        if enrollment is None:
            raise NotFound("the enrollment is not there")
        return enrollment

    def _put(self, id: str, body: _Body, if_match: str | None) -> Enrollment:
        known = None
        if if_match is not None:
            known = _matching(self._found(id), if_match)
        elif self._registry.entry(self._kind, id) is not None:
            raise AlreadyExists("the enrollment is there; update it with If-Match")
        if body.patient and self._registry.patient(body.patient) is None:
            raise BadInput("patient: expected one who is registered", reason="patient")
        enrollment = _enrollment(self._kind, body, known)
        self._keep(id, enrollment)
        return enrollment

    def _keep(self, id: str, enrollment: Enrollment | None) -> None:
        put_enrollment(self._registry, self._kind, id, enrollment, by="hub policy", at_us=self._now())

    def _answer(self, id: str, enrollment: Enrollment, *, keys: bool = False) -> Response:
        return JSONResponse(_json(self._kind, id, enrollment, keys=keys), headers={"ETag": f'"{enrollment.etag}"'})


def _enrollment(kind: EntryKind, body: _Body, known: Enrollment | None) -> Enrollment:
    """What the body says; keys, certificates and a patient that it does not name stay, or keys are made. Raises
    BadInput."""
    twin = parse_service_twin(body.initial_twin or {})
    patched_tags({}, twin.tags or {})  # what may not be in a twin is refused now
    patched(Properties(), twin.desired or {}, 0)
    enrollment = Enrollment(
        device=body.device_id or "",
        patient=(known.patient if known else "") if body.patient is UNSET else body.patient,
        enabled=body.provisioning_status == "enabled",
        tags=twin.tags,
        desired=twin.desired,
        etag=secrets.token_urlsafe(9),
    )
    if body.attestation.type == "symmetricKey":
        given, had = body.attestation.symmetric_key or _Keys(), known.keys if known else ()
        wanted = (given.primary_key, given.secondary_key)
        keys = tuple(one or (had[at] if len(had) > at else new_key()) for at, one in enumerate(wanted))
        if not all(map(is_key, keys)):
            raise BadInput("symmetricKey: expected base64 of 16 to 64 bytes", reason="key")
        return structs.replace(enrollment, keys=keys)
    had = known.certificates if known else ()
    return structs.replace(enrollment, certificates=_certificates(kind, body.attestation.x509 or _X509(), had))


def _certificates(kind: EntryKind, given: _X509, had: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are given; SDKs send an enrollment that they have read back without them."""
    group = kind is EntryKind.ENROLLMENT_GROUP
    pair = (given.signing_certificates if group else given.client_certificates) or _Pair()
    texts = [one.certificate for one in (pair.primary, pair.secondary) if one is not None and one.certificate]
    if not texts and had:
        return had
    if not texts:
        expected = "signingCertificates" if group else "clientCertificates"
        raise BadInput(f"x509: expected {expected} with a primary certificate", reason="schema")
    read = read_authority if group else parse_certificate
    return tuple(base64.b64encode(read(_bytes(text))).decode() for text in texts)


def _bytes(text: str) -> bytes:
    """PEM as it is, or base64 of PEM or DER, as SDKs send it."""
    if text.lstrip().startswith("-----BEGIN"):
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise BadInput("certificate: expected PEM, or base64 of DER", reason="certificate") from None


def _json(kind: EntryKind, id: str, enrollment: Enrollment, *, keys: bool = False) -> JsonObject:
    name = "registrationId" if kind is EntryKind.ENROLLMENT else "enrollmentGroupId"
    twin: JsonObject = {"tags": enrollment.tags or {}, "properties": {"desired": enrollment.desired or {}}}
    return {
        name: id,
        **({"deviceId": enrollment.device or id} if kind is EntryKind.ENROLLMENT else {}),
        "attestation": _attestation_json(kind, enrollment, keys=keys),
        "provisioningStatus": "enabled" if enrollment.enabled else "disabled",
        "initialTwin": twin,
        "etag": enrollment.etag,
        "patient": enrollment.patient,
    }


def _attestation_json(kind: EntryKind, enrollment: Enrollment, *, keys: bool) -> JsonObject:
    if not enrollment.certificates:
        shown: JsonObject = dict(zip(("primaryKey", "secondaryKey"), enrollment.keys, strict=True)) if keys else {}
        return {"type": "symmetricKey", "symmetricKey": shown}
    infos: JsonObject = {}
    for name, certificate in zip(("primary", "secondary"), enrollment.certificates, strict=False):
        infos[name] = {"info": _info(base64.b64decode(certificate))}
    kinds = "signingCertificates" if kind is EntryKind.ENROLLMENT_GROUP else "clientCertificates"
    return {"type": "x509", "x509": {kinds: infos}}


def _info(der: bytes) -> JsonObject:
    """What the service tells of a certificate; the SDK for Java reads no enrollment without."""
    told = facts(der)
    sha1, sha256 = sorted(thumbprints(der), key=len)
    return {
        "subjectName": told.subject,
        "sha1Thumbprint": sha1,
        "sha256Thumbprint": sha256,
        "issuerName": told.issuer,
        "notBeforeUtc": iso(told.begins_us),
        "notAfterUtc": iso(told.expires_us),
        "serialNumber": told.serial,
        "version": told.version,
    }


def _matching(enrollment: Enrollment, if_match: str) -> Enrollment:
    if if_match.strip('"') not in ("*", enrollment.etag):
        raise PreconditionFailed("expected If-Match to be the enrollment's present etag, or *; read it again")
    return enrollment


def _parse(content: bytes, kind: EntryKind, id: str) -> _Body:
    body = parse(content, _Body, "enrollment")
    group = kind is EntryKind.ENROLLMENT_GROUP
    if (body.enrollment_group_id if group else body.registration_id) != id:
        raise BadInput("id: expected the same as in the path", reason="schema")
    if body.device_id is not None and (group or not DEVICE_ID.fullmatch(body.device_id)):
        raise BadInput("deviceId: expected one that a device can have, and none for a group", reason="device_id")
    return body
