"""What Microsoft's end-to-end suites for Node ask beside telemetry and commands: registry, configurations, Plug and Play."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from islet.decode.device_messages import read_kept
from islet.decode.iothub_twins import ServiceTwin
from islet.gateways.amqp_events import event_message
from islet.model.topics import Topic
from islet.store.devices_base import Address, Command, Module
from tests.conftest import Missing, need_ports, own_host
from tests.gateways.hub import HTTPS_PORT, MQTT_PORT, Hub, opened_hub
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(94)
PATIENCE_S = 30.0
MODEL = "dtmi:com:example:Thermostat;1"


@pytest.fixture
async def hub(missing: Missing, tmp_path: Path) -> AsyncIterator[Hub]:
    require_node(missing)
    need_ports(missing, HOST, MQTT_PORT, HTTPS_PORT)
    async with opened_hub(HOST, tmp_path, keeps_messages=True) as hub:
        yield hub


async def test_the_registry_does_what_the_suites_ask(hub: Hub) -> None:
    script = await Script.started(hub, "registry.js", hub.service_text())
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {
                "absent": ["DeviceNotFoundError"] * 3,
                "gateways": {"edge": [True, False], "behind": True, "parents": 1, "elsewhere": "ArgumentError"},
                "twins": {"tags": {}, "desired": ["$metadata", "$version"], "version": 3},
                "configurations": {"content": True, "listed": [["node_1", 98]], "gone": 404},
            }
            assert await script.ended() == 0
    finally:
        script.kill()


@pytest.mark.parametrize(("transport", "kind"), [("mqtt", "device"), ("mqtt-ws", "module")])
async def test_a_plug_and_play_device_says_its_model_and_takes_commands_of_components(
    hub: Hub, transport: str, kind: str
) -> None:
    device = hub.door.add_device()
    address, text = hub.door.address(device), hub.device_text(device)
    if kind == "module":
        module = Module(device="cgm-1", id="m1", generation_id="2", primary_key=device.primary_key)
        hub.door.devices.create_module(module)
        address, text = Address("cgm-1", "2", "m1"), hub.device_text(device, "m1")
    arguments = (transport, text, str(hub.certificates.authority), kind)
    script = await Script.started(hub, "plug_and_play.js", *arguments)
    exchange = hub.door.exchange
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"ready": True}
            assert (await exchange.twin(address)).model_id == MODEL
            for name in ("reboot", "sensor*blink"):
                answer = await exchange.invoke(address, name, b"1", answer_s=5.0, connect_s=5.0)
                assert answer == (200, b'["%s",1]' % name.encode())
            await exchange.change_twin(address, ServiceTwin(desired={"fake": "service"}))
            assert await script.said() == {"desired": ["service", 2], "reported": ["device", 2]}
            assert await script.ended() == 0
    finally:
        script.kill()
    (sent,) = [row for row in hub.door.rows(Topic.DEVICE_MESSAGES) if row["type"] == "Telemetry"]
    message = event_message(sent, 0)
    assert (message.annotations["dt-subject"], message.content_type) == ("sensor", "application/json")


@pytest.mark.parametrize("transport", ["mqtt-ws", "amqp-ws"])
async def test_the_largest_command_reaches_a_device_which_sends_as_much(hub: Hub, transport: str) -> None:
    device, most = hub.door.add_device(), 256 * 1024 - 1024
    await hub.door.exchange.send(hub.door.address(device), Command(body=b"abcd" * (most // 4)))
    arguments = (transport, hub.device_text(device), str(hub.certificates.authority))
    script = await Script.started(hub, "largest.js", *arguments)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"bytes": most}
            assert await script.ended() == 0
    finally:
        script.kill()
    (sent,) = hub.door.rows(Topic.DEVICE_MESSAGES)
    assert read_kept(str(sent["body"])).payload == b"abcd" * (most // 4)
