"""Microsoft's own SDKs for Node, unmodified: devices over MQTT, WebSocket and HTTPS, services over HTTPS."""

import asyncio

import pytest

from islet.decode.iothub_twins import ServiceTwin
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.conftest import Missing, own_host
from tests.gateways.hub import Hub, wall_now
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(86)
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def node(missing: Missing) -> None:
    require_node(missing)


@pytest.mark.parametrize("transport", ["mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"])
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


@pytest.mark.parametrize("transport", ["amqp", "amqp-ws"])
async def test_the_sdk_for_node_of_services_sends_a_command_and_hears_how_it_ended(hub: Hub, transport: str) -> None:
    device = hub.door.add_device()
    address, exchange = hub.door.address(device), hub.door.exchange
    script = await Script.started(hub, "service_amqp.js", hub.service_text(), transport)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"sent": True}
            (letter,) = await exchange.take_one(address)
            assert (letter.command.body, letter.command.ack) == (b"buzz", "full")
            assert letter.command.properties == {"$.mid": "m 1", "kind": "a/b c"}
            assert await script.said() == {"nobody": "DeviceNotFoundError"}
            await exchange.complete(address, letter.lock_token)
            assert await script.said() == {"heard": [["m 1", "Success", "cgm-1"]]}
            assert await script.ended() == 0
            assert await exchange.write(lambda: hub.door.devices.take_feedback(wall_now() + 120_000_000)) is None
    finally:
        script.kill()
