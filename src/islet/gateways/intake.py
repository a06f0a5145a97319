"""Where all gateways put what devices send: decoded and committed in groups, then acknowledged.

A gateway lives in an event loop, the log's writer in a thread. Between them are one queue (in) and one call into the
loop for each group (out), not one for each message.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Protocol, TypeVar

import structlog

from islet.decode.device_messages import kept_messages
from islet.decode.telemetry import Arrival, Decoded, decode_arrivals
from islet.errors import system_words
from islet.log.base import Append, Commit
from islet.log.group_commit import Done
from islet.model.topics import Topic

T = TypeVar("T")
Told = Callable[[T, Exception | None], None]
"""Called in the loop, in the order of the offers, with what was given for it, and None once the arrivals are durable,
otherwise why they are not. Must be quick and must not raise."""

CallSoon = Callable[..., Any]
"""A loop's `call_soon_threadsafe`."""

CROWDED_BYTES = 64 * 1024 * 1024
_BYTES_PER_ARRIVAL = 200  # what a message costs beside its payload, about

_PLENTY = 512
"""Offers that are a group without more: what a group costs by itself (1.6 million instructions and a sync; 3,600 for each
reading) is little beside what so many cost, and devices that wait for it could send meanwhile."""

_Offer = tuple[Sequence[Arrival], int, Told[Any], Any]
"""What came together, how many bytes it holds in memory, who is told, and with what."""

_ARRIVALS, _BYTES = itemgetter(0), itemgetter(1)  # what is done by `map` costs no step of the interpreter

_log = structlog.get_logger("islet.gateways.intake")


class Offered:
    """What is given with an offer by one who wants to hear which of its arrivals became dead letters: by their place in
    the offer, what was wrong with them. It is known when the offer is told of."""

    refused: Mapping[int, str] = {}


class Writer(Protocol):
    """The part of `islet.log.group_commit.GroupCommit` that is used here."""

    def add_source(self, source: Callable[[int], tuple[Commit, Done] | None], /) -> None: ...

    def wake(self, *, plenty: bool = False) -> None: ...


def properties_bytes(arrivals: Sequence[Arrival]) -> int:
    """Of the properties of arrivals, about."""
    return sum(len(name) + len(value) for arrival in arrivals for name, value in arrival.properties.items())


