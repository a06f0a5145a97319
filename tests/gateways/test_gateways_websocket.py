"""MQTT over WebSocket: the same door, behind HTTP."""

import asyncio

import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from islet.access.sas import make_token
from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import Connack, Connect, Packet, Pingreq, Pingresp, Puback, encode
from islet.gateways.websocket import websocket_routes
from islet.model.people import Device
from islet.model.topics import Topic
from islet.operations.http_server import HttpListener
from tests.gateways.door import HUB, PATIENCE_S, Door, reading, telemetry
from tests.gateways.hub import listening, wall_now

URL = "/$iothub/websocket?iothub-no-client-cert=true"
MQTT = [Subprotocol("mqtt")]


def hello(device: Device) -> bytes:
    token = make_token(f"{HUB}/devices/{device.id}", device.primary_key, wall_now() // 1_000_000 + 60)
    username = f"{HUB}/{device.id}/?api-version=2021-04-12"
    return encode(Connect(client_id=device.id, username=username, password=token.encode()))


class Packets:
    """What comes through a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._parser, self._packets = socket, Parser(), list[Packet]()

    async def receive(self) -> Packet | None:
        """The next packet; None at the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._packets:
                try:
                    data = await self._socket.recv()
                except ConnectionClosed:
                    return None
                assert isinstance(data, bytes)
                self._packets += self._parser.feed(data)
        return self._packets.pop(0)


async def test_packets_may_be_cut_anywhere_and_are_acknowledged_in_order() -> None:
    async with Door.opened(wall_now=wall_now) as door, listening(door, "127.0.0.1", 0) as port:
        device = door.add_device()
        async with connect(f"ws://127.0.0.1:{port}{URL}", subprotocols=MQTT) as socket:
            assert socket.subprotocol == "mqtt"
            packets = Packets(socket)
            sent = hello(device)
            sent += b"".join(encode(telemetry(device, reading(100 + n / 10), n)) for n in range(1, 301))
            for at in range(0, len(sent), 1000):
                await socket.send(sent[at : at + 1000])
            assert await packets.receive() == Connack(0)
            assert [await packets.receive() for _ in range(300)] == [Puback(n) for n in range(1, 301)]
            assert door.mqtt.connected == 1
        await door.intake.settled()
        assert len(door.rows(Topic.GLUCOSE_READINGS)) == 300


async def test_what_is_not_mqtt_closes_that_connection_only() -> None:
    async with Door.opened(wall_now=wall_now) as door, listening(door, "127.0.0.1", 0) as port:
        address, device = f"ws://127.0.0.1:{port}{URL}", door.add_device()
        async with connect(address, subprotocols=MQTT) as good, connect(address, subprotocols=MQTT) as bad:
            packets = Packets(good)
            await good.send(hello(device))
            assert await packets.receive() == Connack(0)
            await bad.send(b"GET / HTTP/1.1\r\n\r\n")
            assert await Packets(bad).receive() is None
            async with connect(address, subprotocols=MQTT) as text:
                await text.send("CONNECT")
                assert await Packets(text).receive() is None
            await good.send(encode(Pingreq()))
            assert await packets.receive() == Pingresp()
        with pytest.raises(InvalidStatus, match="403"):
            await connect(address)


async def test_a_newer_connection_through_another_door_wins() -> None:
    async with Door.opened(wall_now=wall_now) as door, listening(door, "127.0.0.1", 0) as port:
        device = door.add_device()
        async with connect(f"ws://127.0.0.1:{port}{URL}", subprotocols=MQTT) as socket:
            packets = Packets(socket)
            await socket.send(hello(device))
            assert await packets.receive() == Connack(0)
            peer = await door.peer()
            peer.send_bytes(hello(device))
            assert await peer.receive() == Connack(0)
            assert await packets.receive() is None
            assert door.mqtt.connected == 1


class _Says(asyncio.Protocol):
    """Writes as it is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        for data in (b"", b"here"):
            transport.write(data)


async def test_writing_nothing_ends_nothing() -> None:
    app = Starlette(routes=websocket_routes({"mqtt": _Says}))
    listener = HttpListener(app, "127.0.0.1", 0)
    await listener.start()
    try:
        async with connect(f"ws://127.0.0.1:{listener.port}{URL}", subprotocols=MQTT) as socket:
            assert await socket.recv() == b"here"
    finally:
        await listener.stop()


async def test_the_servers_stop_ends_it() -> None:
    async with (
        Door.opened(wall_now=wall_now) as door,
        listening(door, "127.0.0.1", 0) as port,
        connect(f"ws://127.0.0.1:{port}{URL}", subprotocols=MQTT) as socket,
    ):
        packets = Packets(socket)
        await socket.send(hello(door.add_device()))
        assert await packets.receive() == Connack(0)
        await door.mqtt.stop()
        assert await packets.receive() is None
