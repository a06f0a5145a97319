"""What those hear who are connected when the platform stops."""

import asyncio
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.conftest import Missing
from tests.platform.inside import HUB, Inside, inside

PLACE = "/devices/cgm-1/messages/events"
PATIENCE_S = 20.0


async def test_a_device_hears_through_a_websocket_that_the_platform_stops_before_it_is_cut_off(
    tmp_path: Path, missing: Missing
) -> None:
    try:
        from tests.gateways.amqp_peer import opening_bytes, sasl_plain
    except ImportError:
        missing("python-qpid-proton")
    heard = bytearray()
    sockets: list[ClientConnection] = []

    async def visit(one: Inside) -> None:
        url = f"ws://127.0.0.1:{one.http_port}/$iothub/websocket"
        socket = await connect(url, subprotocols=[Subprotocol("AMQPWSB10")])
        sockets.append(socket)
        credential = f"\0cgm-1@sas.{HUB}\0{one.device_token('cgm-1')}"
        await socket.send(sasl_plain(credential.encode()) + opening_bytes([PLACE]))
        async with asyncio.timeout(PATIENCE_S):
            while PLACE.encode() not in heard:  # the link is open
                heard.extend(await socket.recv(decode=False))

    await inside(tmp_path, visit)
    async with asyncio.timeout(PATIENCE_S):
        try:
            while True:
                heard.extend(await sockets[0].recv(decode=False))
        except ConnectionClosed:
            pass
    assert b"amqp:link:detach-forced" in heard
