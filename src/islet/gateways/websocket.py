"""MQTT and AMQP over WebSocket: the same connections, behind the HTTP listeners at IoT Hub's path."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PATH: Final = "/$iothub/websocket"
EVENT_HUB_PATH: Final = "/$servicebus/websocket"
"""Where clients of Event Hubs go."""

PAHO_PATH: Final = "/mqtt"
"""Where Eclipse Paho goes by itself, and with it the SDK for Java that registers devices."""

_PATHS: Final = (PATH, f"{PATH}/", EVENT_HUB_PATH, f"{EVENT_HUB_PATH}/", PAHO_PATH)
MQTT: Final = "mqtt"
AMQP: Final = "AMQPWSB10"
_ALSO: Final = {"amqp": AMQP}
"""The standard's name (OASIS, AMQP WebSocket Binding 1.0), which Microsoft's examples for Go have."""

_MOST_WAITING_BYTES: Final = 256 * 1024
"""What may wait to be written; then the connection is told, and is not read until half of it is gone."""


def websocket_routes(protocols: Mapping[str, Callable[[], asyncio.Protocol]]) -> list[WebSocketRoute]:
    """The path for clients that may use no other port than HTTPS has; `protocols` makes a connection's protocol by the
    subprotocol's name."""

    async def serve(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        name = next((name for name in offered if _ALSO.get(name, name) in protocols), None)
        if name is None:
            await socket.close()  # before it was accepted: answered with 403
            return
        await socket.accept(name)
        await _Tunnel(protocols[_ALSO.get(name, name)](), socket).run()

    return [WebSocketRoute(path, serve) for path in _PATHS]


class _Tunnel(asyncio.Transport):
    """A transport whose bytes are the binary messages of a WebSocket, in any cut [MQTT-6.0.0-2]."""

    def __init__(self, connection: asyncio.Protocol, socket: WebSocket) -> None:
        super().__init__()
        self._socket, self._connection = socket, connection
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting_bytes = 0
        self._choked = self._closing = False
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until either end closes it."""
        self._connection.connection_made(self)
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait((reading, writing, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing = True
            for task in (reading, writing, over):
                task.cancel()
            await asyncio.gather(reading, writing, over, return_exceptions=True)
            self._connection.connection_lost(None)

    async def _read(self) -> None:
        while not self._closing:
            await self._may_read.wait()
            message = await self._socket.receive()
            data = message.get("bytes")
            if message["type"] != "websocket.receive" or data is None:  # gone, or text [MQTT-6.0.0-1]
                return
            self._connection.data_received(data)

    async def _write(self) -> None:
        while True:
            data = await self._outgoing.get()
            if not data:
                await self._socket.close()
                return
            while not self._outgoing.empty() and len(data) < _MOST_WAITING_BYTES:  # many small ones in one message
                more = self._outgoing.get_nowait()
                if not more:
                    self._outgoing.put_nowait(b"")
                    break
                data += more
            try:
                await self._socket.send_bytes(data)
            except (WebSocketDisconnect, RuntimeError):  # the peer has gone
                return
            self._waiting_bytes -= len(data)
            if self._choked and self._waiting_bytes <= _MOST_WAITING_BYTES // 2:
                self._choked = False
                self._connection.resume_writing()

    def write(self, data: Any) -> None:
        if self._closing or not data:  # an empty one is the end
            return
        self._outgoing.put_nowait(bytes(data))
        self._waiting_bytes += len(data)
        if not self._choked and self._waiting_bytes > _MOST_WAITING_BYTES:
            self._choked = True
            self._connection.pause_writing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The TLS below, by whose certificate a device may come in; and the peer's address."""
        return self._socket.scope.get("client" if name == "peername" else name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """What is received from now on is for that one."""
        assert isinstance(protocol, asyncio.Protocol)
        self._connection = protocol

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """What was written still goes out."""
        if not self._closing:
            self._closing = True
            self._outgoing.put_nowait(b"")

    def abort(self) -> None:
        self._closing = True
        self._over.set()