class Intake:
    """Takes arrivals from the gateways of one event loop to the log.

    `accepted` events and `dead` letters by reason are counted once they are durable; `failed` are arrivals whose
    commit did not succeed. All methods but `drain` belong to the loop's thread.
    """

    def __init__(
        self,
        writer: Writer,
        call_soon: CallSoon,
        *,
        future_us: int,
        most_bytes: int = CROWDED_BYTES,
        keeps_messages: bool = False,
    ) -> None:
        """Where it `keeps_messages`, the log gets them as they came, too."""
        self.accepted = 0
        self.dead: Counter[str] = Counter()
        self.failed = 0
        self.outstanding = 0
        self._writer = writer
        self._call_soon = call_soon
        self._future_us = future_us
        self._most_bytes = most_bytes
        self._keeps_messages = keeps_messages
        self._bytes = 0
        self._is_announced = False
        self._pending: deque[_Offer] = deque()  # its ends may be used from two threads
        self._waiting: list[asyncio.Future[None]] = []
        writer.add_source(self.drain)

    def offer(self, arrival: Arrival, told: Told[T], given: T) -> bool:
        """Take an arrival; never refuses. Whether it is `crowded` now: then stop reading until told of this one."""
        size = _BYTES_PER_ARRIVAL + len(arrival.payload)
        self._pending.append(((arrival,), size, told, given))
        self.outstanding += 1
        self._bytes += size
        if not self._is_announced or len(self._pending) == _PLENTY:
            self._announce()
        return self._bytes > self._most_bytes

    def offer_all(self, arrivals: Sequence[Arrival], told: Told[T], given: T, beside_bytes: int = 0) -> bool:
        """Take arrivals that came together, of which one is told once: all of them are durable, or none is.

        `beside_bytes`: what stands beside the payloads (`properties_bytes`); who knows it need not look at each.
        """
        size = _BYTES_PER_ARRIVAL * len(arrivals) + sum([len(arrival.payload) for arrival in arrivals]) + beside_bytes
        self._pending.append((arrivals, size, told, given))
        self.outstanding += len(arrivals)
        self._bytes += size
        if not self._is_announced or len(self._pending) == _PLENTY:
            self._announce()
        return self._bytes > self._most_bytes

    def _announce(self) -> None:
        """Wake the writer for the first offer of a group, and again when there are plenty."""
        plenty, self._is_announced = self._is_announced, True
        self._writer.wake(plenty=plenty)

    @property
    def crowded(self) -> bool:
        """Whether more waits for the log than should be held in memory."""
        return self._bytes > self._most_bytes

    async def settled(self) -> None:
        """Wait until everything that was offered is durable or has failed."""
        while self.outstanding:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def counts(self) -> dict[str, int]:
        """What the metrics show."""
        dead = {f"dead_{reason}": count for reason, count in self.dead.items()}
        return {"accepted": self.accepted, "failed": self.failed, **dead}

    def drain(self, now_us: int) -> tuple[Commit, Done] | None:
        """Everything that is pending, decoded; None when nothing is. Runs in the writer's thread (a `Source`)."""
        self._is_announced = False  # what comes from here on may be left for the next group
        pending = list(map(deque.popleft, repeat(self._pending, len(self._pending))))
        if not pending:
            return None
        try:
            return self._group(pending, now_us)
        except Exception:  # a fault of ours: nobody may wait for ever, and none but what we cannot decode fails
            _log.exception("decoding_failed", offers=len(pending))
        good = [offer for offer in pending if self._is_decoded(offer, now_us)]
        try:
            return self._group(good, now_us) if good else None
        except Exception as error:  # each by itself could be, all together not
            self._call_soon(self._settle, good, sum(map(len, map(_ARRIVALS, good))), None, error)
            return None

    def _group(self, pending: list[_Offer], now_us: int) -> tuple[Commit, Done]:
        """Raises what decoding does."""
        arrivals = list(chain.from_iterable(map(_ARRIVALS, pending)))
        count = len(arrivals)
        decoded = decode_arrivals(arrivals, now_us, self._future_us)
        appends = [Append(topic=topic, batch=batch, is_whole=True) for topic, batch in decoded.batches.items()]
        if self._keeps_messages:
            appends.append(Append(topic=Topic.DEVICE_MESSAGES, batch=kept_messages(arrivals, now_us)))

        def done(error: Exception | None) -> None:
            self._call_soon(self._settle, pending, count, decoded, error)

        return Commit(received_at_us=now_us, appends=appends), done

    def _is_decoded(self, offer: _Offer, now_us: int) -> bool:
        """Whether an offer can be decoded by itself; who made it is told where it cannot."""
        try:
            self._group([offer], now_us)
        except Exception as error:
            self._call_soon(self._settle, [offer], len(offer[0]), None, error)
            return False
        return True

    def _settle(self, pending: list[_Offer], count: int, decoded: Decoded | None, error: Exception | None) -> None:
        if error is None and decoded is not None:
            self.accepted += decoded.accepted
            self.dead.update(decoded.dead)
            if decoded.refused:
                _note_refused(pending, decoded.refused)
        else:
            self.failed += count
            _log.error("commit_failed", arrivals=count, error=type(error).__name__, reason=system_words(error))
        self.outstanding -= count
        self._bytes -= sum(map(_BYTES, pending))
        for _, _, told, given in pending:
            try:
                told(given, error)
            except Exception:  # one connection's fault must not cost the others their acknowledgement
                _log.exception("acknowledging_failed")
        if not self.outstanding:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()


def _note_refused(pending: Sequence[_Offer], refused: Mapping[int, str]) -> None:
    """Put down with each offer what became of its own. `refused` is by the place among all."""
    start = 0
    for arrivals, _, _, given in pending:
        if isinstance(given, Offered):
            given.refused = {at: refused[start + at] for at in range(len(arrivals)) if start + at in refused}
        start += len(arrivals)
