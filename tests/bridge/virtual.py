"""A virtual radio: a controller for the bridge at a TCP port, and sensors that it hears, by bumble. No Bluetooth needed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bumble import hci
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection
from bumble.device import Device as BumbleDevice
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport

from islet.decode.ble_control import RECORDS
from tests.bridge.sensors import Device

SENSOR_ADDRESS = "C0:FF:EE:00:00:03"
_P = Characteristic.Properties


class VirtualSensor:
    """Devices of `tests.bridge.sensors` on the air. With `passkey`, nothing can be read before it was typed."""

    def __init__(self, link: LocalLink, devices: tuple[Device, ...], passkey: int | None) -> None:
        self.cut_after: int | None = None
        self.pairings = 0
        self._devices, self._secured = devices, passkey is not None
        self._characteristics: dict[int, Characteristic[bytes]] = {}
        host = Host()
        host.controller = Controller("sensor", host_sink=host, link=link)
        self.bumble = BumbleDevice("Virtual sensor", hci.Address(SENSOR_ADDRESS), host=host)
        if passkey is not None:
            self.bumble.pairing_config_factory = lambda _: PairingConfig(delegate=_Showing(passkey))
        for device in devices:
            self.bumble.add_service(Service(UUID.from_16_bits(device.service), self._made(device)))
        self.bumble.on("connection", lambda connection: connection.on("pairing", self._paired))

    def _paired(self, _: object) -> None:
        self.pairings += 1

    def _made(self, device: Device) -> list[Characteristic[bytes]]:
        made = []
        for number in dict.fromkeys((*device.readable, *device.telling)):
            properties, permissions = _P(0), Characteristic.READABLE | Characteristic.WRITEABLE
            if self._secured:
                permissions |= Characteristic.READ_REQUIRES_ENCRYPTION | Characteristic.WRITE_REQUIRES_ENCRYPTION
            if number in device.readable:
                properties |= _P.READ | _P.WRITE
            if number in device.telling:
                properties |= (_P.INDICATE | _P.WRITE) if number == RECORDS else _P.NOTIFY

            def read(_: Connection, number: int = number) -> bytes:
                return device.readable[number]()

            async def write(connection: Connection, value: bytes, number: int = number) -> None:
                asyncio.get_running_loop().create_task(self._send(connection, device, number, value))

            value: Any = CharacteristicValue(read=read, write=write)
            self._characteristics[number] = Characteristic(UUID.from_16_bits(number), properties, permissions, value)
            made.append(self._characteristics[number])
        return made

    async def _send(self, connection: Connection, device: Device, number: int, value: bytes) -> None:
        for to, octets in device.written(number, value):
            if self.cut_after == 0:
                self.cut_after = None
                await connection.disconnect()
                return
            if self.cut_after is not None:
                self.cut_after -= 1
            send = self.bumble.indicate_subscriber if to == RECORDS else self.bumble.notify_subscriber
            await send(connection, self._characteristics[to], octets)

    async def tell(self, number: int, octets: bytes) -> None:
        """Notify by itself."""
        await self.bumble.notify_subscribers(self._characteristics[number], octets)

    async def go_on_the_air(self) -> None:
        await self.bumble.power_on()
        uuids = b"".join(device.service.to_bytes(2, "little") for device in self._devices)
        data = AdvertisingData(
            [
                (AdvertisingData.COMPLETE_LOCAL_NAME, b"Virtual sensor"),
                (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, uuids),
            ]
        )
        await self.bumble.start_advertising(
            advertising_data=bytes(data), auto_restart=True, advertising_interval_min=20, advertising_interval_max=20
        )


class _Showing(PairingDelegate):  # type: ignore[misc]  # bumble may not be installed where this is checked
    """Shows the number that has to be typed."""

    def __init__(self, passkey: int) -> None:
        super().__init__(io_capability=PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY)
        self._passkey = passkey

    async def generate_passkey(self) -> int:
        return self._passkey


@contextlib.asynccontextmanager
async def on_the_air(port: int, *devices: Device, passkey: int | None = None) -> AsyncIterator[VirtualSensor]:
    """A sensor that a bridge hears whose controller is `tcp-client:127.0.0.1:port`."""
    link = LocalLink()
    async with await open_transport(f"tcp-server:127.0.0.1:{port}") as transport:
        Controller("bridge", transport.source, transport.sink, link=link)
        sensor = VirtualSensor(link, devices, passkey)
        await sensor.go_on_the_air()
        yield sensor
