"""The bridge through bleak's own client, over a platform of ours in place of BlueZ."""

# ruff: noqa: E402 - what follows `require` needs it

import asyncio
from pathlib import Path
from typing import Any

import pytest

from islet.bridge.link import BASE_UUID, LinkLost
from islet.bridge.place import Places
from islet.bridge.sensor import Sensor as Work
from islet.decode import ble_cgm
from islet.decode.ble_control import RECORDS
from islet.decode.ble_events import utc
from islet.model.events import DeviceStatus, Reading
from islet.model.time import to_us
from tests.bridge.extra import require
from tests.bridge.memory import FrontDoor, MemoryLink
from tests.bridge.sensors import MIDNIGHT, Device, Sensor, WithBattery

require("bleak")

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError

from islet.bridge.bleak_radio import BleakLink

NOW_US = to_us(utc(MIDNIGHT))


class Platform(BaseBleakClient):  # type: ignore[misc]  # bleak may not be installed where this is checked
    """What bleak has for BlueZ, over a device of this process."""

    mtu_size, is_connected, name = 23, True, "sensor"

    def __init__(self, address: str, *, devices: tuple[Device, ...], **options: Any) -> None:
        super().__init__(address, **{name: options[name] for name in ("disconnected_callback", "timeout")})
        self.link = MemoryLink(devices, None)
        self.services = BleakGATTServiceCollection()
        handle = 0
        for device in devices:
            handle += 1
            service = BleakGATTService(None, handle, BASE_UUID.format(device.service))
            self.services.add_service(service)
            for number in dict.fromkeys((*device.readable, *device.telling)):
                handle += 1
                uuid = BASE_UUID.format(number)
                ways = ["read", "write", "indicate" if number == RECORDS else "notify"]
                self.services.add_characteristic(
                    BleakGATTCharacteristic(number, handle, uuid, ways, lambda: 20, service)
                )

    async def connect(self, pair: bool, **_: Any) -> None:
        """It is connected."""

    async def disconnect(self) -> None:
        await self.link.close()

    async def pair(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    unpair = read_gatt_descriptor = write_gatt_descriptor = stop_notify = pair

    async def read_gatt_char(self, characteristic: Any, **_: Any) -> bytearray:
        try:
            return bytearray(await self.link.read(characteristic.obj))
        except LinkLost:
            raise BleakError("Not connected") from None

    async def write_gatt_char(self, characteristic: Any, data: bytes, response: bool) -> None:
        assert response
        await self.link.write(characteristic.obj, bytes(data))

    async def start_notify(self, characteristic: Any, callback: Any, **_: Any) -> None:
        await self.link.subscribe(characteristic.obj, lambda octets: callback(bytearray(octets)))


async def test_a_sensor_is_read_through_bleak(tmp_path: Path) -> None:
    sensor, door, lost = Sensor(MIDNIGHT), FrontDoor(), asyncio.Event()
    sensor.measure(100, count=3)
    devices = (sensor, WithBattery(60))
    client = BleakClient("sensor", lambda _: lost.set(), backend=Platform, devices=devices)
    await client.connect()
    link = BleakLink(client, lost)
    assert {ble_cgm.MEASUREMENT, RECORDS} <= link.characteristics
    assert await Work(link, door, Places(tmp_path, "sensor"), lambda: NOW_US).read() == 3
    assert [event.value for event in door.events if isinstance(event, Reading)] == [100] * 3
    assert [event.battery_percent for event in door.events if isinstance(event, DeviceStatus)] == [60]
    with pytest.raises(LinkLost, match="2A18"):
        await link.read(0x2A18)
    await link.close()
    with pytest.raises(LinkLost):
        await link.read(ble_cgm.STATUS)
