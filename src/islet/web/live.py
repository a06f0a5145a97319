"""One tailer per process reads the log as it grows and hands each piece to every open stream.

A viewer has a position in the log (an offset per topic and partition) and is behind, or at the end. One that is at
the end gets the pieces as the tailer reads them. One that has just come, or did not fetch its pieces in time, reads
the log itself from its position: so nothing is lost, and a slow viewer costs nobody else anything.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final

import msgspec
import structlog

from islet.errors import IsletError
from islet.log.base import Log, Slice
from islet.model.topics import Topic
from islet.store.base import Registry

TOPICS: Final = (Topic.GLUCOSE_READINGS, Topic.ALERTS, Topic.CARE_EVENTS)
CATCH_UP_ROWS: Final = 5_000
"""Someone further behind than this takes a new snapshot instead; it is smaller than what was missed."""

_PACE_S: Final = 0.02  # at most 50 pieces a second: below what an eye sees, and cheap at any commit rate
_WAIT_S: Final = 0.2  # how long a stop, or a right that was lost, may go unnoticed
_WAITING_UPDATES: Final = 100  # two seconds of a busy log

Positions = tuple[tuple[int, ...], ...]
"""The next offset, per topic of TOPICS and per partition."""

Audience = frozenset[str] | None
"""The patients whose entries a stream may carry; None means everybody's."""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


def positions_text(positions: Positions) -> str:
    """Positions as the id of a server-sent event."""
    return "-".join(".".join(map(str, offsets)) for offsets in positions)


def furthest(one: Positions, other: Positions) -> Positions:
    """In each partition the later of two offsets."""
    return tuple(tuple(map(max, a, b)) for a, b in zip(one, other, strict=True))


def parse_positions(text: str, partitions: int) -> Positions | None:
    """Positions from such an id; None when it is not one of this log."""
    try:
        positions = tuple(tuple(map(int, part.split("."))) for part in text.split("-"))
    except ValueError:
        return None
    fits = len(positions) == len(TOPICS) and all(len(offsets) == partitions for offsets in positions)
    return positions if fits and min(chain.from_iterable(positions)) >= 0 else None


class Update:
    """What the log gained between two positions, ready to be sent to any audience."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self._readings: dict[str, list[tuple[int, int, int]]] = {}
        self._documents: dict[Topic, list[tuple[str, dict[str, object]]]] = {}
        self._frames: dict[Audience, bytes] = {}

    def add(self, piece: Slice) -> None:
        """Take in entries of one partition; before the first call of `frame`."""
        columns = piece.batch.to_pydict()
        if piece.topic is Topic.GLUCOSE_READINGS:
            points = zip(columns["time_us"], columns["glucose_tenths"], columns["range"], strict=True)
            for patient, point in zip(columns["patient"], points, strict=True):
                self._readings.setdefault(patient, []).append(point)
            return
        rows = self._documents.setdefault(piece.topic, [])
        names = ("patient", "time_us", "type", "received_at_us", "body")
        for patient, time_us, kind, received_at_us, body in zip(*(columns[name] for name in names), strict=True):
            document = {"patient": patient, "time_us": time_us, "type": kind, "received_at_us": received_at_us}
            rows.append((patient, {**document, "body": msgspec.Raw(body.encode())}))

    def frame(self, audience: Audience) -> bytes:
        """The server-sent events for an audience; empty when nothing in it is theirs. Made once per audience."""
        frame = self._frames.get(audience)
        if frame is None:
            frame = self._frames[audience] = b"".join(self._events(audience))
        return frame

    def _events(self, audience: Audience) -> Iterator[bytes]:
        ident = positions_text(self.positions)
        readings = self._readings
        if audience is not None:
            readings = {patient: readings[patient] for patient in audience & readings.keys()}
        if readings:
            yield event("readings", _encode(readings), ident)
        for topic, rows in self._documents.items():
            shown = [row for patient, row in rows if audience is None or patient in audience]
            if shown:
                yield event(topic, _encode(shown), ident)


def event(name: str, data: bytes, ident: str = "") -> bytes:
    """One server-sent event (WHATWG HTML, clause 9.2.6); `data` is JSON on one line."""
    return f"event: {name}\n".encode() + (f"id: {ident}\n".encode() if ident else b"") + b"data: " + data + b"\n\n"


def between(log: Log, start: Positions, end: Positions) -> Update | None:
    """What lies between two positions; None when that is more than CATCH_UP_ROWS, or no longer kept."""
    if sum(map(sum, end)) - sum(map(sum, start)) > CATCH_UP_ROWS:
        return None
    update = Update(end)
    try:
        for topic, offsets, ends in zip(TOPICS, start, end, strict=True):
            for partition, (offset, stop) in enumerate(zip(offsets, ends, strict=True)):
                for piece in _pieces(log, topic, partition, offset, stop):
                    update.add(piece)
    except IsletError as error:
        _log.warning("live stream cannot read the log", error=type(error).__name__)
        return None
    return update


def _pieces(log: Log, topic: Topic, partition: int, offset: int, stop: int) -> Iterator[Slice]:
    while offset < stop:
        piece = log.read(topic, partition, offset, stop - offset)
        if piece is None:
            return
        rows = min(piece.batch.num_rows, stop - piece.offset)
        yield Slice(topic=topic, partition=partition, offset=piece.offset, batch=piece.batch.slice(0, rows))
        offset = piece.offset + rows


class Subscription:
    """One open stream's end of the hub. Everything in it happens in the event loop's thread."""

    def __init__(self, hub: "LiveHub", *, wants_updates: bool) -> None:
        self._hub = hub
        self._wants_updates = wants_updates
        self._updates: deque[Update] = deque()
        self._signal = asyncio.Event()
        self.behind = True
        self.closed = False
        self.recheck = False
        """Something in the registry has changed: the viewer may have lost a right."""

    def offer(self, update: Update | None) -> None:
        """Called by the hub; None says that there is something to read, but not what."""
        if self._wants_updates and not self.behind:
            if update is None or len(self._updates) >= _WAITING_UPDATES:
                self._updates.clear()
                self.behind = True
            else:
                self._updates.append(update)
        self._signal.set()

    def catch_up(self) -> Positions:
        """The position from which on updates will come; the reader has to read the log up to there."""
        self._updates.clear()
        self.behind = False
        return self._hub.published

    def take(self) -> list[Update]:
        """The updates that came since, in order."""
        taken = list(self._updates)
        self._updates.clear()
        return taken

    def ask_recheck(self) -> None:
        self.recheck = True
        self._signal.set()

    def close(self) -> None:
        self.closed = True
        self._signal.set()

    async def changed(self, timeout_s: float) -> bool:
        """Wait until there is something to do; False when the time was over first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._signal.wait()
        except TimeoutError:
            return False
        self._signal.clear()
        return True


