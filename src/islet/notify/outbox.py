"""The transactional outbox: alerts from the log to people, none lost, each key sent at least once.

`take_in` reads the log's ALERTS and, in one transaction, queues messages and moves its cursor. `deliver_due` sends
what is due. A crash loses nothing: what was not taken in is still in the log, what was not marked as sent is sent
again. The one window for a double is a crash (or a power cut) after a channel took a message and before that is
marked; the second has the first one's id.

Two clocks: `take_in` is given the platform's, which may run fast in a demonstration; `deliver_due` the wall's,
because the other side's waits are real. They are never compared.
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from islet.errors import OffsetExpired
from islet.log.base import Log, Slice
from islet.model.alerts import AlertChange, Severity
from islet.model.codec import decode_change
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.notify.base import Delivered, Failed, Message, Notifier, Outcome, RetryAfter
from islet.notify.queue import Lane, Queue, Row, Undeliverable
from islet.notify.texts import Texts, texts_in

FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 300.0  # an alert that could not be sent is tried at least this often until it is given up
_BURST: Final = 10  # messages per recipient in one call, so that new alerts are taken in between
_SLICE_ROWS: Final = 1000  # alert changes per transaction; the store writes to the same file
_URGENCY: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Outbox:
    """Messages of one installation. `take_in` and `deliver_due` belong to one thread, the rest to any.

    `severities` are those that page somebody; the portal shows all. `patience_s` bounds how long one `deliver_due`
    waits for a channel: a slower one is left to finish, and its outcome is recorded by a later call.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        notifiers: Sequence[Notifier],
        *,
        page_max_age_min: float,
        notify_give_up_h: float,
        rng: Random,
        texts: Texts | None = None,
        severities: Sequence[Severity] = (Severity.URGENT, Severity.WARNING),
        patience_s: float = 1.0,
    ) -> None:
        self._notifiers = {Lane(n.name, n.recipient): n for n in notifiers}
        self._max_age_us = round(page_max_age_min * MINUTE_US)
        self._give_up_us = round(notify_give_up_h * HOUR_US)
        self._rng = rng
        self._texts = texts or texts_in()
        self._severities = frozenset(severities)
        self._patience_s = patience_s
        self.unreadable = 0
        """Entries of ALERTS that were skipped because they are not alert changes; nobody was told of them."""
        self._queue = Queue(path, key)
        self._lanes_checked = False
        self._sending: dict[Lane, tuple[Row, Future[Outcome]]] = {}
        self._workers = ThreadPoolExecutor(max(1, len(self._notifiers)), thread_name_prefix="notify")

    # from the log

    def take_in(self, log: Log, now_us: int) -> int:
        """Queue what the log has new; how many messages. `now_us` is the platform's clock."""
        return sum(self._take_in_partition(log, partition, now_us) for partition in range(log.partitions))

    def _take_in_partition(self, log: Log, partition: int, now_us: int) -> int:
        queued = 0
        while (entries := _read(log, partition, self._queue.cursor(partition))) is not None:
            with self._queue.transaction():
                queued += self._take_in_slice(entries, now_us)
                self._queue.move_cursor(partition, entries.next_offset)
        return queued

    def _take_in_slice(self, entries: Slice, now_us: int) -> int:
        bodies = (str(body) for body in entries.batch.column("body").to_pylist())
        changes = [change for change in map(self._decoded, bodies) if change is not None]
        for change in changes:  # first, so that the alert that takes another's place is not announced as a new one
            if change.change == "retracted" and change.replaced_by:
                self._queue.rename(change.id, change.replaced_by)
        return sum(self._take_in_change(change, now_us) for change in changes)

    def _decoded(self, body: str) -> AlertChange | None:
        try:
            return decode_change(body)
        except msgspec.DecodeError:  # one bad entry must not keep all later alerts from everybody
            self.unreadable += 1
            return None

    def _take_in_change(self, change: AlertChange, now_us: int) -> int:
        if change.change == "acknowledged" or change.retrospective:
            return 0  # what was found in the past never pages anybody as if it were now
        if change.change == "opened" and change.severity not in self._severities:
            return 0
        if change.change == "retracted":
            being_sent = {row.alert for row, _ in self._sending.values()}
            if change.id not in being_sent:
                self._queue.withdraw(change.id, "withdrawn before it was sent")
            if change.replaced_by:
                return 0
        return sum(self._tell(change, lane, now_us) for lane in self._notifiers)

    def _tell(self, change: AlertChange, lane: Lane, now_us: int) -> int:
        """Queue a message if it tells the recipient something else than the one before; how many."""
        opens = change.change == "opened"
        told = self._queue.last(change.id, lane)
        if opens and told is not None and told.opens:
            return 0
        if not opens and (told is None or not told.opens or told.state not in ("pending", "sent")):
            return 0
        too_old = opens and now_us - change.at_us > self._max_age_us
        title, text = self._texts(change)
        added = self._queue.add(
            change.id,
            lane,
            told.sequence + 1 if told else 0,
            opens=opens,
            urgency=_URGENCY[change.severity],
            title=title,
            text=text,
            taken_us=now_us,
            not_sent="too old" if too_old else "",
        )
        return 0 if too_old else added

    # to the channels

    def deliver_due(self, now_us: int) -> int:
        """Send what is due, all recipients side by side; how many were delivered. `now_us` is the wall's clock.

        Comes back when all are served, after `_BURST` messages each, or when nobody answers for `patience_s`.
        """
        self._check_lanes(now_us)
        delivered = sum(self._record(lane, now_us) for lane, (_, f) in list(self._sending.items()) if f.done())
        started = [lane for lane in self._notifiers if lane not in self._sending and self._start(lane, now_us)]
        left = dict.fromkeys(started, _BURST - 1)
        while left:
            done, _ = wait([self._sending[lane][1] for lane in left], self._patience_s, FIRST_COMPLETED)
            if not done:
                break
            for lane in [lane for lane in left if self._sending[lane][1].done()]:
                delivered += self._record(lane, now_us)
                left[lane] -= 1
                if left[lane] < 0 or not self._start(lane, now_us):
                    del left[lane]
        return delivered

    def next_due_us(self) -> int | None:
        """When `deliver_due` next has something to start; None when nothing waits. On the wall's clock.

        What is being sent at this moment is not in it: while anything may be, call `deliver_due` every second or so.
        """
        due = [self._queue.next_due_us(lane) for lane in self._notifiers if lane not in self._sending]
        return min((d for d in due if d is not None), default=None)

    def _start(self, lane: Lane, now_us: int) -> bool:
        row = self._queue.due(lane, now_us)
        if row is None:
            return False
        message = Message(id=row.key, alert=row.alert, title=row.title, text=row.text)
        self._sending[lane] = (row, self._workers.submit(self._notifiers[lane].send, message, now_us))
        return True

    def _record(self, lane: Lane, now_us: int) -> int:
        """Write down what became of the message that the lane has sent; 1 when it was delivered.

        Where that fails (a full disk), it is for a later call: the message must not go out again meanwhile.
        """
        row, future = self._sending[lane]
        outcome = _outcome(lane, future)
        with self._queue.transaction():
            if isinstance(outcome, Delivered):
                self._queue.mark_sent(row.id, outcome.receipt, now_us)
            elif isinstance(outcome, Failed):
                self._queue.mark_failed(row.id, outcome.reason, now_us)
            else:
                self._retry(lane, row, outcome, now_us)
        del self._sending[lane]
        return int(isinstance(outcome, Delivered))

    def _retry(self, lane: Lane, row: Row, outcome: RetryAfter, now_us: int) -> None:
        last_try_us = (now_us if row.since_us is None else row.since_us) + self._give_up_us
        asked_us = round(min(outcome.seconds * SECOND_US, self._give_up_us))
        wait_us = max(asked_us, round(self._back_off_s(row.attempts) * SECOND_US))
        self._queue.mark_retry(row.id, outcome.reason, now_us, min(now_us + wait_us, last_try_us))
        if asked_us:
            self._queue.hold(lane, outcome.reason, now_us, min(now_us + asked_us, last_try_us))
        self._queue.give_up(lane, now_us - self._give_up_us, now_us)

    def _back_off_s(self, attempts: int) -> float:
        """Doubles up to LONGEST_WAIT_S; between half and all of it, so that not everybody comes back at once."""
        return min(FIRST_WAIT_S * 2.0 ** min(attempts, 30), LONGEST_WAIT_S) * self._rng.uniform(0.5, 1.0)

    def _check_lanes(self, now_us: int) -> None:
        if not self._lanes_checked:
            with self._queue.transaction():
                self._queue.drop_lanes_except(list(self._notifiers), now_us)
            self._lanes_checked = True

    # what a person can look at

    def counts(self) -> dict[str, int]:
        """Messages per state: pending, sent, not_sent (too old, or no longer true), undeliverable."""
        return self._queue.counts()

    def undeliverable(self, limit: int = 100) -> list[Undeliverable]:
        """The newest messages that were given up, at most `limit`."""
        return self._queue.undeliverable(limit)

    def forget(self, taken_before_us: int) -> int:
        """Remove finished messages that were taken in before that instant (the platform's clock); how many.

        Not sooner than the log forgets their alerts: the rows are what keeps a message from being sent twice.
        """
        return self._queue.forget(taken_before_us)

    def close(self) -> None:
        """Release the file. What is being sent now goes out again after the next start. Notifiers are their maker's."""
        wait([future for _, future in self._sending.values()], self._patience_s)
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._queue.close()


def _read(log: Log, partition: int, offset: int) -> Slice | None:
    try:
        return log.read(Topic.ALERTS, partition, offset, _SLICE_ROWS)
    except OffsetExpired as expired:  # what retention has removed is too old to page anybody
        return log.read(Topic.ALERTS, partition, expired.begin, _SLICE_ROWS)


def _outcome(lane: Lane, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # a fault of ours in one channel; the other recipients are served all the same
        return RetryAfter(0, f"{lane.channel}: internal error ({type(error).__name__})")
