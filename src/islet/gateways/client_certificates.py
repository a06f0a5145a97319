"""Certificates of devices in a TLS handshake: those whose thumbprint is registered, and those of trusted authorities.

OpenSSL refuses a self-signed certificate unless it is itself a trust anchor, the registry has thumbprints only, and
Python's ssl has no hook for a decision of one's own. So the Certificate message is looked at as it comes in: a
certificate that is registered becomes a trust anchor before OpenSSL judges it. docs/decisions/0025 says why.
"""

import _ssl
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from cryptography import x509

from islet.access.x509 import UNREADABLE, PeerCertificate, read_peer, thumbprints

_HANDSHAKE: Final = 22
_CERTIFICATE: Final = 11
_TLS_1_3: Final = 0x0304

_log = structlog.get_logger("islet.gateways.mqtt")


class Trusted(Protocol):
    """What is asked of the registry."""

    @property
    def version(self) -> object: ...
    def knows_certificate(self, thumbprints: Iterable[str], /) -> bool:
        """Whether a device (or one that may register) has one of these thumbprints."""

    def authorities(self) -> Mapping[str, bytes]:
        """The certificates of authorities (DER) by thumbprint."""


def take_client_certificates(context: ssl.SSLContext, *trusted: Trusted) -> None:
    """Let the listener of `context` ask devices for a certificate, and take none, or one that `trusted` know.

    That a handshake succeeded says that the device has the key of a certificate that is or was known here; whether it
    still is, and whose, is for `islet.access.x509` to say.
    """
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a registered certificate need not be an authority's
    context.num_tickets = 0  # a resumed session has no chain to look at
    anchors = _Anchors(context, trusted)
    # the setter of ssl.SSLContext would turn each argument of each record into an enum's member
    _ssl._SSLContext._msg_callback.__set__(context, anchors.see)  # type: ignore[attr-defined]


class _Anchors:
    def __init__(self, context: ssl.SSLContext, trusted: Sequence[Trusted]) -> None:
        self._context, self._trusted = context, trusted
        self._loaded: set[bytes] = set()
        self._seen: list[object] = [-1] * len(trusted)

    def see(self, _: object, direction: str, version: int, content: int, message: int, data: bytes) -> None:
        """A TLS message, before OpenSSL deals with it; of records only the header. Never raises."""
        if message != _CERTIFICATE or content != _HANDSHAKE or direction != "read":
            return
        try:
            self._look_at(leaf_certificate(data, version))
        except Exception:  # then OpenSSL refuses it
            _log.exception("client_certificate_unreadable")

    def _look_at(self, leaf: bytes) -> None:
        if not leaf:
            return
        versions = [one.version for one in self._trusted]
        if self._seen != versions:
            for one in self._trusted:
                for authority in one.authorities().values():
                    self._load(authority)
            self._seen = versions
        if leaf not in self._loaded and _is_certificate(leaf):
            digests = thumbprints(leaf)
            if any(one.knows_certificate(digests) for one in self._trusted):
                self._load(leaf)

    def _load(self, certificate: bytes) -> None:
        if certificate not in self._loaded:
            self._context.load_verify_locations(cadata=certificate)
            self._loaded.add(certificate)


def leaf_certificate(message: bytes, version: int) -> bytes:
    """The DER of the first certificate of a TLS Certificate message, b"" where there is none.

    Layout: RFC 5246 7.4.2; RFC 8446 4.4.2 puts a context before it. Lengths that do not fit give what there is.
    """
    at = 4  # type and length of the message
    if version == _TLS_1_3:
        at += 1 + (message[at] if len(message) > at else 0)
    at += 3  # length of the list
    length = int.from_bytes(message[at : at + 3], "big")
    return message[at + 3 : at + 3 + length]


def peer_certificate(connection: Any) -> PeerCertificate | None:
    """What the peer of an `ssl.SSLObject` showed (None: nothing, or there is no TLS). Raises AccessDenied."""
    leaf = None if connection is None else connection.getpeercert(binary_form=True)
    if not leaf:
        return None
    chain = _verified_chain(connection)
    return read_peer(leaf, chain[-1] if chain else None)


def peer_of(scope: Mapping[str, Any]) -> PeerCertificate | None:
    """The same for who asks over HTTPS, by the scope of the request. Raises AccessDenied."""
    return peer_certificate(scope.get("ssl_object"))


def _verified_chain(connection: Any) -> list[bytes]:
    find: Callable[[], list[bytes]] | None = getattr(connection, "get_verified_chain", None)
    if find is not None:  # Python 3.13 and later
        return find()
    return [one.public_bytes(_ssl.ENCODING_DER) for one in connection._sslobj.get_verified_chain() or ()]


def _is_certificate(der: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(der)
    except UNREADABLE:
        return False
    return True
