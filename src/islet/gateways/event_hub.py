"""What back ends read of the Event Hub that devices' messages are in: partitions, positions, and who reads them."""

import asyncio
import contextlib
from typing import Protocol

import structlog

from islet.decode.event_hub import LATEST, Order, Partition, Position
from islet.errors import NotFound
from islet.log.base import Log, Slice
from islet.model.time import Now
from islet.model.topics import Topic

_TOPIC = Topic.DEVICE_MESSAGES
_WAIT_S = 1.0
_AFTER_ERROR_S = 1.0
_log = structlog.get_logger("islet.gateways.event_hub")


class Reader(Protocol):
    """A link that reads a partition for a group."""

    def stolen(self) -> None:
        """Another one of the group reads here from now on."""


class EventHub:
    """The log's messages of devices, for all connections of a process. All methods but `first` and `read` belong to
    the loop's thread."""

    def __init__(self, log: Log, wall_now: Now) -> None:
        self._log = log
        self.created_us = wall_now()
        self._held: dict[Partition, tuple[int, Reader]] = {}
        self._version = 0
        self._grown = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> int:
        return self._log.partitions

    def begin(self, number: int) -> int:
        return self._log.begin(_TOPIC)[number]

    def end(self, number: int) -> int:
        return self._log.end(_TOPIC)[number]

    def check(self, number: int) -> None:
        """Raises NotFound for a partition that is none."""
        if number >= self.partitions:
            raise NotFound(f"expected a partition below {self.partitions}")

    def hold(self, partition: Partition, epoch: int | None, reader: Reader) -> bool:
        """Let one read; whether it may. With an epoch (a level of ownership) it is the group's only one, and takes the
        partition from an owner of the same or a lower epoch."""
        held = self._held.get(partition)
        if held is not None and (epoch is None or epoch < held[0]):
            return False
        if epoch is not None:
            self._held[partition] = epoch, reader
            if held is not None:
                held[1].stolen()
        return True

    def let_go(self, partition: Partition, reader: Reader) -> None:
        """It has gone."""
        held = self._held.get(partition)
        if held is not None and held[1] is reader:
            del self._held[partition]

    def offset_now(self, number: int, position: Position) -> int | None:
        """Where a position is, as far as that is known without a look at the log's entries."""
        if position == LATEST:
            return self.end(number)
        return position.at if position.order is Order.ENTRIES else None

    def first(self, number: int, at_ms: int) -> int:
        """The offset of the first entry that was taken at that instant or later. O(log n) reads, from any thread."""
        low, high = self.begin(number), self.end(number)
        while low < high:
            middle = (low + high) // 2
            found = self._log.read(_TOPIC, number, middle, 1)
            if found is None or found.batch.column("received_at_us")[0].as_py() < at_ms * 1000:
                low = middle + 1
            else:
                high = middle
        return low

    def read(self, number: int, offset: int, most: int) -> Slice | None:
        """Entries from there on, or from the first that is kept. From any thread."""
        return self._log.read(_TOPIC, number, max(offset, self.begin(number)), most)

    @property
    def version(self) -> int:
        """Grows with the log."""
        return self._version

    async def grown(self, since: int) -> None:
        """Wait until the version is another one."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="event-hub-watch")
        while self._version == since:
            self._grown.clear()
            await self._grown.wait()

    async def close(self) -> None:
        """Watch the log no more."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while True:
            try:
                version = await asyncio.to_thread(self._log.wait, self._version, _WAIT_S)
            except Exception as error:  # of the log: readers wait, and the next look may be well again
                _log.error("watching_failed", error=type(error).__name__)
                await asyncio.sleep(_AFTER_ERROR_S)
                continue
            if version != self._version:
                self._version = version
                self._grown.set()
