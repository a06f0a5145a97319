"""Who is connected, through whichever door, and how what is for them gets there."""

import asyncio
from collections import Counter
from typing import Final, Protocol

from islet.decode.iothub_twins import JsonObject
from islet.errors import AccessDenied, IsletError

MOST_MODULES: Final = 50
"""Of one device that are connected at a time, as many as may be registered: they need not be, and each costs memory."""


class NotOnline(IsletError):
    """The device is not connected, or has not said that it takes methods."""


class NoAnswer(IsletError):
    """The device did not answer in time, or went away meanwhile."""


class Link(Protocol):
    """One connection of a device or module. All methods belong to the loop's thread and must not raise, save where
    said."""

    def command_waits(self) -> None:
        """Something is in its mailbox."""

    def desired_changed(self, patch: JsonObject, version: int) -> None:
        """Its desired properties were changed, by that patch to that version."""

    def takes_methods(self) -> bool: ...

    def invoke(self, name: str, payload: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Call a method there: status and payload of the answer. Fails with NoAnswer when the connection ends."""

    def replaced(self) -> None:
        """The device has connected again; this connection must close."""


class Presence:
    """The newest link of each client (a device's id, or device/module), in one event loop."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}
        self._seen: dict[str, bool] = {}
        self._modules = Counter[str]()

    def __len__(self) -> int:
        return len(self._links)

    def online(self) -> frozenset[str]:
        """The client ids of all that are connected now."""
        return frozenset(self._links)

    def link(self, client_id: str) -> Link | None:
        return self._links.get(client_id)

    def check_room(self, client_id: str) -> None:
        """Raises AccessDenied where as many modules of the device are connected as may be."""
        device, _, module = client_id.partition("/")
        if module and client_id not in self._links and self._modules[device] >= MOST_MODULES:
            raise AccessDenied(f"expected at most {MOST_MODULES} modules of a device at a time")

    def arrived(self, client_id: str, link: Link) -> None:
        """The newest connection of a client wins; an older one is told to go [MQTT-3.1.4-2]."""
        older = self._links.get(client_id)
        self._links[client_id] = link
        self._seen[client_id] = True
        if older is not None:
            older.replaced()
        elif "/" in client_id:
            self._modules[client_id.partition("/")[0]] += 1

    def takes_methods_now(self, client_id: str) -> None:
        """Wake those who wait for that client to take methods."""
        for waiter in self._awaited.pop(client_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def left(self, client_id: str, link: Link) -> None:
        if self._links.get(client_id) is link:
            del self._links[client_id]
            self._seen[client_id] = False
            device, _, module = client_id.partition("/")
            if module:
                self._modules[device] -= 1
                if not self._modules[device]:
                    del self._modules[device]

    def heard(self, client_id: str) -> None:
        """It was there, through a door that knows no connections."""
        self._seen[client_id] = client_id in self._links

    def take_seen(self) -> dict[str, bool]:
        """Who was there since the last call, and whether they are connected now."""
        seen, self._seen = self._seen, {}
        return seen

    async def method_link(self, client_id: str, wait_s: float) -> Link:
        """A link that takes methods; waits for one that long. Raises NotOnline."""
        deadline_s = asyncio.get_running_loop().time() + wait_s
        while True:
            link = self._links.get(client_id)
            if link is not None and link.takes_methods():
                return link
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0 or not await self._appears(client_id, left_s):
                raise NotOnline("The operation failed because the requested device isn't online.")

    async def _appears(self, client_id: str, wait_s: float) -> bool:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(client_id, [])
        waiting.append(waiter)
        try:
            await asyncio.wait_for(waiter, wait_s)
        except TimeoutError:
            waiting.remove(waiter)
            if not waiting and self._awaited.get(client_id) is waiting:
                del self._awaited[client_id]
            return False
        return True