class LiveHub:
    """The tailer and its subscriptions; it starts with the first one, and `close` ends them all."""

    def __init__(self, log: Log, registry: Registry) -> None:
        self._log = log
        self._registry = registry
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[Subscription] = set()
        self._read_to = self._ends()
        self.published = self._read_to
        """Up to where the tailer has handed out; belongs to the event loop's thread."""

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self, *, wants_updates: bool = True) -> Iterator[Subscription]:
        """A subscription for as long as the block lasts; call it in the event loop.

        With `wants_updates=False` it only signals that the log has changed.
        """
        subscription = Subscription(self, wants_updates=wants_updates)
        if self._stop.is_set():
            subscription.close()
        self._subscriptions.add(subscription)
        self._start()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def recheck(self) -> None:
        """Have every stream look again whether its session still holds. May be called from any thread."""
        self._in_loop(self._each_recheck)

    def close(self) -> None:
        """End all streams and the tailer. May be called from any thread, also twice."""
        self._stop.set()
        self._in_loop(self._each_close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._tail, name="live", daemon=True)
            self._thread.start()

    def _tail(self) -> None:
        seen, registry_version = 0, self._registry.version
        self._skip_to_end()
        while not self._stop.is_set():
            try:
                seen = self._log.wait(seen, _WAIT_S)
                self._round()
                if registry_version != (registry_version := self._registry.version):
                    self.recheck()
            except Exception as error:  # whatever a back end raises, the next round may be well again
                if not self._stop.is_set():
                    _log.error("live tailer", error=type(error).__name__)
                    self._stop.wait(_WAIT_S)
            self._stop.wait(_PACE_S)

    def _skip_to_end(self) -> None:
        """What came before the first viewer is theirs to read."""
        self._read_to = self._ends()
        self._in_loop(self._publish, self._read_to, None)

    def _round(self) -> None:
        ends = self._ends()
        update = between(self._log, self._read_to, ends) if self._subscriptions else None
        self._read_to = ends
        self._in_loop(self._publish, ends, update)

    def _publish(self, ends: Positions, update: Update | None) -> None:
        self.published = ends
        for subscription in self._subscriptions:
            subscription.offer(update)

    def _ends(self) -> Positions:
        return tuple(self._log.end(topic) for topic in TOPICS)

    def _each_recheck(self) -> None:
        for subscription in self._subscriptions:
            subscription.ask_recheck()

    def _each_close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()

    def _in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
