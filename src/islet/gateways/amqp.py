"""The front door for AMQP 1.0: listeners, and their connections. Needs the extra `amqp`."""

import asyncio
import contextlib
import ssl
from random import SystemRandom

import structlog

from islet.gateways.amqp_connection import AmqpConnection
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.turnstile import Turnstile

_TLS_HANDSHAKE_S = 20.0
_REFRESH_S = 0.5

_log = structlog.get_logger("islet.gateways.amqp")


class AmqpServer:
    """Serves devices and services in the running event loop, on as many ports as `listen` is called for.

    A device that is disabled, deleted or given another credential is disconnected within a second.
    """

    def __init__(
        self, intake: Intake, authenticator: Authenticator, exchange: Exchange, turnstile: Turnstile | None = None
    ) -> None:
        self.intake, self.authenticator, self.exchange = intake, authenticator, exchange
        self.turnstile = turnstile or Turnstile(SystemRandom())
        self.refused = 0
        self._open: set[AmqpConnection] = set()
        self._listeners: list[asyncio.Server] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._stopping = False

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections at an address; the port (a free one where 0 is given)."""
        listener = await asyncio.get_running_loop().create_server(
            self.connection, host, port, ssl=tls, ssl_handshake_timeout=_TLS_HANDSHAKE_S if tls else None
        )
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        _log.info("listening", host=host, port=bound, tls=tls is not None)
        return bound

    def connection(self) -> AmqpConnection:
        """The protocol of one connection; for transports of other kinds too."""
        return AmqpConnection(self)

    def counts(self) -> dict[str, int]:
        """What the metrics show."""
        return {"connections": len(self._open), "refused": self.refused}

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
            connection.end("amqp:connection:forced", "the server stops")

    def opened(self, connection: AmqpConnection) -> None:
        """A connection is there; nobody knows whose."""
        self._open.add(connection)
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_regularly(), name="amqp-refresh")
        if self._stopping:  # its handshake was under way
            connection.close("the server stops")

    def closed(self, connection: AmqpConnection) -> None:
        """The connection's socket is closed."""
        self._open.discard(connection)

    def refresh(self) -> None:
        """Look at the credentials of all connections again, because the registry has changed."""
        for connection in list(self._open):
            connection.refresh()

    async def _refresh_regularly(self) -> None:
        seen = self.authenticator.version
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                version = self.authenticator.version
                if version != seen:
                    self.refresh()
                    seen = version
            except Exception:
                _log.exception("refresh_failed")
