"""The transactional outbox: alerts from the log to people, none lost, each key sent at least once.

`take_in` reads the log's ALERTS and, in one transaction, queues messages and moves its cursor. `schedule` queues what
has become due since: repeats, the next people, tests. `deliver_due` sends. A crash loses nothing: what was not taken in
is still in the log, what was not marked as sent is sent again, and every timer is a column. The one window for a
double is a crash (or a power cut) after a channel took a message and before that is marked; the second has the first
one's id.

Two clocks: `take_in` and `schedule` are given the platform's, which may run fast in a demonstration; `deliver_due` the
wall's, because the other side's waits are real. They are never compared.
"""

import base64
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, Literal

import msgspec

from islet.errors import OffsetExpired
from islet.log.base import Log, Slice
from islet.model.alerts import AlertChange, Severity
from islet.model.codec import decode_change
from islet.model.people import Role
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.notify.base import CHANGING, Kind, Notifier
from islet.notify.health import Health, Healths, is_test_due
from islet.notify.pager import NOBODY, Known, Pager, Rules
from islet.notify.pages import Pages, Snooze, Trouble, Unanswered
from islet.notify.policy import once
from islet.notify.queue import Delivery, Draft, Queue, Undeliverable
from islet.notify.recipients import Contact, Directory, FixedDirectory, Lane
from islet.notify.schedule import Paging
from islet.notify.sending import Opens, Sender, lanes_of
from islet.notify.tables import Tables
from islet.notify.texts import Said, Wording, texts_in
from islet.notify.watchdog import Watch, watched

_SLICE_ROWS: Final = 100  # alert changes per transaction; the store writes to the same file
_MOST_SLICES: Final = 10  # a partition and call: messages go out, and a stop is heard, in between
_TOLD: Final = (Severity.URGENT, Severity.WARNING)
_LAST_URGENCY: Final = len(Severity)
_CLOCK_STEP_US: Final = 10 * SECOND_US
_TESTS_LOOKED_AT: Final = "tests_looked_at_us"
_SILENT_SINCE: Final = "engine_silent_since_us"
_SILENCE_SAID: Final = "engine_silence_said_us"

Acknowledge = Callable[[str, Contact], bool]
"""(alert, whose contact) -> whether that person may acknowledge it and it is now in the log. The app's."""

Answer = Literal["acknowledged", "confirmed", "refused", "unknown"]


def _standard(language: str) -> Wording:
    return texts_in()


