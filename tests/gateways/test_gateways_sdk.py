"""Microsoft's own device SDK, unmodified, at our front door over TLS."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.exceptions import CredentialError

from islet.access.sas import ConnectionString, format_connection_string, new_key
from islet.gateways.certificates import CertificatePaths, ensure_certificates, server_ssl_context
from islet.model.topics import Topic
from islet.store.registry import SqliteRegistry
from tests.conftest import Missing
from tests.gateways.door import Door, reading

HOST = "127.0.0.83"  # an address of its own: the SDK's port is fixed
PORT = 8883
READINGS = 1000


@pytest.fixture
def certificates(tmp_path: Path) -> CertificatePaths:
    return ensure_certificates(tmp_path, HOST, _wall_now())


@pytest.fixture
async def hub(certificates: CertificatePaths, missing: Missing, tmp_path: Path) -> AsyncIterator[Door]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            missing(f"a free {HOST}:{PORT}")
    tls = server_ssl_context(certificates)
    registry = SqliteRegistry(tmp_path / "store.db", bytes(32))
    async with Door.opened(wall_now=_wall_now, hub=HOST, host=HOST, port=PORT, tls=tls, registry=registry) as door:
        yield door
    registry.close()


def _wall_now() -> int:
    return time.time_ns() // 1000  # noqa: TID251 (the SDK dates its tokens by the machine's clock)


def _client(key: str, certificates: CertificatePaths) -> IoTHubDeviceClient:
    text = format_connection_string(ConnectionString(host=HOST, device="cgm-1", key=key))
    return IoTHubDeviceClient.create_from_connection_string(
        text,
        server_verification_cert=certificates.authority.read_text(),
        connection_retry=False,
        auto_connect=False,
    )


def _message(value: float) -> Message:
    return Message(reading(value), content_encoding="utf-8", content_type="application/json")  # type: ignore[no-untyped-call]


async def test_a_thousand_readings_of_the_sdk_are_in_the_log_once_each(
    hub: Door, certificates: CertificatePaths
) -> None:
    client = _client(hub.add_device().primary_key, certificates)
    await client.connect()
    try:
        async with asyncio.TaskGroup() as sending:
            for number in range(READINGS):
                message = _message(100 + number / 10)
                message.message_id = f"m {number}"
                message.custom_properties["kind"] = "a/b+c&d=e"
                sending.create_task(client.send_message(message))
        assert await client.get_twin() == {"desired": {"$version": 1}, "reported": {"$version": 1}}
    finally:
        await client.shutdown()
    values = sorted(float(str(row["value"])) for row in hub.rows(Topic.GLUCOSE_READINGS))
    assert values == [100 + number / 10 for number in range(READINGS)]
    assert hub.rows(Topic.DEAD_LETTERS) == []


async def test_the_sdk_with_a_wrong_key_is_refused(hub: Door, certificates: CertificatePaths) -> None:
    hub.add_device()
    client = _client(new_key(), certificates)
    try:
        with pytest.raises(CredentialError):
            await client.connect()
    finally:
        await client.shutdown()
    assert (hub.mqtt.connected, hub.mqtt.refused) == (0, 1)
