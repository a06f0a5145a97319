"""What the doors for MQTT and AMQP have in common: listeners, connections, an orderly stop, and a look at the registry
whenever it has changed."""

import asyncio
import contextlib
import ssl
from random import SystemRandom
from typing import Final, Generic, Protocol, TypeVar

import structlog

from islet.errors import CannotListen
from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.turnstile import Turnstile
from islet.store.turned_away import CONNECTION

_TLS_HANDSHAKE_S: Final = 20.0
_BACKLOG: Final = 4096
_REFRESH_S: Final = 0.5
_FLUSH_S: Final = 2.0


class Served(Protocol):
    """What a server needs of a connection, which is an `asyncio.Protocol` too."""

    def stop_reading(self) -> None:
        """Take nothing more; what is under way is still answered."""


C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C", bound=Served)


class Server(Protocol[C_contra]):
    """What a connection needs of its server. `refused` counts those that were not let in."""

    refused: int

    @property
    def intake(self) -> Intake: ...
    @property
    def authenticator(self) -> Authenticator: ...
    @property
    def turnstile(self) -> Turnstile: ...
    def opened(self, connection: C_contra, /) -> None:
        """It is there; nobody knows whose."""

    def closed(self, connection: C_contra, /) -> None:
        """Its socket is closed."""

    def turned_away(self, name: str, transport: asyncio.BaseTransport, /) -> None:
        """Who says that they are `name` ("": they did not say) was refused for their credential."""


class ConnectionServer(Generic[C]):
    """Serves connections in the running event loop, on as many ports as `listen` is called for.

    A subclass makes them, ends them, and looks at them again when the registry has changed.
    """

    def __init__(self, name: str, intake: Intake, authenticator: Authenticator, turnstile: Turnstile | None) -> None:
        self.intake = intake
        self.authenticator = authenticator
        self.turnstile = turnstile or Turnstile(SystemRandom())
        self.refused = 0
        self._name = name
        self._log = structlog.get_logger(f"islet.gateways.{name}")
        self._open: set[C] = set()
        self._listeners: list[asyncio.Server] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._stopping = False
        self._all_closed = asyncio.Event()

    def connection(self) -> asyncio.Protocol:
        """The protocol of one connection; for transports of other kinds too."""
        raise NotImplementedError

    def end(self, connection: C) -> None:
        """Close it because the server stops; what was written still goes out."""
        raise NotImplementedError

    async def refresh(self) -> None:
        """Look at all connections again, because the registry has changed."""
        raise NotImplementedError

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections at an address; the port (a free one where 0 is given). Raises CannotListen."""
        try:
            listener = await asyncio.get_running_loop().create_server(
                self.connection,
                host,
                port,
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_TLS_HANDSHAKE_S if tls else None,
            )
        except OSError as error:
            raise CannotListen(host, port, error) from None
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        self._log.info("listening", host=host, port=bound, tls=tls is not None)
        return bound

    async def stop(self, drain_s: float = 5.0) -> None:
        """Accept nothing more, answer what is under way (at most `drain_s` long), close all connections."""
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
            self.end(connection)
        if self._open:  # what was written goes out first
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), _FLUSH_S)

    def opened(self, connection: C) -> None:
        """A connection is there; nobody knows whose."""
        self._open.add(connection)
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_regularly(), name=f"{self._name}-refresh")
        if self._stopping:  # its handshake was under way
            self.end(connection)

    def closed(self, connection: C) -> None:
        """The connection's socket is closed."""
        self._open.discard(connection)
        if self._stopping and not self._open:
            self._all_closed.set()

    def turned_away(self, name: str, transport: asyncio.BaseTransport) -> None:
        """Who says that they are `name` was refused for their credential."""
        peer = transport.get_extra_info("peername")
        self.authenticator.turned_away(CONNECTION, name, str(peer[0]) if peer else "")

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
                self._log.exception("refresh_failed")
