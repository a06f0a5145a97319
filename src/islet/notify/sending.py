"""From the queue to the channels: recipients side by side, each in its order; what fails is tried again, then given up.

All on the wall's clock, because the other side's waits are real.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from random import Random
from time import monotonic
from typing import Final

from islet.errors import SettingError
from islet.model.time import SECOND_US
from islet.notify.base import Delivered, Failed, Gone, Kind, Message, Notifier, Outcome, RetryAfter
from islet.notify.health import Healths
from islet.notify.queue import Queue, Row
from islet.notify.recipients import Contact, Directory, Lane

FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 300.0  # an alert that could not be sent is tried at least this often until it is given up
UNKNOWN: Final = "this recipient is no longer configured"
_BURST: Final = 10  # messages per recipient in one call, so that new alerts are taken in between
_LONGEST_RECEIPT: Final = 200
_THREADS: Final = 8  # per channel, so that a channel that hangs delays no other
_AT_ONCE: Final = 2 * _THREADS  # messages that a channel is given: what a thread does, and what it does next

Opens = Callable[[Contact], Notifier]
"""Gives the notifier of a contact; called for each message, so it shares what is dear (a connection, a key)."""


class Sender:
    """The channels of one installation. Its methods belong to one thread."""

    def __init__(
        self,
        queue: Queue,
        healths: Healths,
        directory: Directory,
        fixed: Mapping[Lane, Notifier],
        channels: Mapping[str, Opens],
        *,
        give_up_us: int,
        rng: Random,
        patience_s: float,
        acknowledge_url: str,
    ) -> None:
        self._queue, self._healths, self._directory = queue, healths, directory
        self._fixed, self._channels = fixed, channels
        self._give_up_us, self._rng, self._patience_s = give_up_us, rng, patience_s
        self._url = acknowledge_url
        self._sending: dict[Lane, tuple[Row, Future[Outcome]]] = {}
        names = {lane.channel for lane in fixed} | set(channels)
        self._workers = {name: ThreadPoolExecutor(_THREADS, thread_name_prefix=f"notify-{name}") for name in names}

    def in_flight(self) -> set[int]:
        """The messages that are at a channel at this moment."""
        return {row.id for row, _ in self._sending.values()}

    def deliver_due(self, now_us: int) -> int:
        """Send what is due; how many were delivered.

        Comes back when all are served, after `_BURST` messages each, or after `patience_s`: new alerts are taken in
        between, however slow the channels are.
        """
        until_s = monotonic() + self._patience_s
        delivered = sum(self._record(lane, now_us) for lane, (_, f) in list(self._sending.items()) if f.done())
        waiting: dict[str, deque[Lane]] = {}
        for lane in self._queue.lanes():
            if lane not in self._sending and self._is_known(lane, now_us):
                waiting.setdefault(lane.channel, deque()).append(lane)
        left = dict[Lane, int]()
        while self._start_more(waiting, left, now_us):
            done, _ = wait([self._sending[lane][1] for lane in left], max(0.0, until_s - monotonic()), FIRST_COMPLETED)
            if not done:
                break
            for lane in [lane for lane in left if self._sending[lane][1].done()]:
                urgency = self._sending[lane][0].urgency if waiting[lane.channel] else None
                delivered += self._record(lane, now_us)
                left[lane] -= 1
                if left[lane] < 0 or not self._start(lane, now_us, urgency):
                    del left[lane]
        return delivered

    def _start_more(self, waiting: Mapping[str, deque[Lane]], left: dict[Lane, int], now_us: int) -> bool:
        """Give each channel as many messages as it can begin soon, noted in `left`; whether any of those is under way.

        No more than that: what a channel has been given can neither be withdrawn nor overtaken by something urgent.
        """
        busy = Counter(lane.channel for lane in self._sending)
        for channel, lanes in waiting.items():
            while lanes and busy[channel] < _AT_ONCE:
                lane = lanes.popleft()
                if self._start(lane, now_us):
                    busy[channel] += 1
                    left[lane] = _BURST - 1
        return bool(left)

    def next_due_us(self) -> int | None:
        """When there is next something to start, beside what is being sent; None when nothing waits."""
        due = [self._queue.next_due_us(lane) for lane in self._queue.lanes() if lane not in self._sending]
        return min((d for d in due if d is not None), default=None)

    def close(self) -> None:
        """What is being sent now goes out again after the next start."""
        wait([future for _, future in self._sending.values()], self._patience_s)
        for workers in self._workers.values():
            workers.shutdown(wait=False, cancel_futures=True)

    def _is_known(self, lane: Lane, now_us: int) -> bool:
        """Whether there still is such a recipient; what waits for one who is no more becomes visible."""
        contact = self._directory.contact(lane)
        if contact is not None and contact.enabled and self._opens(lane) is not None:
            return True
        with self._queue.transaction():
            self._queue.drop_lane(lane, UNKNOWN, now_us)
            self._queue.drop_followers()
        return False

    def _start(self, lane: Lane, now_us: int, urgency: int | None = None) -> bool:
        """Send what the lane has due; where an urgency is given, because others wait, nothing that is less urgent."""
        row = self._queue.due(lane, now_us)
        if row is None or (urgency is not None and row.urgency > urgency):
            return False
        contact, opens = self._directory.contact(lane), self._opens(lane)
        if contact is None or opens is None:  # from one moment to the next: the next call deals with it
            return False
        message = self._message(row)
        self._sending[lane] = (row, self._workers[lane.channel].submit(_send, opens, contact, message, now_us))
        return True

    def _opens(self, lane: Lane) -> Opens | None:
        fixed = self._fixed.get(lane)
        return self._channels.get(lane.channel) if fixed is None else lambda contact: fixed

    def _message(self, row: Row) -> Message:
        return Message(
            id=row.key,
            alert=row.alert,
            title=row.title,
            text=row.text,
            kind=Kind(row.kind),
            urgent=row.urgency == 0,
            replaces=row.replaces or "",
            token=row.token,
            acknowledge_url=f"{self._url}{row.token}" if self._url and row.token else "",
        )

    def _record(self, lane: Lane, now_us: int) -> int:
        """Write down what became of the message that the lane has sent; 1 when it was delivered.

        Where that fails (a full disk), it is for a later call: the message must not go out again meanwhile.
        """
        row, future = self._sending[lane]
        outcome = _outcome(lane, future)
        with self._queue.transaction():
            self._mark(lane, row, outcome, now_us)
        del self._sending[lane]
        contact = self._directory.contact(lane)
        if isinstance(outcome, Gone) and contact is not None:
            self._directory.disable(contact, outcome.reason)
        return int(isinstance(outcome, Delivered))

    def _mark(self, lane: Lane, row: Row, outcome: Outcome, now_us: int) -> None:
        self._healths.note(lane, outcome, now_us)
        if isinstance(outcome, Delivered):
            self._queue.mark_sent(row, outcome.receipt, now_us)
        elif isinstance(outcome, RetryAfter):
            self._retry(lane, row, outcome, now_us)
        else:
            self._queue.mark_failed(row, outcome.reason, now_us)

    def _retry(self, lane: Lane, row: Row, outcome: RetryAfter, now_us: int) -> None:
        last_try_us = (now_us if row.since_us is None else row.since_us) + self._give_up_us
        asked_us = round(min(outcome.seconds * SECOND_US, self._give_up_us))
        wait_us = max(asked_us, round(self._back_off_s(row.attempts) * SECOND_US))
        self._queue.mark_retry(row, outcome.reason, now_us, min(now_us + wait_us, last_try_us))
        if asked_us:
            self._queue.hold(lane, outcome.reason, now_us, min(now_us + asked_us, last_try_us))
        self._queue.give_up(lane, now_us - self._give_up_us, now_us)

    def _back_off_s(self, attempts: int) -> float:
        """Doubles up to LONGEST_WAIT_S; between half and all of it, so that not everybody comes back at once."""
        return min(FIRST_WAIT_S * 2.0 ** min(attempts, 30), LONGEST_WAIT_S) * self._rng.uniform(0.5, 1.0)


def _send(opens: Opens, contact: Contact, message: Message, now_us: int) -> Outcome:
    return opens(contact).send(message, now_us)


def _outcome(lane: Lane, future: Future[Outcome]) -> Outcome:
    try:
        outcome = future.result()
        return Delivered(_kept(outcome.receipt)) if isinstance(outcome, Delivered) else outcome
    except SettingError as error:  # an address that is none; the message names neither it nor a secret
        return Failed(str(error))
    except Exception as error:  # a fault of ours in one channel; the other recipients are served all the same
        return RetryAfter(0, f"{lane.channel}: internal error ({type(error).__name__})")


def _kept(receipt: str) -> str:
    """A receipt that the database takes: it is the other side's word, and one that could not be noted would hold up
    all messages to everybody."""
    return receipt.encode(errors="replace").decode()[:_LONGEST_RECEIPT]


def lanes_of(notifiers: Sequence[Notifier]) -> dict[Lane, Notifier]:
    """Notifiers by their lane."""
    return {Lane(n.name, n.recipient): n for n in notifiers}
