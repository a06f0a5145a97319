"""A front door with TLS at the ports that official clients are fixed to, on a loopback address of its own."""

import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette

from islet.access.sas import ConnectionString, format_connection_string
from islet.gateways.certificates import CertificatePaths, ensure_certificates, server_ssl_context
from islet.gateways.client_certificates import take_client_certificates
from islet.gateways.registry_files import RegistryFiles
from islet.gateways.websocket import AMQP, MQTT, websocket_routes
from islet.model.people import Device
from islet.operations.http_server import HttpListener
from tests.gateways.calls import paths
from tests.gateways.door import Door

MQTT_PORT = 8883
AMQP_PORT = 5671
HTTPS_PORT = 443


def wall_now() -> int:
    """Official clients date their tokens by the machine's clock."""
    return time.time_ns() // 1000  # noqa: TID251


class Hub:
    """Door, certificates and addresses."""

    def __init__(self, host: str, door: Door, certificates: CertificatePaths) -> None:
        self.host, self.door, self.certificates = host, door, certificates

    def device_text(self, device: Device, module: str = "", key: str = "") -> str:
        """The connection string of a device or module."""
        given = ConnectionString(host=self.host, device=device.id, module=module, key=key or device.primary_key)
        return format_connection_string(given)

    def service_text(self) -> str:
        """The connection string of the hub's owner."""
        key = self.door.registry.secret("policy/iothubowner")
        assert key is not None
        return format_connection_string(ConnectionString(host=self.host, policy="iothubowner", key=key))


@contextlib.asynccontextmanager
async def opened_hub(
    host: str, directory: Path, *, keeps_messages: bool = False, fault_injection: bool = False
) -> AsyncIterator[Hub]:
    """MQTT on 8883; AMQP on 5671; HTTPS and WebSocket on 443."""
    certificates = ensure_certificates(directory, host, wall_now())
    mqtt_tls, tls = server_ssl_context(certificates), server_ssl_context(certificates)
    async with (
        Door.opened(
            wall_now=wall_now,
            hub=host,
            host=host,
            port=MQTT_PORT,
            tls=mqtt_tls,
            keeps_messages=keeps_messages,
            fault_injection=fault_injection,
        ) as door,
        listening(door, host, HTTPS_PORT, tls, RegistryFiles(directory / "registry-files")),
    ):
        take_client_certificates(tls, door.authenticator, door.enrollments)
        try:
            await door.amqp.listen(host, AMQP_PORT, mqtt_tls)
            yield Hub(host, door, certificates)
        finally:
            await door.amqp.stop()


@contextlib.asynccontextmanager
async def listening(
    door: Door, host: str, port: int, tls: ssl.SSLContext | None = None, files: RegistryFiles | None = None
) -> AsyncIterator[int]:
    """The door's HTTP paths and its WebSocket on a port (0: a free one), which is given."""
    tunnelled = {MQTT: door.mqtt.connection, AMQP: door.amqp.connection}
    listener = HttpListener(
        Starlette(routes=[*paths(door, wall_now, files), *websocket_routes(tunnelled)]), host, port, tls
    )
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.stop()
