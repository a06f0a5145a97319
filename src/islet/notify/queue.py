"""The messages: what is to be sent, to whom, when next, and what became of it."""

from collections.abc import Collection
from typing import Final, NamedTuple

from islet.model.time import MINUTE_US
from islet.notify.base import ANNOUNCEMENTS, Kind
from islet.notify.recipients import Lane
from islet.notify.schedule import Sent
from islet.notify.tables import Tables

_SENDABLE: Final = """
state = 'pending' AND NOT EXISTS (
  SELECT 1 FROM outbox AS earlier
  WHERE earlier.alert = outbox.alert AND earlier.channel = outbox.channel AND earlier.recipient = outbox.recipient
    AND earlier.sequence < outbox.sequence AND earlier.state = 'pending')
"""  # one alert's messages reach a recipient in their order


class Row(NamedTuple):
    """A message in the outbox. `replaces`: the receipt of the newest announcement that this recipient has of it."""

    id: int
    alert: str
    channel: str
    recipient: str
    sequence: int
    title: str
    text: str
    attempts: int
    since_us: int | None
    kind: str
    urgency: int
    token: str
    replaces: str | None

    @property
    def key(self) -> str:
        """The idempotency key: one alert, one change of it, one recipient."""
        return f"{self.alert}/{self.sequence}/{self.channel}/{self.recipient}"

    @property
    def lane(self) -> Lane:
        return Lane(self.channel, self.recipient)


class Undeliverable(NamedTuple):
    """A message that was given up, for the operations page."""

    alert: str
    channel: str
    recipient: str
    title: str
    attempts: int
    given_up_us: int
    reason: str


class Delivery(NamedTuple):
    """What became of one message: the receipt that people look at."""

    channel: str
    recipient: str
    kind: str
    queued_us: int
    state: str
    attempts: int
    done_us: int | None
    reason: str
    receipt: str


class Draft(NamedTuple):
    """A message to queue."""

    alert: str
    lane: Lane
    kind: Kind
    urgency: int
    title: str
    text: str
    taken_us: int
    run: int = 0
    answers: int = 0
    not_sent: str = ""


_ROW: Final = """id, alert, channel, recipient, sequence, title, text, attempts, since_us, kind, urgency, token,
(SELECT shown.receipt FROM outbox AS shown WHERE shown.alert = outbox.alert AND shown.channel = outbox.channel
 AND shown.recipient = outbox.recipient AND shown.opens = 1 AND shown.state = 'sent'
 AND shown.sequence < outbox.sequence ORDER BY shown.sequence DESC LIMIT 1)"""
_LAST_ID: Final = "last_message"
_NEXT_ID: Final = (
    "(SELECT max(coalesce((SELECT max(id) FROM outbox), 0),"
    f" coalesce((SELECT value FROM outbox_memory WHERE name = '{_LAST_ID}'), 0)) + 1)"
)  # never one that an erased message had: that one may be at a channel, and what becomes of it is noted by its id
_HELD: Final = "held "
"""A lane whose channel asked for a wait, and until when what is added waits."""
_LONGEST_HELD_US: Final = 5 * MINUTE_US
_LOOK_AGAIN: Final = (
    "UPDATE outbox_alert SET next_us = 0 WHERE alert IN (SELECT alert FROM outbox WHERE {where})"  # see Pager
)


