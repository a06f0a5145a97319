"""The front door for MQTT 3.1.1: listeners, and which device is connected. No general publish and subscribe."""

import asyncio
import contextlib
import ssl

import structlog

from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.mqtt_connection import Connection

_TLS_HANDSHAKE_S = 20.0
_BACKLOG = 4096
_REFRESH_S = 1.0
_FLUSH_S = 2.0

_log = structlog.get_logger("islet.gateways.mqtt")


class MqttServer:
    """Serves devices in the running event loop, on as many ports as `listen` is called for.

    A device that is disabled, deleted or given new keys is disconnected within a second, and as soon its messages go
    to the patient it was assigned to.
    """

    def __init__(self, intake: Intake, authenticator: Authenticator) -> None:
        self.intake = intake
        self.authenticator = authenticator
        self.refused = 0
        self._connections: dict[str, Connection] = {}
        self._open: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._stopping = False
        self._all_closed = asyncio.Event()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections at an address; the port (a free one where 0 is given)."""
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_HANDSHAKE_S if tls else None,
        )
        self._listeners.append(listener)
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_regularly(), name="mqtt-refresh")
        bound: int = listener.sockets[0].getsockname()[1]
        _log.info("listening", host=host, port=bound, tls=tls is not None)
        return bound

    @property
    def connected(self) -> int:
        """How many devices (and modules) are connected."""
        return len(self._connections)

    def is_connected(self, device: str) -> bool:
        """Whether that device, not only a module of it, is connected."""
        return device in self._connections

    def counts(self) -> dict[str, int]:
        """What the metrics show."""
        return {"connected": self.connected, "refused": self.refused}

    async def stop(self, drain_s: float = 5.0) -> None:
        """Accept nothing more, acknowledge what is under way (at most `drain_s` long), close all connections."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing
        for connection in list(self._open):
            connection.stop_reading()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.intake.settled(), drain_s)
        for connection in list(self._open):
            connection.close("the server stops", will=False)
        if self._open:  # what was written goes out first
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), _FLUSH_S)

    def opened(self, connection: Connection) -> None:
        """A connection is there; nobody knows whose."""
        self._open.add(connection)
        if self._stopping:  # its handshake was under way
            connection.close("the server stops", will=False)

    def connected_as(self, client_id: str, connection: Connection) -> None:
        """The connection has been let in; an older one of the same client goes [MQTT-3.1.4-2]."""
        older = self._connections.get(client_id)
        self._connections[client_id] = connection
        if older is not None:
            older.close("the device has connected again")

    def closed(self, client_id: str, connection: Connection) -> None:
        """The connection is gone; `client_id` is "" where it was never let in."""
        self._open.discard(connection)
        if self._connections.get(client_id) is connection:
            del self._connections[client_id]
        if self._stopping and not self._open:
            self._all_closed.set()

    async def _refresh_regularly(self) -> None:
        seen = self.authenticator.version
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                version = self.authenticator.version
                if version != seen:
                    await self.refresh()
                    seen = version
            except Exception:
                _log.exception("refresh_failed")

    async def refresh(self) -> None:
        """Look up the connected devices again, because the registry has changed."""
        connections = list(self._connections.values())
        ids = {connection.device.id for connection in connections}
        devices = await asyncio.to_thread(self.authenticator.look_up, ids)
        for connection in connections:
            connection.device_is_now(devices[connection.device.id])
