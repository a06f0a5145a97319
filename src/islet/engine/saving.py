"""The engine's state in the log: a few MB in each of many commits, so that nothing else waits long, in a thread of its
own where it is large. What was saved before stays whole until the last commit says that the new one is.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from islet.engine.memory import Room
from islet.engine.shard import Shard, ShardCopy
from islet.log.base import Append, CursorMove, Log
from islet.model.topics import Topic

SNAPSHOT: Final = "engine"
"""State blob: what was saved last; its parts are `engine/<which of two>/<number>`."""
_PART_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 1 << 20
"""What is saved as fast as a thread could be asked to."""
_MORE: Final = 16
"""One part in so many may be added to a state while memory for its copy is found."""


class Commits(Protocol):
    """What is saved by: `islet.log.group_commit.GroupCommit`."""

    def commit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        """Block until all of it is durable, which is to be at once when it is urgent."""


class Writer(Commits, Protocol):
    """What the engine needs of `islet.log.group_commit.GroupCommit`."""

    def later(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> Future[None]:
        """`commit` without waiting: done when all of it is durable, or tells why it is not."""


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """`offsets`: up to where the entries of each topic are in the state, by partition. `changes`: the number of the next
    change that it does not have (`islet.engine.adopted`). `parts`: how many there are of each of the two, of which `which`
    is the newest."""

    offsets: dict[Topic, list[int]]
    changes: int = 0
    which: int = 1
    parts: tuple[int, int] = (0, 0)


class Saving:
    """Where one engine's state is saved. One thread calls it."""

    def __init__(self, log: Log, commit: Commits) -> None:
        self._log, self._commit = log, commit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-snapshot")
        self._running: Future[int] | None = None
        self._room: Future[Room] | None = None

    @property
    def running(self) -> bool:
        """Whether a state is being saved at the moment."""
        return self._running is not None and not self._running.done()

    def is_ready(self, shard: Shard) -> bool:
        """Whether the shard can be copied without waiting for the system to find memory; it is asked for it."""
        if self.running:
            return False
        if self._room is None:
            size = shard.nbytes
            self._room = self._thread.submit(Room, size + size // _MORE if size > _SMALL_BYTES else 0)
        return self._room.done()

    @property
    def changes(self) -> int:
        """The number of the next change that what was saved last does not have."""
        saved = self._last()
        return 0 if saved is None else saved.changes

    def begin(self, offsets: Mapping[Topic, Sequence[int]], shard: Shard, changes: int = 0) -> None:
        """Save the shard as it is now, before change number `changes`; raises what the saving before failed with."""
        self.finish()
        head = _Saved(offsets={topic: list(of) for topic, of in offsets.items()}, changes=changes)
        room, self._room = self._room, None
        copy = shard.copied(Room() if room is None else room.result())
        if copy.nbytes > _SMALL_BYTES:
            self._running = self._thread.submit(self._write, head, copy)
        else:
            done = Future[int]()
            done.set_result(self._write(head, copy))  # raises before it is waited for
            self._running = done

    def finish(self) -> int:
        """Wait until what was begun is durable; how many bytes that were, 0 where nothing was begun. Raises what it
        failed with."""
        running, self._running = self._running, None
        return 0 if running is None else running.result()

    def close(self) -> None:
        """Wait for what was begun, whatever becomes of it."""
        self._thread.shutdown()

    def load(self) -> tuple[Mapping[Topic, list[int]], Iterator[bytes], int] | None:
        """Offsets and the shard's pieces as they were saved last, and the number of the next change that is not in them.
        Raises msgspec.MsgspecError for what is none."""
        saved = self._last()
        return None if saved is None else (saved.offsets, self._pieces(saved), saved.changes)

    def _last(self) -> _Saved | None:
        blob = self._log.state(SNAPSHOT)
        return None if blob is None else msgspec.msgpack.decode(blob, type=_Saved)

    def _pieces(self, saved: _Saved) -> Iterator[bytes]:
        for number in range(saved.parts[saved.which]):
            yield from msgspec.msgpack.decode(self._log.state(_name(saved.which, number)) or b"", type=list[bytes])

    def _write(self, head: _Saved, copy: ShardCopy) -> int:
        try:
            before = self._last() or head
        except msgspec.MsgspecError:  # of another version
            before = head
        which = 1 - before.which
        number = size = 0
        parts = _parts(copy.pieces())
        part = next(parts)
        for following in parts:
            self._commit.commit(states={_name(which, number): part})
            number, size, part = number + 1, size + len(part), following
        counts = (number + 1, before.parts[1]) if which == 0 else (before.parts[0], number + 1)
        saved = msgspec.structs.replace(head, which=which, parts=counts)
        states: dict[str, bytes | None] = {_name(which, old): None for old in range(number + 1, before.parts[which])}
        states |= {_name(which, number): part, SNAPSHOT: msgspec.msgpack.encode(saved)}
        self._commit.commit(states=states)
        return size + len(part)


def _name(which: int, number: int) -> str:
    return f"{SNAPSHOT}/{which}/{number}"


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces packed together, a good MB in each part; at least one."""
    some, size = list[bytes](), 0
    for piece in pieces:
        if size > _PART_BYTES:
            yield msgspec.msgpack.encode(some)
            some, size = [], 0
        some.append(piece)
        size += len(piece)
    yield msgspec.msgpack.encode(some)