class Queue:
    """The table of messages. Methods that write are to be called inside the tables' `transaction()`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.transaction = tables.transaction

    # what the log said

    def cursor(self, partition: int) -> int:
        """The first offset of ALERTS in that partition that was not taken in."""
        rows = self._tables.rows('SELECT "offset" FROM outbox_cursor WHERE partition = ?', (partition,))
        return int(rows[0][0]) if rows else 0

    def move_cursor(self, partition: int, offset: int) -> None:
        self._tables.write("INSERT OR REPLACE INTO outbox_cursor VALUES (?, ?)", (partition, offset))

    def sent(self, alert: str, in_flight: Collection[int] = ()) -> list[Sent]:
        """All messages about an alert, oldest first. `in_flight`: those that are at a channel at this moment."""
        rows = self._tables.rows(
            "SELECT id, channel, recipient, kind, run, answers, state, coalesce(told_us, taken_us) FROM outbox"
            " WHERE alert = ? AND channel <> '' ORDER BY id",
            (alert,),
        )
        return [
            Sent(
                id=id,
                lane=Lane(channel, recipient),
                kind=Kind(kind),
                run=run,
                answers=answers,
                state="sending" if id in in_flight else state,
                at_us=at_us,
            )
            for id, channel, recipient, kind, run, answers, state, at_us in rows
        ]

    def stamp(self, alert: str, now_us: int) -> int:
        """Messages that were delivered since the last look were, on the platform's clock, delivered now; how many."""
        return self._tables.write(
            "UPDATE outbox SET told_us = ? WHERE alert = ? AND state = 'sent' AND told_us IS NULL", (now_us, alert)
        )

    def put_back(self, now_us: int) -> None:
        """The platform's clock was put back: messages dated ahead of it count as of now."""
        self._tables.write(
            "UPDATE outbox SET taken_us = min(taken_us, ?1), told_us = iif(told_us > ?1, ?1, told_us)"
            " WHERE taken_us > ?1 OR told_us > ?1",
            (now_us,),
        )

    def try_now(self, now_us: int) -> None:
        """The wall's clock was put back: what waits does not wait until it is again where it was."""
        self._tables.write(
            "UPDATE outbox SET due_us = min(due_us, ?1), since_us = iif(since_us > ?1, ?1, since_us)"
            " WHERE state = 'pending' AND due_us > ?1",
            (now_us,),
        )
        self._tables.write(f"DELETE FROM outbox_memory WHERE name GLOB '{_HELD}*' AND value > ?", (now_us,))

    def add(self, draft: Draft, token: str = "") -> int:
        """Queue a message after those that this recipient has of the alert, or record why it will not be sent.

        How many are queued to go out.
        """
        self._tables.write(
            "INSERT INTO outbox (id, alert, channel, recipient, sequence, opens, urgency, title, text, taken_us, state,"
            f" reason, kind, run, answers, token, due_us) SELECT {_NEXT_ID}, ?1, ?2, ?3,"
            " (SELECT coalesce(max(sequence) + 1, 0) FROM outbox WHERE alert = ?1 AND channel = ?2 AND recipient = ?3),"
            " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
            f" coalesce((SELECT value FROM outbox_memory WHERE name = '{_HELD}' || ?2 || ' ' || ?3), 0)",
            (
                *(draft.alert, *draft.lane, int(draft.kind in ANNOUNCEMENTS), draft.urgency, draft.title, draft.text),
                *(draft.taken_us, "not_sent" if draft.not_sent else "pending", draft.not_sent),
                *(draft.kind, draft.run, draft.answers, "" if draft.not_sent else token),
            ),
        )
        return int(not draft.not_sent)

    def nobody(self, draft: Draft, reason: str, now_us: int) -> None:
        """Record, once, that there was nobody to tell."""
        self._tables.write(
            "INSERT OR IGNORE INTO outbox (id, alert, channel, recipient, sequence, opens, urgency, title, text,"
            " taken_us, state, reason, done_us, kind, run)"
            f" VALUES ({_NEXT_ID}, ?, '', '', ?, 1, ?, ?, ?, ?, 'undeliverable', ?, ?, ?, ?)",
            (
                *(draft.alert, draft.run, draft.urgency, draft.title, draft.text, draft.taken_us),
                *(reason, now_us, draft.kind, draft.run),
            ),
        )

    def rename(self, alert: str, replaced_by: str) -> None:
        """What was or will be said of one alert counts for the alert that takes its place."""
        self._tables.write("UPDATE OR IGNORE outbox SET alert = ? WHERE alert = ?", (replaced_by, alert))

    def withdraw(self, id: int, reason: str) -> None:
        """That message will not be sent."""
        self._tables.write(
            "UPDATE outbox SET state = 'not_sent', reason = ? WHERE id = ? AND state = 'pending'", (reason, id)
        )

    def reword(self, id: int, title: str, text: str) -> None:
        """That message says this from now on, if it has not gone out."""
        self._tables.write(
            "UPDATE outbox SET title = ?1, text = ?2 WHERE id = ?3 AND state = 'pending'"
            " AND (title <> ?1 OR text <> ?2)",
            (title, text, id),
        )

    # delivery

    def lanes(self) -> list[Lane]:
        """Who has messages waiting, the most urgent first; of those, who has one that was not tried yet, so that nobody
        waits behind many whose other side is dead."""
        rows = self._tables.rows(
            "SELECT channel, recipient FROM outbox WHERE state = 'pending'"
            " GROUP BY channel, recipient ORDER BY min(urgency), min(due_us), min(id)"
        )
        return [Lane(*row) for row in rows]

    def due(self, lane: Lane, now_us: int) -> Row | None:
        """The most urgent message that can be tried now."""
        rows = self._tables.rows(
            f"SELECT {_ROW} FROM outbox WHERE channel = ? AND recipient = ? AND due_us <= ? AND {_SENDABLE} "
            "ORDER BY urgency, due_us, id LIMIT 1",
            (*lane, now_us),
        )
        return Row(*rows[0]) if rows else None

    def next_due_us(self, lane: Lane) -> int | None:
        """When the lane's next message can be tried; None when none is waiting."""
        due: int | None = self._tables.rows(
            f"SELECT min(due_us) FROM outbox WHERE channel = ? AND recipient = ? AND {_SENDABLE}", lane
        )[0][0]
        return due

    def mark_sent(self, row: Row, receipt: str, now_us: int) -> None:
        self._tables.write(
            "UPDATE outbox SET state = 'sent', reason = '', receipt = ?, attempts = attempts + 1, done_us = ?"
            " WHERE id = ?",
            (receipt, now_us, row.id),
        )
        self._tables.write(_LOOK_AGAIN.format(where="id = ?"), (row.id,))

    def mark_failed(self, row: Row, reason: str, now_us: int) -> None:
        self._tables.write(
            "UPDATE outbox SET state = 'undeliverable', reason = ?, attempts = attempts + 1, done_us = ? WHERE id = ?",
            (reason, now_us, row.id),
        )
        self._tables.write(_LOOK_AGAIN.format(where="id = ?"), (row.id,))
        self.drop_followers()

    def mark_retry(self, row: Row, reason: str, now_us: int, due_us: int) -> None:
        self._tables.write(
            "UPDATE outbox SET reason = ?, attempts = attempts + 1, since_us = coalesce(since_us, ?), due_us = ?"
            " WHERE id = ?",
            (reason, now_us, due_us, row.id),
        )

    def hold(self, lane: Lane, reason: str, now_us: int, until_us: int) -> None:
        """Nothing that waits goes to this recipient before that instant; what is added meanwhile waits too, but not for
        long: a new alarm is tried."""
        self._tables.remember(f"{_HELD}{lane.channel} {lane.recipient}", min(until_us, now_us + _LONGEST_HELD_US))
        self._tables.write(
            "UPDATE outbox SET due_us = max(due_us, ?), since_us = coalesce(since_us, ?), reason = ?"
            " WHERE channel = ? AND recipient = ? AND state = 'pending'",
            (until_us, now_us, reason, *lane),
        )

    def give_up(self, lane: Lane, since_us: int, now_us: int) -> None:
        """Messages that have been tried since that instant or longer become undeliverable; the last reason stays."""
        late = "channel = ? AND recipient = ? AND state = 'pending' AND since_us <= ?"
        self._tables.write(_LOOK_AGAIN.format(where=late), (*lane, since_us))
        self._tables.write(
            f"UPDATE outbox SET state = 'undeliverable', done_us = ? WHERE {late}", (now_us, *lane, since_us)
        )
        self.drop_followers()

    def drop_lane(self, lane: Lane, reason: str, now_us: int) -> None:
        """What waits for a recipient who is no more becomes undeliverable, and so visible."""
        waiting = "channel = ? AND recipient = ? AND state = 'pending'"
        self._tables.write(_LOOK_AGAIN.format(where=waiting), lane)
        self._tables.write(
            f"UPDATE outbox SET state = 'undeliverable', reason = ?, done_us = ? WHERE {waiting}",
            (reason, now_us, *lane),
        )

    def drop_followers(self) -> None:
        """Nobody is told what became of an alert who was not told that it began."""
        self._tables.write(
            "UPDATE outbox SET state = 'not_sent', reason = 'its beginning was not sent'"
            " WHERE state = 'pending' AND opens = 0 AND NOT EXISTS (SELECT 1 FROM outbox AS opening"
            " WHERE opening.alert = outbox.alert AND opening.channel = outbox.channel"
            " AND opening.recipient = outbox.recipient AND opening.run = outbox.run AND opening.opens = 1"
            " AND opening.sequence < outbox.sequence AND opening.state IN ('pending', 'sent'))"
        )

    # what a person can look at

    def counts(self) -> dict[str, int]:
        """Messages per state; every state is there."""
        found = {row[0]: row[1] for row in self._tables.rows("SELECT state, count(*) FROM outbox GROUP BY state")}
        return {state: found.get(state, 0) for state in ("pending", "sent", "not_sent", "undeliverable")}

    def undeliverable(self, limit: int) -> list[Undeliverable]:
        """The newest messages that were given up, at most `limit`."""
        rows = self._tables.rows(
            "SELECT alert, channel, recipient, title, attempts, done_us, reason FROM outbox"
            " WHERE state = 'undeliverable' ORDER BY done_us DESC, id DESC LIMIT ?",
            (limit,),
        )
        return [Undeliverable(*row) for row in rows]

    def deliveries(self, alert: str) -> list[Delivery]:
        """What became of each message about an alert, oldest first."""
        rows = self._tables.rows(
            "SELECT channel, recipient, kind, taken_us, state, attempts, done_us, reason, receipt FROM outbox"
            " WHERE alert = ? ORDER BY id",
            (alert,),
        )
        return [Delivery(*row) for row in rows]

    def of_token(self, token: str) -> tuple[str, Lane, Kind] | None:
        """The alert and the recipient that a token was made for, if its message may have left."""
        rows = self._tables.rows(
            "SELECT alert, channel, recipient, kind FROM outbox WHERE token = ? AND token <> '' LIMIT 1", (token,)
        )
        return (rows[0][0], Lane(rows[0][1], rows[0][2]), Kind(rows[0][3])) if rows else None

    def erase(self, patient: str) -> None:
        """Remove all messages about a patient's alerts: their ids name the patient."""
        self._tables.remember(_LAST_ID, int(self._tables.rows(f"SELECT {_NEXT_ID}")[0][0]) - 1)
        self._tables.write("DELETE FROM outbox WHERE instr(alert, ?) > 0", (f"~{patient}~",))

    def forget(self, taken_before_us: int) -> int:
        """Remove finished messages that were taken in before that instant; how many."""
        with self.transaction():
            self._tables.write(
                f"DELETE FROM outbox_memory WHERE name GLOB '{_HELD}*' AND value < ?", (taken_before_us,)
            )
            return self._tables.write(
                "DELETE FROM outbox WHERE state <> 'pending' AND taken_us < ?"
                " AND NOT EXISTS (SELECT 1 FROM outbox_alert AS a WHERE a.alert = outbox.alert AND a.ended = '')",
                (taken_before_us,),
            )
