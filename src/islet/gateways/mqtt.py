"""The front door for MQTT 3.1.1 and 5, and which device is connected. No general publish and subscribe."""

import asyncio

from islet.access.x509 import PeerCertificate
from islet.decode.iothub import Identity
from islet.decode.iothub_dps import Registrant
from islet.decode.mqtt5_codes import Code
from islet.decode.telemetry import Arrival
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.mqtt5_connection import Connection5
from islet.gateways.mqtt5_session import Session5
from islet.gateways.mqtt_connection import Connection
from islet.gateways.mqtt_line import LastWill, Line
from islet.gateways.mqtt_registration import Registration
from islet.gateways.mqtt_session import Session, TelemetryOnly, Terms
from islet.gateways.mqtt_wills import Wills
from islet.gateways.presence import Presence
from islet.gateways.registering import Registrar
from islet.gateways.server import ConnectionServer
from islet.gateways.turnstile import Turnstile
from islet.model.people import Device


class MqttServer(ConnectionServer[Line]):
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
        self._wills = Wills()

    def connection(self) -> Connection:
        return Connection(self)

    def handed_over(self, connection: Line, transport: asyncio.Transport, unread: bytes) -> None:
        """It has turned out to speak MQTT 5: what came is for a connection that does, from now on."""
        heir = Connection5(self)
        transport.set_protocol(heir)
        heir.connection_made(transport)
        self.closed(connection)
        if not self._stopping:  # then it is closed already
            heir.data_received(unread)

    def end(self, connection: Line) -> None:
        connection.close("the server stops", Code.STOPPING, will=False)

    async def stop(self, drain_s: float = 5.0) -> None:
        """As all servers do; wills that wait are said."""
        self._wills.say_all()
        await super().stop(drain_s)

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
        self,
        identity: Identity,
        device: Device,
        connection: Line,
        *,
        clean: bool,
        model_id: str,
        terms: Terms | None,
    ) -> Session | TelemetryOnly:
        """What a connection that may come in gets from services; with `terms`, it speaks MQTT 5. Raises AccessDenied, and
        what the store does."""
        self._presence.check_room(identity.client_id)
        if self._exchange is None:
            return TelemetryOnly(connection)
        address = self.authenticator.address(identity, device)
        kind = Session if terms is None else Session5
        session = kind(self._exchange, identity, address, connection, clean=clean, terms=terms)
        if model_id:
            self._exchange.follows(address, model_id)
        return session

    def registration(
        self, registrant: Registrant, token: str, peer: PeerCertificate | None, connection: Line
    ) -> tuple[Registration, int]:
        """What a connection gets that registers a device, and until when (µs). Raises AccessDenied."""
        if self._registrar is None:
            raise AccessDenied("nobody can register here")
        grant = self._registrar.enrollments.admit(registrant, token, peer)
        return Registration(self._registrar, registrant.id, grant, connection), grant.expires_us

    def let_in(self, identity: Identity, session: Session | TelemetryOnly, *, clean: bool) -> None:
        """The connection has been let in; an older one of the same client goes, and a will that waits."""
        self._presence.arrived(identity.client_id, session)
        self._wills.is_back(identity.client_id, clean)

    def leave_will(self, identity: Identity, device: Device, will: LastWill) -> None:
        """A device's last will becomes telemetry, now or when its delay is over."""
        if will.delay_s:
            self._wills.leave(identity.client_id, will.delay_s, lambda: self._say_late(device, will))
        else:
            self._say(device, will)

    def _say_late(self, device: Device, will: LastWill) -> None:
        """If the device is still one that may send."""
        known = self.authenticator.device(device.id)
        if known is None or not known.enabled or known.generation_id != device.generation_id:
            return
        if self.authenticator.may_send(known):
            self._say(known, will)

    def _say(self, device: Device, will: LastWill) -> None:
        properties = {**will.properties, "iothub-MessageType": "Will"}
        self.intake.offer(Arrival(device.id, device.patient, will.payload, properties), _nobody_asks, None)

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


def _nobody_asks(given: None, error: Exception | None) -> None:
    """Of a last will: the device has gone."""
