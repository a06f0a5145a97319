"""Commands and twins on a whole platform: a service asks over HTTPS, the official SDK listens through WebSocket."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.iot.device.aio import IoTHubDeviceClient

from islet.access.sas import ConnectionString, format_connection_string, make_token
from islet.clock import wall_us
from islet.model.people import Patient
from islet.opened import opened_registry
from islet.provision import ensure_worn
from islet.settings import load
from tests.conftest import Missing, need_ports, own_host
from tests.platform.process import PlatformProcess

HOST = own_host(92)
PORT, AMQP_PORT = 443, 5671
SASL = b"AMQP\x03\x01\x00\x00"


@pytest.fixture
def platform(tmp_path: Path, missing: Missing) -> Iterator[PlatformProcess]:
    need_ports(missing, HOST, PORT, AMQP_PORT)
    environment = {
        "ISLET_HOST": HOST,
        "ISLET_HUB_NAME": HOST,
        "ISLET_HTTPS_PORT": str(PORT),
        "ISLET_AMQP_TLS_PORT": str(AMQP_PORT),
        "ISLET_ROLES": "gateway,web",
    }
    one = PlatformProcess(tmp_path, environment, host=HOST)
    one.start()
    yield one
    one.kill()


async def test_a_command_reaches_the_official_sdk_and_what_it_reports_its_twin(platform: PlatformProcess) -> None:
    with opened_registry(load(None, {"ISLET_DATA_DIR": str(platform.data_dir)})) as registry:
        key = ensure_worn(registry, Patient(id="p-1"), "cgm-1", HOST).key
        platform.wait_until_ready()
        owner = registry.secret("policy/iothubowner")
    assert owner is not None
    headers = {"Authorization": make_token(HOST, owner, wall_us() // 1_000_000 + 60, "iothubowner")}
    version = {"api-version": "2021-04-12"}
    sdk = IoTHubDeviceClient.create_from_connection_string(
        format_connection_string(ConnectionString(host=HOST, device="cgm-1", key=key)),
        server_verification_cert=(platform.data_dir / "certificates" / "authority.pem").read_text(),
        connection_retry=False,
        websockets=True,
    )
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, params=version) as service:
        to = {"iothub-to": "/devices/cgm-1/messages/deviceBound"}
        assert (await service.post("/messages/deviceBound", content=b"buzz", headers=to)).status_code == 204
        await sdk.connect()
        try:
            assert (await sdk.receive_message()).data == b"buzz"
            await sdk.patch_twin_reported_properties({"buzzed": True})
        finally:
            await sdk.shutdown()
        twin = (await service.get("/twins/cgm-1")).json()
        assert twin["properties"]["reported"]["buzzed"] is True
        assert (await service.get("/devices/cgm-1")).json()["cloudToDeviceMessageCount"] == 0
    tls = ssl.create_default_context(cafile=str(platform.data_dir / "certificates" / "authority.pem"))
    reader, writer = await asyncio.open_connection(HOST, AMQP_PORT, ssl=tls)
    writer.write(SASL)
    assert await reader.readexactly(len(SASL)) == SASL
    assert platform.stop() == 0
