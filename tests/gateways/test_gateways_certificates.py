"""Certificates that clients accept: chain, names, permissions of the files, renewal."""

import asyncio
import ssl
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from islet.gateways.certificates import (
    _make_authority,
    client_ssl_context,
    ensure_certificates,
    server_ssl_context,
)
from islet.model.time import DAY_US

NOW_US = 1_795_248_180_000_000


def expiry(path: Path) -> int:
    return int(x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp())


@pytest.mark.parametrize("hub", ["hub.example", "localhost", "127.0.0.77"])
def test_the_certificate_is_for_the_hub_and_for_this_machine(tmp_path: Path, hub: str) -> None:
    paths = ensure_certificates(tmp_path, hub, NOW_US)
    certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
    authority = x509.load_pem_x509_certificate(paths.authority.read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    shown = {str(name.value) for name in names}
    assert shown == {hub, "localhost", "127.0.0.1", "::1"}


def test_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path, "hub.example", NOW_US)
    keys = [paths.key, paths.authority.with_suffix(".key")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600, 0o600]
    assert sorted(path.name for path in paths.key.parent.iterdir()) == [
        "authority.key",
        "authority.pem",
        "server.key",
        "server.pem",
    ]


def test_they_are_kept_until_fewer_than_thirty_days_are_left(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path, "hub.example", NOW_US)
    first = paths.certificate.read_bytes()
    end_us = expiry(paths.certificate) * 1_000_000
    ensure_certificates(tmp_path, "hub.example", end_us - 30 * DAY_US)
    assert paths.certificate.read_bytes() == first
    authority = paths.authority.read_bytes()
    ensure_certificates(tmp_path, "hub.example", end_us - 30 * DAY_US + 1)
    assert paths.certificate.read_bytes() != first and paths.authority.read_bytes() == authority
    assert expiry(paths.certificate) * 1_000_000 > end_us


def test_processes_that_start_at_once_have_one_authority_and_a_key_that_fits_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, both = list[int](), threading.Barrier(2)

    def make(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        made.append(1)
        with suppress(threading.BrokenBarrierError):  # the other does not come while we are here
            both.wait(0.3)
        return _make_authority(now)

    monkeypatch.setattr("islet.gateways.certificates._make_authority", make)
    with ThreadPoolExecutor(2) as starting:
        found = list(starting.map(lambda _: ensure_certificates(tmp_path, "hub.example", NOW_US), range(2)))
    assert len(made) == 1
    server_ssl_context(found[0])


def test_a_new_name_gives_a_new_certificate_of_the_same_authority(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path, "old.example", NOW_US)
    first, authority = paths.certificate.read_bytes(), paths.authority.read_bytes()
    ensure_certificates(tmp_path, "new.example", NOW_US)
    assert paths.certificate.read_bytes() != first and paths.authority.read_bytes() == authority


def test_an_authority_at_its_end_is_made_anew(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path, "hub.example", NOW_US)
    authority = paths.authority.read_bytes()
    ensure_certificates(tmp_path, "hub.example", expiry(paths.authority) * 1_000_000 - 100 * DAY_US)
    assert paths.authority.read_bytes() != authority


async def _handshake(tmp_path: Path, client: ssl.SSLContext, name: str, now_us: int) -> str:
    paths = ensure_certificates(tmp_path, "hub.example", now_us)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_ssl_context(paths))
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        version = writer.get_extra_info("ssl_object").version()
        writer.close()
        return str(version)


@pytest.fixture
def real_now_us() -> int:
    """OpenSSL checks certificates by the machine's clock; so does this test."""
    return time.time_ns() // 1000  # noqa: TID251


async def test_a_client_that_trusts_the_authority_connects_and_one_that_does_not_refuses(
    tmp_path: Path, real_now_us: int
) -> None:
    trusting = client_ssl_context(ensure_certificates(tmp_path, "hub.example", real_now_us).authority)
    assert await _handshake(tmp_path, trusting, "hub.example", real_now_us) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        await _handshake(tmp_path, trusting, "other.example", real_now_us)
    with pytest.raises(ssl.SSLCertVerificationError):
        await _handshake(tmp_path, ssl.create_default_context(), "hub.example", real_now_us)


def test_tls_before_1_2_is_not_spoken(tmp_path: Path) -> None:
    context = server_ssl_context(ensure_certificates(tmp_path, "hub.example", NOW_US))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
