"""A certificate for this installation, signed by a certificate authority of its own, for where no public one is.

Devices and browsers are given `authority` to trust. Both keys stay in the data directory, readable by the owner only.
"""

import fcntl
import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from islet.model.time import from_us

AUTHORITY_LASTS = timedelta(days=3650)
SERVER_LASTS = timedelta(days=397)  # what browsers accept at most
RENEW_BEFORE = timedelta(days=30)
_CLOCK_DIFFERENCE = timedelta(days=1)  # devices' clocks may be behind ours


class CertificatePaths(Struct, frozen=True, kw_only=True):
    """PEM files. `authority` is what others trust; `certificate` is the server's with the authority's after it."""

    authority: Path
    certificate: Path
    key: Path


def ensure_certificates(data_dir: Path, hub_name: str, now_us: int) -> CertificatePaths:
    """The installation's certificates, made or renewed where needed; `now_us` is the wall's clock.

    The server's is made anew when fewer than 30 days are left, or when it is not for `hub_name`; the authority's when
    the server's would outlive it, and then has to be trusted again. Of processes that start at once one makes them.
    """
    directory = data_dir / "certificates"
    directory.mkdir(parents=True, exist_ok=True)
    paths = CertificatePaths(
        authority=directory / "authority.pem", certificate=directory / "server.pem", key=directory / "server.key"
    )
    with _alone(directory):
        return _ensured(paths, directory / "authority.key", _names(hub_name), from_us(now_us))


def _ensured(
    paths: CertificatePaths, authority_key_path: Path, names: list[x509.GeneralName], now: datetime
) -> CertificatePaths:
    if not (authority_key_path.exists() and _lasts(paths.authority, now + SERVER_LASTS)):
        authority, authority_key = _make_authority(now)
        _write(authority_key_path, _key_pem(authority_key), secret=True)
        _write(paths.authority, authority.public_bytes(Encoding.PEM))
    elif paths.key.exists() and _lasts(paths.certificate, now + RENEW_BEFORE) and _is_for(paths.certificate, names):
        return paths
    authority = x509.load_pem_x509_certificate(paths.authority.read_bytes())
    server, server_key = _make_server(authority, _load_key(authority_key_path), names, now)
    _write(paths.key, _key_pem(server_key), secret=True)
    _write(paths.certificate, server.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM))
    return paths


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait until no other process is in here; the system lets go when one ends, however."""
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def server_ssl_context(paths: CertificatePaths) -> ssl.SSLContext:
    """What listeners use: TLS 1.2 and later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(paths.certificate, paths.key)
    return context


def client_ssl_context(authority: Path | None) -> ssl.SSLContext:
    """What our own agent uses: trusts that authority and nobody else; those of the system without one."""
    context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _names(hub_name: str) -> list[x509.GeneralName]:
    texts = dict.fromkeys([hub_name, "localhost", "127.0.0.1", "::1"])
    return [_general_name(text) for text in texts]


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _lasts(path: Path, until: datetime) -> bool:
    return path.exists() and x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc >= until


def _is_for(path: Path, names: list[x509.GeneralName]) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == names


def _make_authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject("Islet certificate authority of this installation")
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def _make_server(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    now: datetime,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject("Islet"), authority.subject, key.public_key(), now, SERVER_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(issuer_key_id, critical=False).sign(authority_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_DIFFERENCE)
        .not_valid_after(now - _CLOCK_DIFFERENCE + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Beside it and then in its place, so that no half file is ever there; a secret is never readable by others."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644), "wb") as file:
        file.write(content)
    beside.replace(path)
