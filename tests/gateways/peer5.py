"""What tests of MQTT 5 at the front door have in common: messages to send, and how a connection ends."""

import asyncio
from typing import Any

from islet.decode.mqtt5_packets import (
    Connack5,
    Disconnect5,
    Publish5,
    Suback5,
    Subscribe5,
    encode5,
)
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import Packet
from islet.model.people import Device
from islet.model.topics import Topic
from tests.gateways.door import Door, Peer5

COMMANDS = "devices/cgm-1/messages/devicebound/#"
EVENTS = "devices/cgm-1/messages/events/"
TWIN = "$iothub/twin/res/#"
METHODS = "$iothub/methods/POST/#"


def sent(payload: bytes, packet_id: int = 1, topic: str = EVENTS, **properties: Any) -> Publish5:
    return Publish5(topic, payload, 1 if packet_id else 0, packet_id, False, False, Properties(**properties))


async def ending(peer: Peer5) -> tuple[int, str]:
    """Why the server closes: the code and the words of its DISCONNECT, which is its last packet."""
    packet = await peer.receive()
    while not isinstance(packet, Disconnect5):
        assert packet is not None, "closed without DISCONNECT"
        packet = await peer.receive()
    assert await peer.receive() is None
    return packet.code, packet.properties.reason or ""


async def refused(door: Door, connect: Packet | bytes) -> tuple[int, str]:
    """How CONNECT is refused: the code and the words of CONNACK, which is all that comes."""
    peer = await door.peer5()
    peer.send_bytes(connect if isinstance(connect, bytes) else encode5(connect))
    answer = await peer.receive()
    assert isinstance(answer, Connack5) and await peer.receive() is None
    return answer.code, answer.properties.reason or ""


async def subscribed(door: Door, device: Device, *filters: str, **options: Any) -> Peer5:
    peer = await door.connected5(device, **options)
    peer.send(Subscribe5(1, tuple((text, 1) for text in filters)))
    assert await peer.receive() == Suback5(1, (1,) * len(filters))
    return peer


async def settled(door: Door) -> None:
    await door.exchange.write(lambda: None)


async def values(door: Door) -> list[object]:
    await door.intake.settled()
    return [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]


async def gone(door: Door) -> None:
    async with asyncio.timeout(5):
        while door.mqtt.connected:
            await asyncio.sleep(0.01)
