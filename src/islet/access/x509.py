"""Certificates of devices as credentials: by thumbprint, or signed by an authority that this installation trusts.

The TLS handshake has proved that the device has the private key, and that the chain holds; who it may be is decided
here. Source: MicrosoftDocs azure-docs, iot-hub-x509ca-overview.md and iot-hub-x509-certificate-concepts.md.
"""

import re
from collections.abc import Collection
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from islet.access.sas import Admission, device_principal
from islet.errors import AccessDenied, BadInput
from islet.model.people import Device
from islet.model.time import to_us

UNREADABLE: Final = (ValueError, x509.InvalidVersion)
"""What cryptography raises for octets that are no certificate."""

_THUMBPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


class PeerCertificate(Struct, frozen=True, kw_only=True):
    """What a device showed in a handshake that succeeded."""

    thumbprints: frozenset[str]
    common_name: str
    expires_us: int
    root: str = ""
    """The thumbprint of the certificate that its chain ends with; its own for one that is trusted by thumbprint."""


class Facts(Struct, frozen=True, kw_only=True):
    """What stands in a certificate: names as RFC 4514 writes them, the serial number in hexadecimal digits."""

    subject: str
    issuer: str
    serial: str
    version: int
    begins_us: int
    expires_us: int


def facts(der: bytes) -> Facts:
    """Of a certificate that `parse_certificate` or `read_authority` has read."""
    certificate = x509.load_der_x509_certificate(der)
    return Facts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:X}",
        version=certificate.version.value + 1,
        begins_us=to_us(certificate.not_valid_before_utc),
        expires_us=to_us(certificate.not_valid_after_utc),
    )


def thumbprints(der: bytes) -> frozenset[str]:
    """SHA-1 and SHA-256 of a certificate, in capital hexadecimal digits: devices are registered with either."""
    certificate = x509.load_der_x509_certificate(der)
    # SHA-1 is what IoT Hub's registry takes; nobody can make another certificate to a given one's
    return frozenset(certificate.fingerprint(kind).hex().upper() for kind in (SHA1(), SHA256()))  # noqa: S303


def thumbprint(der: bytes) -> str:
    """The SHA-256 of a certificate, in capital hexadecimal digits."""
    return x509.load_der_x509_certificate(der).fingerprint(SHA256()).hex().upper()


def parse_thumbprint(text: str) -> str:
    """A thumbprint as it is kept, from any usual way to write one ("" stays).

    Raises BadInput for what is none.

    >>> parse_thumbprint("ab:" * 19 + "cd")[-4:]
    'ABCD'
    """
    plain = text.replace(":", "").replace(" ", "").upper()
    if plain and not _THUMBPRINT.fullmatch(plain):
        raise BadInput("thumbprint: expected SHA-1 or SHA-256 in hexadecimal digits", reason="thumbprint")
    return plain


def read_peer(leaf: bytes, root: bytes | None) -> PeerCertificate:
    """What is known of a peer from its certificate and the end of its chain, both DER. Raises AccessDenied."""
    try:
        certificate = x509.load_der_x509_certificate(leaf)
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return PeerCertificate(
            thumbprints=thumbprints(leaf),
            common_name=str(names[0].value) if len(names) == 1 else "",
            expires_us=to_us(certificate.not_valid_after_utc),
            root=thumbprint(root) if root else "",
        )
    except UNREADABLE:
        raise AccessDenied("the certificate cannot be read") from None


def parse_certificate(content: bytes) -> bytes:
    """The DER of a certificate, from PEM or DER. Raises BadInput."""
    return _load(content).public_bytes(Encoding.DER)


def read_authority(content: bytes) -> bytes:
    """The DER of a certificate that may sign devices', from PEM or DER. Raises BadInput."""
    certificate = _load(content)
    try:
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound):
        signs = False
    if not signs:
        raise BadInput("certificate: expected an authority's (CA:TRUE)", reason="certificate")
    return certificate.public_bytes(Encoding.DER)


def _load(content: bytes) -> x509.Certificate:
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except UNREADABLE:
        raise BadInput("certificate: expected one, PEM or DER", reason="certificate") from None


def admit_certificate(peer: PeerCertificate, device: Device | None, authorities: Collection[str]) -> Admission:
    """Whom a certificate speaks for: the device that is registered with its thumbprint, or the one that it is named
    after, where one of the `authorities` (SHA-256 thumbprints) has signed it.

    Raises AccessDenied; the reason tells a stranger nothing of which devices exist.
    """
    if device is None or not _is_for(peer, device, authorities):
        raise AccessDenied("the certificate is not one of a device that is known here")
    if not device.enabled:
        raise AccessDenied("the device is disabled")
    return Admission(principal=device_principal(device), expires_us=peer.expires_us)


def _is_for(peer: PeerCertificate, device: Device, authorities: Collection[str]) -> bool:
    if device.authentication == "selfSigned":
        registered = {device.primary_thumbprint, device.secondary_thumbprint} - {""}
        return not registered.isdisjoint(peer.thumbprints)
    if device.authentication == "certificateAuthority":
        return peer.common_name == device.id and peer.root in authorities
    return False
