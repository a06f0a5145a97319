"""The front door for AMQP 1.0. Needs the extra `amqp`."""

from islet.gateways.amqp_connection import AmqpConnection
from islet.gateways.amqp_links import FORCED
from islet.gateways.authenticate import Authenticator
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.registering import Registrar
from islet.gateways.server import ConnectionServer
from islet.gateways.turnstile import Turnstile
from islet.store.device_files import DeviceFiles


class AmqpServer(ConnectionServer[AmqpConnection]):
    """Serves devices and services. A device that is disabled, deleted or given another credential is disconnected
    within a second."""

    def __init__(
        self,
        intake: Intake,
        authenticator: Authenticator,
        exchange: Exchange,
        turnstile: Turnstile | None = None,
        event_hub: EventHub | None = None,
        registrar: Registrar | None = None,
        device_files: DeviceFiles | None = None,
        *,
        fault_injection: bool = False,
    ) -> None:
        """Without an `event_hub`, nobody reads devices' messages here; without a `registrar`, nobody registers
        themselves."""
        super().__init__("amqp", intake, authenticator, turnstile)
        self.exchange = exchange
        self.event_hub = event_hub
        self.registrar = registrar
        self.device_files = device_files
        self.fault_injection = fault_injection

    def connection(self) -> AmqpConnection:
        return AmqpConnection(self)

    def end(self, connection: AmqpConnection) -> None:
        connection.end(FORCED, "the server stops")

    async def refresh(self) -> None:
        for connection in list(self._open):
            connection.refresh()

    def counts(self) -> dict[str, int]:
        """What the metrics show."""
        return {"connections": len(self._open), "refused": self.refused}
