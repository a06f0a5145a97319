"""Bluetooth with a controller of our own, past the machine's: a USB adapter, a serial one, or a virtual one, by its
name in bumble (`usb:0`, `serial:/dev/ttyACM0`, `tcp-client:127.0.0.1:6402`). Needs the extra `ble`.

Keys of sensors that were paired are in the bridge's own folder.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.keys import JsonKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport
from bumble.transport.common import Transport

from islet.bridge.link import SERVICES, Found, LinkLost
from islet.errors import IsletError

_CONNECT_S: Final = 60.0
_ANSWER_S: Final = 30.0  # Bluetooth Core, Vol 3, Part F, 3.3.3: a transaction that takes longer has failed
_PAIR_S: Final = 120.0  # somebody looks for the number and types it
_LONGEST_VALUE: Final = 517  # what a value of 512 octets needs
_KEYS: Final = "keys.json"
Passkey = Callable[[], Awaitable[int]]
T = TypeVar("T")


class BumbleRadio:
    """Implements `link.Radio`; made by `open`."""

    def __init__(self, transport: Transport, device: Device) -> None:
        self._transport, self._device = transport, device

    @classmethod
    async def open(cls, name: str, directory: Path, passkey: Passkey) -> "BumbleRadio":
        """`passkey` asks a person for the six digits that a sensor shows. Raises IsletError for a controller that
        cannot be had."""
        try:
            transport = await _asked(open_transport(name), _ANSWER_S)
        except Exception as error:  # each driver has its own
            raise IsletError(f"Bluetooth controller {name}: {error}") from None
        config = DeviceConfiguration(
            name="Islet", address=hci.Address.generate_static_address(), irk=secrets.token_bytes(16)
        )
        device = Device.from_config_with_hci(config, transport.source, transport.sink)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        device.keystore = JsonKeyStore("islet", str(directory / _KEYS))
        device.pairing_config_factory = lambda _: PairingConfig(delegate=_Asking(passkey))
        try:
            await _asked(device.power_on(), _ANSWER_S)
        except LinkLost as error:
            await transport.close()
            raise IsletError(f"Bluetooth controller {name}: {error}") from None
        return cls(transport, device)

    async def scan(self, seconds: float) -> list[Found]:
        found = dict[str, Found]()

        def heard(one: Any) -> None:
            told = one.data.get(AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS) or []
            name = one.data.get(AdvertisingData.COMPLETE_LOCAL_NAME) or ""
            numbers = frozenset(int.from_bytes(uuid.to_bytes(), "little") for uuid in told)
            found[str(one.address)] = Found(str(one.address), str(name), numbers, one.rssi)

        self._device.on("advertisement", heard)
        try:
            await _asked(self._device.start_scanning(), _ANSWER_S)
            await asyncio.sleep(seconds)
            await _asked(self._device.stop_scanning(), _ANSWER_S)
        finally:
            self._device.remove_listener("advertisement", heard)
        return list(found.values())

    async def connect(self, address: str, *, pair: bool) -> "BumbleLink":
        connection = await _asked(self._device.connect(address, timeout=_CONNECT_S), _CONNECT_S + _ANSWER_S)
        link = BumbleLink(connection)
        try:
            await self._secure(connection, pair)
            await link.discover()
        except LinkLost:
            await link.close()
            raise
        return link

    async def _secure(self, connection: Connection, pair: bool) -> None:
        assert self._device.keystore is not None
        if await self._device.keystore.get(str(connection.peer_address)) is not None:
            await _asked(connection.encrypt(), _ANSWER_S)
        elif pair:
            await _asked(connection.pair(), _PAIR_S)

    async def close(self) -> None:
        await self._transport.close()


class _Asking(PairingDelegate):  # type: ignore[misc]  # bumble may not be installed where this is checked
    """Types what the sensor shows."""

    def __init__(self, passkey: Passkey) -> None:
        super().__init__(io_capability=PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._passkey = passkey

    async def get_number(self) -> int | None:
        return await self._passkey()


class BumbleLink:
    """Implements `link.Link`."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._peer = connection, Peer(connection)
        self._known: dict[int, CharacteristicProxy[bytes]] = {}
        self._lost = asyncio.Event()
        connection.on("disconnection", lambda _: self._lost.set())

    async def discover(self) -> None:
        """Find out what it has. Raises LinkLost."""
        await _asked(self._peer.request_mtu(_LONGEST_VALUE), _ANSWER_S)
        await _asked(self._peer.discover_services(), _ANSWER_S)
        for wanted in reversed(SERVICES):
            for service in self._peer.services:
                if _number(service.uuid) == wanted:
                    for one in await _asked(service.discover_characteristics(), _ANSWER_S):
                        self._known[_number(one.uuid)] = one

    @property
    def characteristics(self) -> frozenset[int]:
        return frozenset(self._known)

    async def read(self, characteristic: int) -> bytes:
        return bytes(await self._answered(self._peer.read_value(self._one(characteristic))))

    async def write(self, characteristic: int, value: bytes) -> None:
        await self._answered(self._peer.write_value(self._one(characteristic), value, with_response=True))

    async def subscribe(self, characteristic: int, heard: Callable[[bytes], None]) -> None:
        await self._answered(self._peer.subscribe(self._one(characteristic), lambda value: heard(bytes(value))))

    async def lost(self) -> None:
        await self._lost.wait()

    async def close(self) -> None:
        if not self._lost.is_set():
            try:
                await _asked(self._connection.disconnect(), _ANSWER_S)
            except LinkLost:
                self._lost.set()

    async def _answered(self, answer: Awaitable[T]) -> T:
        """The answer, unless the sensor goes before it comes."""
        asked = asyncio.ensure_future(_asked(answer, _ANSWER_S))
        lost = asyncio.ensure_future(self._lost.wait())
        await asyncio.wait((asked, lost), return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        if not asked.done():
            asked.cancel()
            raise LinkLost("the sensor has gone")
        return asked.result()

    def _one(self, characteristic: int) -> CharacteristicProxy[bytes]:
        found = self._known.get(characteristic)
        if found is None:
            raise LinkLost(f"the sensor has no characteristic {characteristic:04X}, which its profile asks for")
        return found


def _number(uuid: Any) -> int:
    """The number that Bluetooth has given out; -1 for one of a maker's own."""
    octets = uuid.to_bytes(force_128=False)
    return int.from_bytes(octets, "little") if len(octets) == 2 else -1


async def _asked(answer: Awaitable[T], seconds: float) -> T:
    """bumble's errors as ours."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise LinkLost(f"it did not answer within {seconds:g} s") from None
    except (BaseBumbleError, OSError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
            raise
        raise LinkLost(f"it refused: {type(error).__name__}") from None
