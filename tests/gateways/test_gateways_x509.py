"""Devices that prove with a certificate who they are: Microsoft's SDK over TLS, with thumbprints and authorities."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.exceptions import ConnectionDroppedError, ConnectionFailedError, CredentialError
from hypothesis import given
from hypothesis import strategies as st

from islet.access.sas import make_token
from islet.access.x509 import read_authority, read_peer
from islet.errors import AccessDenied, BadInput
from islet.gateways.authorities import put_authority, remove_authority
from islet.gateways.client_certificates import leaf_certificate
from islet.model.people import Device
from islet.model.topics import Topic
from tests.conftest import Missing, own_host
from tests.gateways.door import PATIENCE_S, reading
from tests.gateways.hub import MQTT_PORT, Hub, wall_now
from tests.gateways.issued import Issued, issue
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(88)
REFUSED = (CredentialError, ConnectionFailedError, ConnectionDroppedError)


def register(hub: Hub, **fields: Any) -> Device:
    device = Device(**{"id": "cgm-1", "patient": "p-1", "generation_id": "1", **fields})
    hub.door.registry.create_device(device)
    return device


def trust(hub: Hub, authority: Issued, name: str = "factory") -> None:
    put_authority(hub.door.registry, name, authority.pem, by="test", at_us=0)


def client(hub: Hub, issued: Issued, directory: Path, id: str = "cgm-1", *, websockets: bool = False) -> Any:
    return IoTHubDeviceClient.create_from_x509_certificate(
        x509=X509(*issued.files(directory)),  # type: ignore[no-untyped-call]
        hostname=hub.host,
        device_id=id,
        server_verification_cert=hub.certificates.authority.read_text(),
        connection_retry=False,
        auto_connect=False,
        websockets=websockets,
    )


async def refused(hub: Hub, issued: Issued, directory: Path, id: str = "cgm-1") -> None:
    sdk = client(hub, issued, directory, id)
    try:
        with pytest.raises(REFUSED):
            await sdk.connect()
    finally:
        await sdk.shutdown()
    assert hub.door.mqtt.connected == 0


async def served(hub: Hub, issued: Issued, directory: Path) -> Any:
    """The SDK, after a message of its was taken."""
    sdk = client(hub, issued, directory)
    await sdk.connect()
    await sdk.send_message(reading().decode())
    return sdk


async def gone(sdk: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while sdk.connected:
            await asyncio.sleep(0.02)
    await sdk.shutdown()


async def test_the_sdk_is_served_by_the_thumbprint_of_its_own_certificate_until_that_is_another(
    hub: Hub, tmp_path: Path
) -> None:
    first, second = issue("any name"), issue("any name")
    register(hub, authentication="selfSigned", primary_thumbprint="", secondary_thumbprint=first.sha1.upper())
    sdk = await served(hub, first, tmp_path)
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1
    hub.door.change_device("cgm-1", secondary_thumbprint=second.sha1.upper())
    await gone(sdk)
    await refused(hub, first, tmp_path)  # known to TLS since before, but not the device's any more
    await (await served(hub, second, tmp_path)).shutdown()


async def test_a_certificate_that_nobody_registered_ends_the_handshake(hub: Hub, tmp_path: Path) -> None:
    register(hub, authentication="selfSigned", primary_thumbprint=issue("cgm-1").sha1.upper())
    await refused(hub, issue("cgm-1"), tmp_path)
    assert hub.door.mqtt.refused == 0  # it never came as far as CONNECT


async def test_a_device_may_not_use_the_certificate_of_another(hub: Hub, tmp_path: Path) -> None:
    mine, expired = issue("cgm-1"), issue("cgm-3", days=-1)
    register(hub, authentication="selfSigned", primary_thumbprint=mine.sha1.upper())
    register(hub, id="cgm-2", authentication="selfSigned", primary_thumbprint=issue("cgm-2").sha1.upper())
    register(hub, id="cgm-3", authentication="selfSigned", primary_thumbprint=expired.sha1.upper())
    hub.door.add_device("sas-1")
    for id in ("cgm-2", "sas-1", "nobody"):
        await refused(hub, mine, tmp_path, id)
    assert hub.door.mqtt.refused == 3
    await refused(hub, expired, tmp_path, "cgm-3")


async def test_the_sdk_is_served_by_a_certificate_of_a_trusted_authority_until_that_is_trusted_no_more(
    hub: Hub, tmp_path: Path
) -> None:
    root = issue("Factory", authority=True)
    line = issue("Line 7", root, authority=True)
    register(hub, authentication="certificateAuthority")
    await refused(hub, issue("cgm-1", line), tmp_path)
    trust(hub, root)
    await refused(hub, issue("cgm-2", line), tmp_path)  # a certificate of the authority, but for another device
    sdk = await served(hub, issue("cgm-1", line), tmp_path)
    remove_authority(hub.door.registry, "factory", by="test", at_us=0)
    await gone(sdk)
    await refused(hub, issue("cgm-1", line), tmp_path)


async def test_a_registered_certificate_does_not_make_its_device_an_authority(hub: Hub, tmp_path: Path) -> None:
    """It is a trust anchor of TLS then, so that what it signs gets through the handshake."""
    own = issue("cgm-2", authority=True)
    register(hub, id="cgm-2", authentication="selfSigned", primary_thumbprint=own.sha1.upper())
    register(hub, authentication="certificateAuthority")
    trust(hub, issue("Factory", authority=True))
    await (await served_as(hub, own, tmp_path, "cgm-2")).shutdown()
    await refused(hub, issue("cgm-1", own), tmp_path)
    assert hub.door.mqtt.refused == 1


async def served_as(hub: Hub, issued: Issued, directory: Path, id: str) -> Any:
    sdk = client(hub, issued, directory, id)
    await sdk.connect()
    return sdk


@pytest.mark.parametrize("transport", ["mqtt", "mqtt-ws", "amqp", "amqp-ws"])
async def test_the_sdk_for_node_is_served_by_its_certificate(
    hub: Hub, tmp_path: Path, missing: Missing, transport: str
) -> None:
    require_node(missing)
    own = issue("cgm-1")
    register(hub, authentication="selfSigned", primary_thumbprint=own.sha1.upper())
    arguments = (transport, HOST, "cgm-1", *own.files(tmp_path), str(hub.certificates.authority))
    script = await Script.started(hub, "device_x509.js", *arguments)
    try:
        async with asyncio.timeout(3 * PATIENCE_S):
            assert await script.said() == {"sent": True}
            assert await script.ended() == 0
    finally:
        script.kill()
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def asked(hub: Hub, issued: Issued | None, directory: Path, id: str = "cgm-1", token: str = "") -> int:
    """The status of a telemetry request over HTTPS; 0 where TLS is refused."""
    tls = ssl.create_default_context(cafile=str(hub.certificates.authority))
    if issued is not None:
        tls.load_cert_chain(*issued.files(directory))
    headers = {"authorization": token} if token else {}
    url = f"https://{HOST}/devices/{id}/messages/events/"
    async with httpx.AsyncClient(verify=tls, headers=headers, params={"api-version": "2021-04-12"}) as http:
        try:
            return (await http.post(url, content=reading())).status_code
        except httpx.TransportError:
            return 0


async def test_over_https_the_same_certificates_are_good(hub: Hub, tmp_path: Path) -> None:
    own, root, expired = issue("cgm-1"), issue("Factory", authority=True), issue("cgm-3", days=-1)
    register(hub, authentication="selfSigned", primary_thumbprint=own.sha1.upper())
    register(hub, id="cgm-2", authentication="certificateAuthority")
    register(hub, id="cgm-3", authentication="selfSigned", primary_thumbprint=expired.sha1.upper())
    sas = hub.door.add_device("sas-1")
    assert await asked(hub, own, tmp_path) == 204
    assert await asked(hub, issue("cgm-2", root), tmp_path, "cgm-2") == 0  # nobody knows the factory
    trust(hub, root)
    assert await asked(hub, issue("cgm-2", root), tmp_path, "cgm-2") == 204
    assert await asked(hub, issue("cgm-1", root), tmp_path, "cgm-2") == 401
    assert await asked(hub, own, tmp_path, "cgm-2") == 401
    assert await asked(hub, own, tmp_path, "sas-1") == 401
    assert await asked(hub, None, tmp_path) == 401
    assert await asked(hub, expired, tmp_path, "cgm-3") == 0
    token = make_token(f"{HOST}/devices/sas-1", sas.primary_key, wall_now() // 1_000_000 + 60)
    assert await asked(hub, own, tmp_path, "sas-1", token) == 204  # a token goes before a certificate
    hub.door.change_device("cgm-1", primary_thumbprint=issue("cgm-1").sha1.upper())
    assert await asked(hub, own, tmp_path) == 401
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 3


async def test_a_websocket_ends_when_its_certificate_is_another(hub: Hub, tmp_path: Path) -> None:
    own = issue("cgm-1")
    register(hub, authentication="selfSigned", primary_thumbprint=own.sha1.upper())
    sdk = client(hub, own, tmp_path, websockets=True)
    await sdk.connect()
    await sdk.send_message(reading().decode())
    hub.door.change_device("cgm-1", primary_thumbprint=issue("cgm-1").sha1.upper())
    await gone(sdk)
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_a_token_is_still_what_a_device_without_certificate_comes_with(hub: Hub) -> None:
    tls = ssl.create_default_context(cafile=str(hub.certificates.authority))
    _, writer = await asyncio.open_connection(HOST, MQTT_PORT, ssl=tls)
    writer.close()
    sdk = IoTHubDeviceClient.create_from_connection_string(
        hub.device_text(hub.door.add_device()),
        server_verification_cert=hub.certificates.authority.read_text(),
        connection_retry=False,
    )
    await sdk.connect()
    await sdk.shutdown()


@given(st.binary(max_size=64), st.sampled_from((0x0303, 0x0304)))
def test_any_bytes_as_a_certificate_message_give_bytes(message: bytes, version: int) -> None:
    assert leaf_certificate(message, version) in message


def test_a_certificate_of_a_version_that_there_is_not_is_refused() -> None:
    """Found by fuzzing: cryptography has an exception of its own for that."""
    der = issue("cgm-1", authority=True).der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020103"), 1)
    with pytest.raises(BadInput, match="certificate"):
        read_authority(der)
    with pytest.raises(AccessDenied):
        read_peer(der, None)