class Outbox:
    """Messages of one installation. `take_in`, `schedule` and `deliver_due` belong to one thread, the rest to any.

    `notifiers` are the addresses of the settings; without a `directory` they are told once of every alert that is urgent
    or a warning, and nobody else is. With one, its policies decide; `channels` opens its contacts. `wording` gives a
    language's, and for "" that of a contact who names none. `patience_s` bounds how long one
    `deliver_due` waits for a channel: a slower one is left to finish, and its outcome is recorded by a later call.
    `acknowledge_url` is what a token is put behind, to be POSTed to (`https://…/acknowledge/`).
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        notifiers: Sequence[Notifier] = (),
        *,
        page_max_age_min: float,
        notify_give_up_h: float,
        rng: Random,
        wording: Callable[[str], Wording] = _standard,
        patience_s: float = 1.0,
        directory: Directory | None = None,
        channels: Mapping[str, Opens] | None = None,
        rules: Rules | None = None,
        acknowledge: Acknowledge | None = None,
        acknowledge_url: str = "",
        known_us: Known = lambda patient, rule: None,
    ) -> None:
        fixed = lanes_of(notifiers)
        self._directory = directory or FixedDirectory([_installation(lane) for lane in fixed], once(_TOLD))
        self._acknowledge, self._key, self._wording, self._wall_us = acknowledge, key, wording, 0
        self.unreadable = 0
        """Entries of ALERTS that were skipped because they are not alert changes; nobody was told of them."""
        self.behind = False
        """Whether the log had more than the last `take_in` has read."""
        self._tables = Tables(path, key)
        self._queue, self._pages, self._healths = Queue(self._tables), Pages(self._tables), Healths(self._tables)
        self._sender = Sender(
            self._queue,
            self._healths,
            self._directory,
            fixed,
            channels or {},
            give_up_us=round(notify_give_up_h * HOUR_US),
            rng=rng,
            patience_s=patience_s,
            acknowledge_url=acknowledge_url if acknowledge else "",
        )
        self._seen_us: int | None = None
        self._pager = self._new_pager(round(page_max_age_min * MINUTE_US), rules or Rules(), known_us)

    def _new_pager(self, max_age_us: int, rules: Rules, known_us: Known) -> Pager:
        return Pager(
            self._pages,
            self._queue,
            self._directory,
            self._wording,
            max_age_us=max_age_us,
            rules=rules,
            changing=CHANGING,
            token_of=self._token,
            in_flight=self._sender.in_flight,
            known_us=known_us,
        )

    # from the log and the clock: the platform's

    def take_in(self, log: Log, now_us: int) -> int:
        """Queue what the log has new, a part of it if that is much (then `behind`), and what has become due; how many
        messages."""
        self.behind = False
        new = sum(self._take_in_partition(log, partition, now_us) for partition in range(log.partitions))
        return new + self.schedule(now_us)

    def schedule(self, now_us: int) -> int:
        """Queue what has become due without anything new in the log; how many messages. Cheap: call it often."""
        self._notice_the_clock(now_us)
        next_us = self._pages.next_us()
        queued = 0
        if next_us is not None and next_us <= now_us:
            with self._tables.transaction():
                queued = self._pager.look(now_us)
        return queued + self._monthly_tests(now_us)

    def _notice_the_clock(self, now_us: int) -> None:
        """After a start, and when the clock was put back, nothing may wait for instants that another clock has named."""
        seen_us, self._seen_us = self._seen_us, now_us
        if seen_us is None or now_us < seen_us - _CLOCK_STEP_US:
            with self._tables.transaction():
                self._pages.put_back(now_us)
                self._queue.put_back(now_us)
                self._healths.put_back(now_us)

    def next_page_us(self) -> int | None:
        """When `schedule` next has something to do; None when nothing goes on."""
        return self._pages.next_us()

    def people_changed(self) -> None:
        """Policies or contacts are others now: every active alert is looked at again by the next `schedule`."""
        with self._tables.transaction():
            self._pages.look_at_all()

    def rules_changed(self, rules: Rules) -> None:
        """Other rules take over from each other, or are meant for others, from now on."""
        with self._tables.transaction():
            self._pager.rules = rules
            self._pages.look_at_all()

    def _take_in_partition(self, log: Log, partition: int, now_us: int) -> int:
        queued = 0
        end = log.end(Topic.ALERTS)[partition]
        if self._queue.cursor(partition) > end:  # of another log, which was lost: what comes next is new
            self._queue.move_cursor(partition, end)
        for _ in range(_MOST_SLICES):
            entries = _read(log, partition, self._queue.cursor(partition))
            if entries is None:
                return queued
            with self._tables.transaction():
                queued += self._take_in_slice(entries, now_us)
                self._queue.move_cursor(partition, entries.next_offset)
        self.behind = True
        return queued

    def _take_in_slice(self, entries: Slice, now_us: int) -> int:
        bodies = (str(body) for body in entries.batch.column("body").to_pylist())
        decoded = (change for change in map(self._decoded, bodies) if change is not None)
        changes = [change for change in decoded if not self._pages.passes_over(change.patient)]
        self._pager.forget_people()
        for change in changes:  # first, so that the alert that takes another's place is not announced as a new one
            if change.change == "retracted" and change.replaced_by:
                self._pager.rename(change)
        return sum(self._pager.take(change, now_us) for change in changes)

    def _decoded(self, body: str) -> AlertChange | None:
        try:
            return decode_change(body)
        except msgspec.DecodeError:  # one bad entry must not keep all later alerts from everybody
            self.unreadable += 1
            return None

    def _token(self, key: str) -> str:
        """Only who was sent it knows it. Without somebody to ask, there are no tokens."""
        if self._acknowledge is None:
            return ""
        secret = hmac.digest(self._key, b"islet acknowledge " + key.encode(), "sha256")[:16]
        return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()

    # to the channels: the wall's clock

    def deliver_due(self, now_us: int) -> int:
        """Send what is due, all recipients side by side; how many were delivered.

        Comes back when all are served, after some messages each, or after `patience_s`.
        """
        if now_us < self._wall_us - _CLOCK_STEP_US:
            with self._tables.transaction():
                self._queue.try_now(now_us)
        self._wall_us = now_us
        return self._sender.deliver_due(now_us)

    def next_due_us(self) -> int | None:
        """When `deliver_due` next has something to start; None when nothing waits. On the wall's clock.

        What is being sent at this moment is not in it: while anything may be, call `deliver_due` every second or so.
        """
        return self._sender.next_due_us()

    # from people

    def answer(self, token: str, now_us: int, *, addresses: Collection[str] | None = None) -> Answer:
        """Somebody has pressed the button of a message. `addresses`: what the place is called that it came from, on
        channels that know; one has to be the contact's own, in capitals or not. "refused": they may not (any more);
        "unknown": no message has this token."""
        found = self._queue.of_token(token)
        if found is None:
            return "unknown"
        alert, lane, kind = found
        contact = self._directory.contact(lane)
        if contact is None or not contact.enabled:
            return "refused"
        if addresses is not None and contact.address.lower() not in map(str.lower, addresses):
            return "refused"
        if kind is Kind.TEST:
            with self._tables.transaction():
                self._healths.confirmed(lane, now_us)
            return "confirmed"
        return "acknowledged" if self._acknowledge is not None and self._acknowledge(alert, contact) else "refused"

    def snooze(self, alert: str, minutes: float, by: str, now_us: int) -> int:
        """Alerts of this one's rule and patient page nobody for so long; until when (the platform's clock).

        The caller has decided that they may. Raises NotFound; BadInput for longer than the policy allows, which for
        an urgent alert is never more than 30 minutes.
        """
        with self._tables.transaction():
            return self._pager.snooze(alert, minutes, by, now_us)

    def snoozes(self, now_us: int) -> list[Snooze]:
        """Those that last, the first to end first."""
        return self._pages.snoozes(now_us)

    # tests and the dead man's switch: the platform's clock

    def test(self, contact: Contact, now_us: int) -> None:
        """Queue a message that says it is a test."""
        with self._tables.transaction():
            key = f"test~{now_us}"
            self._operation(key, contact, Kind.TEST, 0, now_us, self._token("/".join((key, *contact.lane))))
            self._healths.tested(contact.lane, now_us)

    def _monthly_tests(self, now_us: int) -> int:
        looked_us = self._tables.remembered(_TESTS_LOOKED_AT)
        if looked_us is not None and abs(now_us - looked_us) < HOUR_US:  # ahead of us: the clock was put back
            return 0
        with self._tables.transaction():
            due = [contact for contact in self._directory.everybody() if self._wants_test(contact, now_us)]
            for contact in due:
                self.test(contact, now_us)
            self._tables.remember(_TESTS_LOOKED_AT, now_us)
        return len(due)

    def _wants_test(self, contact: Contact, now_us: int) -> bool:
        if not contact.tested or not contact.enabled:
            return False
        return is_test_due(*self._healths.first_seen_us(contact.lane, now_us), contact.time_zone, now_us)

    def watch(self, heartbeat_us: int, silent_after_us: int, now_us: int) -> int:
        """Page the operators if the engine's last tick is older than `silent_after_us`, each hour until it is back,
        and once then; how many messages were queued."""
        with self._tables.transaction():
            before = Watch(
                silent_since_us=self._tables.remembered(_SILENT_SINCE), said_us=self._tables.remembered(_SILENCE_SAID)
            )
            after, said = watched(before, heartbeat_us, silent_after_us, now_us)
            if not said:
                return 0
            self._tables.remember(_SILENT_SINCE, after.silent_since_us)
            self._tables.remember(_SILENCE_SAID, after.said_us)
            since_us = before.silent_since_us if said == "back" else after.silent_since_us
            kind = Kind.ENGINE_BACK if said == "back" else Kind.ENGINE_SILENT
            return self._tell_operators(since_us or 0, kind, now_us)

    def _tell_operators(self, since_us: int, kind: Kind, now_us: int) -> int:
        key = f"engine~{since_us}"
        operators = [c for c in self._directory.everybody() if c.enabled and c.role in (None, Role.ADMINISTRATOR)]
        for contact in operators:
            self._operation(key, contact, kind, since_us, now_us)
        if not operators:
            title, text = self._wording("")(Said(kind=kind, since_us=since_us), None)
            self._queue.nobody(Draft(key, Lane("", ""), kind, 0, title, text, now_us), NOBODY, now_us)
        return len(operators)

    def _operation(self, key: str, contact: Contact, kind: Kind, since_us: int, now_us: int, token: str = "") -> None:
        title, text = self._wording(contact.language)(Said(kind=kind, since_us=since_us), contact)
        urgency = _LAST_URGENCY if kind is Kind.TEST else 0
        self._queue.add(Draft(key, contact.lane, kind, urgency, title, text, now_us), token)

    # what a person can look at

    def counts(self) -> dict[str, int]:
        """Messages per state: pending, sent, not_sent (too old, or no longer true), undeliverable."""
        return self._queue.counts()

    def undeliverable(self, limit: int = 100) -> list[Undeliverable]:
        """The newest messages that were given up, at most `limit`."""
        return self._queue.undeliverable(limit)

    def unanswered(self, limit: int = 100) -> list[Unanswered]:
        """The newest alerts that were dropped because nobody acknowledged them, at most `limit`."""
        return self._pages.unanswered(limit)

    def paging(self, alert: str) -> Paging | None:
        """An alert that pages or paged somebody."""
        return self._pages.get(alert)

    def troubles(self, patients: Collection[str] | None = None) -> dict[str, Trouble]:
        """What is wrong with the alerts that go on, or that nobody has answered: nobody did in time, or a message did
        not reach its recipient. `patients`: only theirs."""
        return self._pages.troubles(patients)

    def deliveries(self, alert: str) -> list[Delivery]:
        """What became of each message about an alert, oldest first."""
        return self._queue.deliveries(alert)

    def health(self) -> list[Health]:
        """Per recipient, when something last reached them; those that fail first."""
        return self._healths.all()

    def forget(self, taken_before_us: int) -> int:
        """Remove finished messages that were taken in before that instant (the platform's clock); how many.

        Not sooner than the log forgets their alerts: the rows are what keeps a message from being sent twice.
        """
        with self._tables.transaction():
            forgotten = self._queue.forget(taken_before_us)
            self._pages.forget(taken_before_us)
        return forgotten

    def erase(self, patient: str) -> None:
        """Remove all messages about a patient, sent or not; nobody is told anything of them any more. Idempotent."""
        with self._tables.transaction():
            self._queue.erase(patient)
            self._pages.erase(patient)

    def close(self) -> None:
        """Release the file. What is being sent now goes out again after the next start. Notifiers are their maker's."""
        self._sender.close()
        self._tables.close()


def _installation(lane: Lane) -> Contact:
    return Contact(id=lane.recipient, channel=lane.channel, address=lane.recipient, tested=False)


def _read(log: Log, partition: int, offset: int) -> Slice | None:
    try:
        return log.read(Topic.ALERTS, partition, offset, _SLICE_ROWS)
    except OffsetExpired as expired:  # what retention has removed is too old to page anybody
        return log.read(Topic.ALERTS, partition, expired.begin, _SLICE_ROWS)
