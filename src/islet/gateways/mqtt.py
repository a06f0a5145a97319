"""The front door for MQTT 3.1.1: listeners, and which device is connected. No general publish and subscribe."""

import asyncio
import contextlib
import ssl
from random import SystemRandom

import structlog

from islet.access.x509 import PeerCertificate
from islet.decode.iothub import Identity
from islet.decode.iothub_dps import Registrant
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.enrollments import Enrollments
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.mqtt_connection import Connection
from islet.gateways.mqtt_registration import Registration
from islet.gateways.mqtt_session import Session, TelemetryOnly
from islet.gateways.presence import Presence
from islet.gateways.turnstile import Turnstile
from islet.model.people import Device

_TLS_HANDSHAKE_S = 20.0
_BACKLOG = 4096
_REFRESH_S = 0.5
_FLUSH_S = 2.0

_log = structlog.get_logger("islet.gateways.mqtt")


class MqttServer:
    """Serves devices in the running event loop, on as many ports as `listen` is called for.

    A device that is disabled, deleted or given new keys is disconnected within a second, and as soon its messages go
    to the patient it was assigned to.
    """

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        exchange: Exchange | None = None,
        turnstile: Turnstile | None = None,
        enrollments: Enrollments | None = None,
    ) -> None:
        """Without an exchange, telemetry is all that is served; without enrollments, nobody registers themselves."""
        self.intake = intake
        self.authenticator = authenticator
        self.turnstile = turnstile or Turnstile(SystemRandom())
        self.refused = 0
        self._exchange = exchange
        self._enrollments = enrollments
        self._presence = Presence() if exchange is None else exchange.presence
        self._open: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._stopping = False
        self._all_closed = asyncio.Event()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections at an address; the port (a free one where 0 is given)."""
        listener = await asyncio.get_running_loop().create_server(
            self.connection,
            host,
            port,
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_HANDSHAKE_S if tls else None,
        )
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        _log.info("listening", host=host, port=bound, tls=tls is not None)
        return bound

    def connection(self) -> Connection:
        """The protocol of one connection; for transports of other kinds too."""
        return Connection(self)

    @property
    def connected(self) -> int:
        """How many devices (and modules) are connected."""
        return len(self._presence)

    def is_connected(self, device: str) -> bool:
        """Whether that device, not only a module of it, is connected."""
        return self._presence.link(device) is not None

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
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_regularly(), name="mqtt-refresh")
        if self._stopping:  # its handshake was under way
            connection.close("the server stops", will=False)

    def session(
        self, identity: Identity, device: Device, connection: Connection, *, clean: bool
    ) -> Session | TelemetryOnly:
        """What a connection that may come in gets from services. Raises what the store does."""
        if self._exchange is None:
            return TelemetryOnly(connection)
        address = self.authenticator.address(identity, device)
        return Session(self._exchange, identity, address, connection, clean=clean)

    def registration(
        self, registrant: Registrant, token: str, peer: PeerCertificate | None, connection: Connection
    ) -> tuple[Registration, int]:
        """What a connection gets that registers a device, and until when (µs). Raises AccessDenied."""
        if self._exchange is None or self._enrollments is None:
            raise AccessDenied("nobody can register here")
        grant = self._enrollments.admit(registrant, token, peer)
        hub_name = self.authenticator.hub_name
        session = Registration(self._enrollments, self._exchange, hub_name, registrant.id, grant, connection)
        return session, grant.expires_us

    def let_in(self, identity: Identity, session: Session | TelemetryOnly) -> None:
        """The connection has been let in; an older one of the same client goes."""
        self._presence.arrived(identity.client_id, session)

    def gone(self, identity: Identity, session: Session | TelemetryOnly) -> None:
        """A connection that was let in is over."""
        self._presence.left(identity.client_id, session)

    def closed(self, connection: Connection) -> None:
        """The connection's socket is closed."""
        self._open.discard(connection)
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
        connections = [connection for connection in self._open if connection.device.id]
        ids = {connection.device.id for connection in connections}
        devices = await asyncio.to_thread(self.authenticator.look_up, ids)
        for connection in connections:
            connection.device_is_now(devices[connection.device.id])
