"""Bluetooth of this machine: BlueZ on Linux, CoreBluetooth, WinRT; through bleak. Needs the extra `ble`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError

from islet.bridge.link import BASE_UUID, SERVICES, Found, LinkLost
from islet.errors import IsletError

_CONNECT_S: Final = 60.0
_ANSWER_S: Final = 30.0  # Bluetooth Core, Vol 3, Part F, 3.3.3: a transaction that takes longer has failed
T = TypeVar("T")


class BleakRadio:
    """Implements `link.Radio`. Pairing asks the machine's own agent, for instance `bluetoothctl`."""

    async def scan(self, seconds: float) -> list[Found]:
        found = await _asked(BleakScanner.discover(seconds, return_adv=True), seconds + _ANSWER_S)
        return [
            Found(device.address, told.local_name or "", _numbers(told.service_uuids), told.rssi)
            for device, told in found.values()
        ]

    async def connect(self, address: str, *, pair: bool) -> "BleakLink":
        lost = asyncio.Event()
        device = await _asked(BleakScanner.find_device_by_address(address, timeout=_CONNECT_S), _CONNECT_S + _ANSWER_S)
        if device is None:
            raise LinkLost("the sensor is not in reach")
        client = BleakClient(device, disconnected_callback=lambda _: lost.set(), pair=pair, timeout=_CONNECT_S)
        try:
            await _asked(client.connect(), _CONNECT_S + _ANSWER_S)
        except LinkLost:
            await client.disconnect()
            raise
        return BleakLink(client, lost)

    async def close(self) -> None:
        """Nothing is kept open."""


class BleakLink:
    """Implements `link.Link`."""

    def __init__(self, client: BleakClient, lost: asyncio.Event) -> None:
        self._client, self._lost = client, lost
        self._known: dict[int, BleakGATTCharacteristic] = {}
        for wanted in reversed(SERVICES):
            for service in client.services:
                if service.uuid == BASE_UUID.format(wanted):
                    for one in service.characteristics:
                        self._known.update((number, one) for number in _numbers([one.uuid]))

    @property
    def characteristics(self) -> frozenset[int]:
        return frozenset(self._known)

    async def read(self, characteristic: int) -> bytes:
        return bytes(await _asked(self._client.read_gatt_char(self._one(characteristic)), _ANSWER_S))

    async def write(self, characteristic: int, value: bytes) -> None:
        await _asked(self._client.write_gatt_char(self._one(characteristic), value, response=True), _ANSWER_S)

    async def subscribe(self, characteristic: int, heard: Callable[[bytes], None]) -> None:
        async def start() -> None:
            await self._client.start_notify(self._one(characteristic), lambda _, value: heard(bytes(value)))

        await _asked(start(), _ANSWER_S)

    async def lost(self) -> None:
        await self._lost.wait()

    async def close(self) -> None:
        try:
            await self._client.disconnect()
        except (BleakError, OSError, EOFError):
            self._lost.set()

    def _one(self, characteristic: int) -> BleakGATTCharacteristic:
        found = self._known.get(characteristic)
        if found is None:
            raise LinkLost(f"the sensor has no characteristic {characteristic:04X}, which its profile asks for")
        return found


def _numbers(uuids: list[str]) -> frozenset[int]:
    """The numbers of those that Bluetooth has given out."""
    head, tail = BASE_UUID[:4], BASE_UUID[-28:]
    return frozenset(int(uuid[4:8], 16) for uuid in uuids if uuid.startswith(head) and uuid.endswith(tail))


async def _asked(answer: Coroutine[Any, Any, T], seconds: float) -> T:
    """bleak's errors as ours."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except (BleakBluetoothNotAvailableError, FileNotFoundError) as error:
        raise IsletError(f"this machine has no Bluetooth that can be used: {error}") from None
    except TimeoutError:
        raise LinkLost(f"the sensor did not answer within {seconds:g} s") from None
    except BleakDBusError as error:
        raise LinkLost(f"the sensor refused: {error.dbus_error}") from None
    except (BleakError, OSError, EOFError) as error:
        raise LinkLost(f"the sensor refused: {type(error).__name__}") from None
