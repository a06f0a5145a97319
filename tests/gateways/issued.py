"""Certificates for tests: an authority of devices, what it signs, and what signs itself."""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from islet.model.time import from_us
from tests.gateways.hub import wall_now


class Issued(NamedTuple):
    """A certificate with its key, and those that signed it (its own authority first)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def sha1(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def files(self, directory: Path) -> tuple[str, str]:
        """The chain without its root, and the key, in PEM files."""
        common_name = self.certificate.serial_number
        certificate, key = directory / f"{common_name}.pem", directory / f"{common_name}.key"
        shown = (self.certificate, *self.chain[:-1])
        certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in shown))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(certificate), str(key)


def issue(name: str, by: Issued | None = None, *, authority: bool = False, days: int = 9) -> Issued:
    """A certificate for `name`, signed `by` an authority or (None) by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = from_us(wall_now())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    certificate = builder.sign(by.key if by else key, hashes.SHA256())
    return Issued(certificate, key, (by.certificate, *by.chain) if by else ())
