"""Microsoft's own SDKs for Node, unmodified: devices over MQTT, WebSocket and HTTPS, services over HTTPS.

Installed by `npm install azure-iot-device azure-iot-device-mqtt azure-iot-device-http azure-iothub` in build/node-sdk.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from islet.decode.iothub_twins import ServiceTwin
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.conftest import Missing
from tests.gateways.hub import HTTPS_PORT, MQTT_PORT, Hub, can_bind, opened_hub

HOST = "127.0.0.86"  # an address of its own: the SDKs' ports are fixed
PATIENCE_S = 30.0
_HERE = Path(__file__).parent
_MODULES = _HERE.parent.parent / "build/node-sdk/node_modules"


@pytest.fixture
async def hub(missing: Missing, tmp_path: Path) -> AsyncIterator[Hub]:
    if shutil.which("node") is None or not (_MODULES / "azure-iot-device-mqtt").is_dir():
        missing("the IoT Hub SDK for Node in build/node-sdk")
    for port in (MQTT_PORT, HTTPS_PORT):
        if not can_bind(HOST, port):
            missing(f"a free {HOST}:{port}")
    async with opened_hub(HOST, tmp_path) as hub:
        yield hub


class Script:
    """A script of ours that runs in Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, hub: Hub, name: str, *arguments: str) -> "Script":
        environment = {
            **os.environ,
            "NODE_PATH": str(_MODULES),
            "NODE_EXTRA_CA_CERTS": str(hub.certificates.authority),
            "NODE_NO_WARNINGS": "1",
        }
        pipe = asyncio.subprocess.PIPE
        path = str(_HERE / "node" / name)
        process = await asyncio.create_subprocess_exec(
            "node", path, *arguments, env=environment, stdout=pipe, stderr=pipe
        )
        return cls(process)

    async def said(self) -> Any:
        """What it says on its next line."""
        assert self._process.stdout is not None and self._process.stderr is not None
        line = await self._process.stdout.readline()
        assert line, (await self._process.stderr.read()).decode()
        return json.loads(line)

    async def ended(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


@pytest.mark.parametrize("transport", ["mqtt", "mqtt-ws", "http"])
async def test_the_sdk_for_node_is_served(hub: Hub, transport: str) -> None:
    device = hub.door.add_device()
    address, exchange = hub.door.address(device), hub.door.exchange
    properties = {"$.mid": "m 1", "kind": "a/b c"}
    await exchange.send(address, Command(body=b"buzz", properties=properties))
    script = await Script.started(hub, "device.js", transport, hub.device_text(device), str(hub.certificates.authority))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"sent": 3}
            assert await script.said() == {"command": "buzz", "id": "m 1", "kind": "a/b c"}
            if transport != "http":
                assert await script.said() == {"ready": True}
                answer = await exchange.invoke(address, "measure", b'{"a":1}', answer_s=5.0, connect_s=5.0)
                assert answer == (201, b'{"got":{"a":1}}')
                await exchange.change_twin(address, ServiceTwin(desired={"every_s": 60}))
                assert [await script.said(), await script.said()] == [{"called": {"a": 1}}, {"every_s": 60}]
                assert hub.door.devices.twin(address).reported.values == {"battery": 80}
            assert await script.ended() == 0
    finally:
        script.kill()
    assert hub.door.devices.pending_commands() == {}
    assert [row["value"] for row in hub.door.rows(Topic.GLUCOSE_READINGS)] == [100, 101, 102]


async def test_the_sdk_for_node_of_services_is_served(hub: Hub) -> None:
    hub.door.add_device()
    script = await Script.started(hub, "service.js", hub.service_text())
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {
                "made": "pump-1",
                "again": 409,
                "listed": ["cgm-1", "pump-1"],
                "bulk": True,
                "tags": {"ward": 4},
                "desired": 60,
                "found": ["cgm-1"],
                "total": 4,
                "method": 404,
                "gone": 404,
            }
            assert await script.ended() == 0
    finally:
        script.kill()
