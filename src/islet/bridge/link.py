"""What the bridge needs of Bluetooth. Two ways to have it: the machine's own (bleak), or a controller of one's own
(bumble), which is also how it is tested without a radio."""

from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from islet.decode import ble_cgm, ble_glucose
from islet.errors import IsletError

BATTERY_SERVICE: Final = 0x180F
BATTERY_LEVEL: Final = 0x2A19
SERVICES: Final = (ble_cgm.SERVICE, ble_glucose.SERVICE, BATTERY_SERVICE)
"""Those whose characteristics are looked at; of one that two of them have, the first service's is meant."""

BASE_UUID: Final = "0000{:04x}-0000-1000-8000-00805f9b34fb"
"""The long form of the numbers that Bluetooth gives out (Bluetooth Core, Vol 3, Part B, 2.5.1)."""


class LinkLost(IsletError):
    """The sensor is out of reach or has hung up; it can be tried again."""


class Found(Struct, frozen=True):
    """Who is there: where it can be reached, its name, the services it announces, and how loud it is heard."""

    address: str
    name: str
    services: frozenset[int]
    rssi_dbm: int


class Link(Protocol):
    """A meter or sensor that is connected. Characteristics are named by their numbers.

    Every method raises LinkLost when the sensor goes meanwhile or does not answer, and when it refuses.
    """

    @property
    def characteristics(self) -> frozenset[int]:
        """What it has."""

    async def read(self, characteristic: int, /) -> bytes: ...
    async def write(self, characteristic: int, value: bytes, /) -> None:
        """Return once it has confirmed."""

    async def subscribe(self, characteristic: int, heard: Callable[[bytes], None], /) -> None:
        """Have `heard` called, in this thread, with what it notifies or indicates from now on, in its order."""

    async def lost(self) -> None:
        """Return when it has gone; the only method that never raises."""

    async def close(self) -> None:
        """Let it go. May be called when it has gone."""


class Radio(Protocol):
    """Finds sensors and connects to them, one at a time."""

    async def scan(self, seconds: float, /) -> list[Found]:
        """Who was heard meanwhile. Raises IsletError where there is no Bluetooth."""

    async def connect(self, address: str, *, pair: bool) -> Link:
        """Wait until it is there, connect, and (where `pair`) pair with it unless that was done before.

        Raises LinkLost when it does not come or does not want to.
        """

    async def close(self) -> None: ...
