"""MQTT.js, unmodified, as a device that speaks MQTT 5: over TLS and through a WebSocket."""

import asyncio

import pytest

from islet.access.sas import make_token
from islet.decode.mqtt5_codes import Code
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.conftest import Missing, own_host
from tests.gateways.hub import Hub, wall_now
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(96)
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def node(missing: Missing) -> None:
    require_node(missing)


@pytest.mark.parametrize("way", ["mqtts://{}:8883", "wss://{}/$iothub/websocket"])
async def test_mqtt_js_is_served_in_version_5(hub: Hub, way: str) -> None:
    device = hub.door.add_device()
    properties = {"$.ct": "text/plain", "kind": "y"}
    await hub.door.exchange.send(hub.door.address(device), Command(body=b"buzz", properties=properties))
    token = make_token(f"{HOST}/devices/{device.id}", device.primary_key, wall_now() // 1_000_000 + 60)
    script = await Script.started(
        hub, "mqtt5.js", way.format(HOST), HOST, device.id, token, str(hub.certificates.authority)
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"present": False}
            assert await script.said() == {"granted": [1, 1]}
            assert await script.said() == {"sent": [0, 0]}
            assert await script.said() == {"dead": 0, "retained": 0}
            assert await script.said() == {"wrong": Code.TOPIC}
            said = [await script.said(), await script.said()]
            assert {"command": "buzz", "type": "text/plain", "kind": "y"} in said
            assert {"twin": "$iothub/twin/res/200/?$rid=1", "identifier": 7} in said
            assert await script.said() == {"code": Code.TOPIC, "again": True}
            assert await script.said() == {"sent": [0]}
            assert await script.ended() == 0
    finally:
        script.kill()
    assert hub.door.devices.pending_commands() == {}
    assert [row["value"] for row in hub.door.rows(Topic.GLUCOSE_READINGS)] == [100, 101, 102, 103]
    assert [row["type"] for row in hub.door.rows(Topic.DEAD_LETTERS)] == ["json"]
