"""One tailer per process reads the log as it grows and hands each piece to every open stream.

A viewer has a position in the log (an offset per topic and partition) and is behind, or at the end. One that is at
the end gets the pieces as the tailer reads them. One that has just come, or did not fetch its pieces in time, reads
the log itself from its position: so nothing is lost, and a slow viewer costs nobody else anything.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import structlog

from islet.log.base import Log
from islet.model.time import Now
from islet.store.base import Registry
from islet.store.principals import Principals
from islet.web.updates import Positions, Update, between, ends_of

_PACE_S: Final = 0.02  # at most 50 pieces a second: below what an eye sees, and cheap at any commit rate
_WAIT_S: Final = 0.2  # how long a stop, or a right that was lost, may go unnoticed
_WAITING_UPDATES: Final = 100  # two seconds of a busy log

_log = structlog.get_logger(__name__)


class Subscription:
    """One open stream's end of the hub. Everything in it happens in the event loop's thread."""

    def __init__(self, hub: "LiveHub", *, heartbeat_s: float, wants_updates: bool) -> None:
        self._hub = hub
        self._heartbeat_s = heartbeat_s
        self._beat_s = asyncio.get_running_loop().time() + heartbeat_s
        self.wants_updates = wants_updates
        self._updates: deque[Update] = deque()
        self._signal = asyncio.Event()
        self.behind = True
        self.closed = False
        self._recheck = True  # what was lost since the viewer was let in, until this end of the hub was there
        self._signal.set()

    def offer(self, update: Update | None) -> None:
        """Called by the hub; None says that there is something to read, but not what."""
        if self.wants_updates and not self.behind:
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
        """Something in the registry has changed: the viewer may have lost a right."""
        self._recheck = True
        self._signal.set()

    def close(self) -> None:
        self.closed = True
        self._signal.set()

    async def changed(self) -> None:
        """Wait until there is something to do, a heartbeat included."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._beat_s):
                await self._signal.wait()
        self._signal.clear()

    def beat_is_due(self) -> bool:
        """Whether to send a heartbeat and to look again whether the session holds, and counts it as done.

        That is so at first, after each `heartbeat_s`, however much or little there is to send, and on `ask_recheck`.
        """
        now_s = asyncio.get_running_loop().time()
        if not self._recheck and now_s < self._beat_s:
            return False
        self._recheck = False
        self._beat_s = now_s + self._heartbeat_s
        return True


class LiveHub:
    """The tailer and its subscriptions; it starts with the first one, and `close` ends them all."""

    def __init__(self, log: Log, registry: Registry, now: Now = lambda: 0) -> None:
        """`now`: the clock by which permissions end; without it their end is noticed at the next heartbeat."""
        self._log, self._registry, self._now = log, registry, now
        self._principals = Principals(registry)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[Subscription] = set()
        self._read_to = ends_of(log)
        self.published = self._read_to
        """Up to where the tailer has handed out; belongs to the event loop's thread."""

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self, *, heartbeat_s: float, wants_updates: bool = True) -> Iterator[Subscription]:
        """A subscription for as long as the block lasts; call it in the event loop.

        With `wants_updates=False` it only signals that the log has changed.
        """
        subscription = Subscription(self, heartbeat_s=heartbeat_s, wants_updates=wants_updates)
        self._subscriptions.add(subscription)
        self._start()
        if self._stop.is_set():  # asked only now: a `close` after this finds the loop, and ends this one too
            subscription.close()
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
            thread = threading.Thread(target=self._tail, name="live", daemon=True)
            thread.start()
            self._thread = thread  # only now: `close` joins it

    def _tail(self) -> None:
        seen, rights = 0, None  # rights that changed before the thread got here are a change too
        self._skip_to_end()
        while not self._stop.is_set():
            try:
                version = self._log.wait(seen, _WAIT_S)
                if version != seen:
                    self._round()
                    seen = version
                if rights != (rights := self._rights()):
                    self.recheck()
            except Exception as error:  # whatever a back end raises, the next round may be well again
                if not self._stop.is_set():
                    _log.error("live tailer", error=type(error).__name__)
                    self._stop.wait(_WAIT_S)
            self._stop.wait(_PACE_S)

    def _rights(self) -> tuple[object, ...]:
        """Another one whenever somebody may have lost a session or a right."""
        return self._principals.epoch(self._now()), self._registry.sessions_ended

    def _skip_to_end(self) -> None:
        """What came before the first viewer is theirs to read."""
        self._read_to = ends_of(self._log)
        self._in_loop(self._publish, self._read_to, None)

    def _round(self) -> None:
        ends = ends_of(self._log)
        wanted = any(one.wants_updates for one in list(self._subscriptions))
        update = between(self._log, self._read_to, ends, self._principals.erased) if wanted else None
        self._read_to = ends
        self._in_loop(self._publish, ends, update)

    def _publish(self, ends: Positions, update: Update | None) -> None:
        self.published = ends
        for subscription in self._subscriptions:
            subscription.offer(update)

    def _each_recheck(self) -> None:
        for subscription in self._subscriptions:
            subscription.ask_recheck()

    def _each_close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()

    def _in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
