"""The front door for MQTT 3.1.1, and which device is connected. No general publish and subscribe."""

import asyncio

from islet.access.x509 import PeerCertificate
from islet.decode.iothub import Identity
from islet.decode.iothub_dps import Registrant
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.mqtt_connection import Connection
from islet.gateways.mqtt_registration import Registration
from islet.gateways.mqtt_session import Session, TelemetryOnly
from islet.gateways.presence import Presence
from islet.gateways.registering import Registrar
from islet.gateways.server import ConnectionServer
from islet.gateways.turnstile import Turnstile
from islet.model.people import Device


class MqttServer(ConnectionServer[Connection]):
    """Serves devices. One that is disabled, deleted or given new keys is disconnected within a second, and as soon its
    messages go to the patient it was assigned to."""

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        exchange: Exchange | None = None,
        turnstile: Turnstile | None = None,
        registrar: Registrar | None = None,
        *,
        fault_injection: bool = False,
    ) -> None:
        """Without an exchange, telemetry is all that is served; without a registrar, nobody registers themselves."""
        super().__init__("mqtt", intake, authenticator, turnstile)
        self.fault_injection = fault_injection
        self._exchange = exchange
        self._registrar = registrar
        self._presence = Presence() if exchange is None else exchange.presence

    def connection(self) -> Connection:
        return Connection(self)

    def end(self, connection: Connection) -> None:
        connection.close("the server stops", will=False)

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

    def session(
        self, identity: Identity, device: Device, connection: Connection, *, clean: bool, model_id: str
    ) -> Session | TelemetryOnly:
        """What a connection that may come in gets from services. Raises AccessDenied, and what the store does."""
        self._presence.check_room(identity.client_id)
        if self._exchange is None:
            return TelemetryOnly(connection)
        address = self.authenticator.address(identity, device)
        session = Session(self._exchange, identity, address, connection, clean=clean)
        if model_id:
            self._exchange.follows(address, model_id)
        return session

    def registration(
        self, registrant: Registrant, token: str, peer: PeerCertificate | None, connection: Connection
    ) -> tuple[Registration, int]:
        """What a connection gets that registers a device, and until when (µs). Raises AccessDenied."""
        if self._registrar is None:
            raise AccessDenied("nobody can register here")
        grant = self._registrar.enrollments.admit(registrant, token, peer)
        return Registration(self._registrar, registrant.id, grant, connection), grant.expires_us

    def let_in(self, identity: Identity, session: Session | TelemetryOnly) -> None:
        """The connection has been let in; an older one of the same client goes."""
        self._presence.arrived(identity.client_id, session)

    def gone(self, identity: Identity, session: Session | TelemetryOnly) -> None:
        """A connection that was let in is over."""
        self._presence.left(identity.client_id, session)

    async def refresh(self) -> None:
        """Look up the connected devices again."""
        connections = [connection for connection in self._open if connection.device.id]
        ids = {connection.device.id for connection in connections}
        devices = await asyncio.to_thread(self.authenticator.look_up, ids)
        for connection in connections:
            connection.device_is_now(devices[connection.device.id])
