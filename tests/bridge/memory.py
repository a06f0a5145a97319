"""Bluetooth without any: a link to a device of this process, which may be cut, and a front door that may be closed."""

import asyncio
from collections.abc import Callable

from islet.bridge.link import Found, LinkLost
from islet.model.codec import decode_event
from islet.model.events import AnyEvent
from tests.bridge.sensors import Device


class MemoryLink:
    """Implements `link.Link`. After `cut_after` notifications it is lost."""

    def __init__(self, devices: tuple[Device, ...], cut_after: int | None) -> None:
        self._devices, self._left = devices, cut_after
        self._heard: dict[int, Callable[[bytes], None]] = {}
        self._lost = asyncio.Event()

    @property
    def characteristics(self) -> frozenset[int]:
        return frozenset(one for device in self._devices for one in (*device.readable, *device.telling))

    async def read(self, characteristic: int) -> bytes:
        self._expect()
        for device in self._devices:
            if characteristic in device.readable:
                return device.readable[characteristic]()
        raise LinkLost("the sensor has no such characteristic")

    async def write(self, characteristic: int, value: bytes) -> None:
        self._expect()
        for number, octets in self._devices[0].written(characteristic, value):
            asyncio.get_running_loop().call_soon(self.notify, number, octets)

    async def subscribe(self, characteristic: int, heard: Callable[[bytes], None]) -> None:
        self._expect()
        self._heard[characteristic] = heard

    def notify(self, characteristic: int, octets: bytes) -> None:
        if self._left == 0:
            self._lost.set()
        if self._lost.is_set():
            return
        if self._left is not None:
            self._left -= 1
        if characteristic in self._heard:
            self._heard[characteristic](octets)

    async def lost(self) -> None:
        await self._lost.wait()

    async def close(self) -> None:
        self._lost.set()

    def _expect(self) -> None:
        if self._lost.is_set():
            raise LinkLost("the sensor has gone")


class MemoryRadio:
    """Implements `link.Radio`. `cuts` are of the next connections, in turn; then there are none."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices
        self.cuts: list[int | None] = []
        self.link: MemoryLink | None = None

    async def scan(self, seconds: float) -> list[Found]:
        return []

    async def connect(self, address: str, *, pair: bool) -> MemoryLink:
        self.link = MemoryLink(self._devices, self.cuts.pop(0) if self.cuts else None)
        return self.link

    async def close(self) -> None:
        """Nothing is open."""


class Killed(Exception):
    """The bridge's process ends."""


class FrontDoor:
    """Implements `forward.Sender`. Keeps what it acknowledged; where `after` events are, the bridge is killed."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.after: int | None = None

    async def publish(self, payload: bytes) -> None:
        await asyncio.sleep(0)
        if self.after == 0:
            raise Killed
        if self.after is not None:
            self.after -= 1
        self.events.append(decode_event(payload))
