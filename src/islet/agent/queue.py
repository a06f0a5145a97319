"""Events on their way to the platform, on the agent's disk, in the order in which they came.

It is bounded, and what it has taken is never dropped: when it is full it takes nothing more, and whoever brings an
event is told so and keeps it. Some places are for the agent's own events (prompts), which nobody else could keep.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from islet.agent.disk import Disk, DiskFull, QueueFull

MOST_EVENTS: Final = 500_000
MOST_BYTES: Final = 256 * 1024 * 1024
OWN_PLACES: Final = 2_000
_OVERHEAD: Final = 32  # bytes of a row beside its payload, about
_FORGET_AFTER_S: Final = 0.05


class Queue:
    """`waiting` events are on the disk, `peak` were at most since the start. All methods belong to the loop's thread."""

    def __init__(self, disk: Disk, *, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._disk = disk
        self._most_events, self._most_bytes = most_events, most_bytes
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._done: dict[int, None] = {}
        self._forgetting = False
        self._sizes: dict[int, int] = {}
        self.waiting = self.bytes = 0
        disk.when_undone(self._count)
        self._count()

    def _count(self) -> None:
        query = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM event"
        self.waiting, payload_bytes = self._disk.connection.execute(query).fetchone()
        self.bytes = payload_bytes + self.waiting * _OVERHEAD
        if self.waiting:
            self._filled.set()

    def put(self, payloads: Sequence[bytes], *, own: bool = False) -> None:
        """Durable when it returns (or the `together` around it does). Raises QueueFull, and then has taken none."""
        size = sum(len(payload) + _OVERHEAD for payload in payloads)
        places = self._most_events + (OWN_PLACES if own else 0)
        if self.waiting + len(payloads) > places or (not own and self.bytes + size > self._most_bytes):
            raise QueueFull(f"{self.waiting} events wait to be sent, and no more may; bring it again later")
        with self._disk.together():
            if not own and not self._disk.has_room(size):
                raise DiskFull
            rows = [(payload,) for payload in payloads]
            self._disk.connection.executemany("INSERT INTO event (payload) VALUES (?)", rows)
        self.waiting += len(payloads)
        self.bytes += size
        self._filled.set()

    def after(self, number: int, limit: int) -> list[tuple[int, bytes]]:
        """The oldest events of a higher number than that, in order."""
        query = "SELECT number, payload FROM event WHERE number > ? ORDER BY number LIMIT ?"
        found = self._disk.connection.execute(query, (number, limit)).fetchall()
        if not found:
            self._filled.clear()
        self._sizes.update((number, len(payload)) for number, payload in found)
        return found

    async def filled(self) -> None:
        """Return when something may have come since `after` found nothing."""
        await self._filled.wait()

    async def room(self) -> None:
        """Return when something was taken out."""
        self._emptied.clear()
        await self._emptied.wait()

    def done(self, number: int) -> None:
        """It is in the platform's log; it will be forgotten soon, with others."""
        if not self._forgetting:
            self._forgetting = True
            asyncio.get_running_loop().call_later(_FORGET_AFTER_S, self.forget_done)
        self._done[number] = None

    def forget_done(self) -> None:
        """Forget now what was done; on a full disk, with what will be done later."""
        self._forgetting = False
        if not self._done or not self._disk.forget_events(self._done):
            return
        done, self._done = self._done, {}
        self.waiting -= len(done)
        self.bytes -= sum(self._sizes.pop(number, 0) + _OVERHEAD for number in done)
        self._emptied.set()
