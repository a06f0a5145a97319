"""The outbox's tables, in the encrypted database: what is to be sent, to whom, when next, and what became of it.

Everything that must survive a crash is here; the outbox itself keeps only what is being sent at this moment.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from islet.log.connection import open_database, plain_errors, transaction

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
  id        INTEGER PRIMARY KEY,
  alert     TEXT NOT NULL,
  channel   TEXT NOT NULL,
  recipient TEXT NOT NULL,
  sequence  INTEGER NOT NULL,            -- 0 it opened, 1 it ended, 2 it opened again …
  opens     INTEGER NOT NULL,            -- 1 opened, 0 cleared or withdrawn
  urgency   INTEGER NOT NULL,            -- 0 is the most urgent
  title     TEXT NOT NULL,
  text      TEXT NOT NULL,
  taken_us  INTEGER NOT NULL,            -- the platform's clock
  state     TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'not_sent', 'undeliverable')),
  reason    TEXT NOT NULL DEFAULT '',    -- why not; the last failure while pending
  receipt   TEXT NOT NULL DEFAULT '',
  attempts  INTEGER NOT NULL DEFAULT 0,
  due_us    INTEGER NOT NULL DEFAULT 0,  -- the wall's clock, like the next two
  since_us  INTEGER,                     -- when delivery was first tried or held back
  done_us   INTEGER,
  UNIQUE (alert, channel, recipient, sequence)
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (channel, recipient, urgency, due_us) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS outbox_cursor (partition INTEGER PRIMARY KEY, "offset" INTEGER NOT NULL) STRICT;
"""

_SENDABLE: Final = """
state = 'pending' AND NOT EXISTS (
  SELECT 1 FROM outbox AS earlier
  WHERE earlier.alert = outbox.alert AND earlier.channel = outbox.channel AND earlier.recipient = outbox.recipient
    AND earlier.sequence < outbox.sequence AND earlier.state = 'pending')
"""  # one alert's messages reach a recipient in their order


class Lane(NamedTuple):
    """One recipient on one channel; lanes never wait for each other."""

    channel: str
    recipient: str


class Told(NamedTuple):
    """What a recipient was last told of an alert, or will be."""

    sequence: int
    opens: int
    state: str


class Row(NamedTuple):
    """A message in the outbox."""

    id: int
    alert: str
    channel: str
    recipient: str
    sequence: int
    title: str
    text: str
    attempts: int
    since_us: int | None

    @property
    def key(self) -> str:
        """The idempotency key: one alert, one change of it, one recipient."""
        return f"{self.alert}/{self.sequence}/{self.channel}/{self.recipient}"


class Undeliverable(NamedTuple):
    """A message that was given up, for the operations page."""

    alert: str
    channel: str
    recipient: str
    title: str
    attempts: int
    given_up_us: int
    reason: str


_ROW: Final = "id, alert, channel, recipient, sequence, title, text, attempts, since_us"


class Queue:
    """The tables, through one connection and one lock. Methods that write are to be called inside `transaction()`."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._lock = threading.RLock()
        self._name = path.name
        self._connection = open_database(path, key)
        with self.transaction():
            self._connection.execute(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside becomes durable together, or not at all.

        Raises LogDamaged or OSError as `plain_errors` says.
        """
        with self._lock, plain_errors(self._name), transaction(self._connection):
            yield

    def _rows(self, sql: str, values: tuple[str | int, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # what the log said

    def cursor(self, partition: int) -> int:
        """The first offset of ALERTS in that partition that was not taken in."""
        rows = self._rows('SELECT "offset" FROM outbox_cursor WHERE partition = ?', (partition,))
        return int(rows[0][0]) if rows else 0

    def move_cursor(self, partition: int, offset: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO outbox_cursor VALUES (?, ?)", (partition, offset))

    def last(self, alert: str, lane: Lane) -> Told | None:
        """The newest message about an alert to that recipient."""
        rows = self._rows(
            "SELECT sequence, opens, state FROM outbox WHERE alert = ? AND channel = ? AND recipient = ? "
            "ORDER BY sequence DESC LIMIT 1",
            (alert, *lane),
        )
        return Told(*rows[0]) if rows else None

    def add(
        self,
        alert: str,
        lane: Lane,
        sequence: int,
        *,
        opens: bool,
        urgency: int,
        title: str,
        text: str,
        taken_us: int,
        not_sent: str = "",
    ) -> int:
        """Queue a message, or record why it will not be sent. How many rows: 0 when its key is there already."""
        self._connection.execute(
            "INSERT OR IGNORE INTO outbox"
            " (alert, channel, recipient, sequence, opens, urgency, title, text, taken_us, state, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (alert, *lane, sequence, opens, urgency, title, text, taken_us)
            + (("not_sent", not_sent) if not_sent else ("pending", "")),
        )
        return self._connection.changes()

    def rename(self, alert: str, replaced_by: str) -> None:
        """What was or will be said of one alert counts for the alert that takes its place, if that has nothing yet."""
        if not self._rows("SELECT 1 FROM outbox WHERE alert = ? LIMIT 1", (replaced_by,)):
            self._connection.execute(
                "UPDATE outbox SET alert = ? WHERE alert = ? AND state IN ('pending', 'sent')", (replaced_by, alert)
            )

    def withdraw(self, alert: str, reason: str) -> None:
        """Who has not been told yet that the alert began will not be."""
        self._connection.execute(
            "UPDATE outbox SET state = 'not_sent', reason = ? WHERE alert = ? AND opens = 1 AND state = 'pending'",
            (reason, alert),
        )
        self._drop_followers()

    # delivery

    def due(self, lane: Lane, now_us: int) -> Row | None:
        """The most urgent message that can be tried now."""
        rows = self._rows(
            f"SELECT {_ROW} FROM outbox WHERE channel = ? AND recipient = ? AND due_us <= ? AND {_SENDABLE} "
            "ORDER BY urgency, due_us, id LIMIT 1",
            (*lane, now_us),
        )
        return Row(*rows[0]) if rows else None

    def next_due_us(self, lane: Lane) -> int | None:
        """When the lane's next message can be tried; None when none is waiting."""
        due: int | None = self._rows(
            f"SELECT min(due_us) FROM outbox WHERE channel = ? AND recipient = ? AND {_SENDABLE}", lane
        )[0][0]
        return due

    def mark_sent(self, id: int, receipt: str, now_us: int) -> None:
        self._connection.execute(
            "UPDATE outbox SET state = 'sent', reason = '', receipt = ?, attempts = attempts + 1, done_us = ?"
            " WHERE id = ?",
            (receipt, now_us, id),
        )

    def mark_failed(self, id: int, reason: str, now_us: int) -> None:
        self._connection.execute(
            "UPDATE outbox SET state = 'undeliverable', reason = ?, attempts = attempts + 1, done_us = ? WHERE id = ?",
            (reason, now_us, id),
        )
        self._drop_followers()

    def mark_retry(self, id: int, reason: str, now_us: int, due_us: int) -> None:
        self._connection.execute(
            "UPDATE outbox SET reason = ?, attempts = attempts + 1, since_us = coalesce(since_us, ?), due_us = ?"
            " WHERE id = ?",
            (reason, now_us, due_us, id),
        )

    def hold(self, lane: Lane, reason: str, now_us: int, until_us: int) -> None:
        """Nothing goes to this recipient before that instant."""
        self._connection.execute(
            "UPDATE outbox SET due_us = max(due_us, ?), since_us = coalesce(since_us, ?), reason = ?"
            " WHERE channel = ? AND recipient = ? AND state = 'pending'",
            (until_us, now_us, reason, *lane),
        )

    def give_up(self, lane: Lane, since_us: int, now_us: int) -> None:
        """Messages that have been tried since that instant or longer become undeliverable; the last reason stays."""
        self._connection.execute(
            "UPDATE outbox SET state = 'undeliverable', done_us = ?"
            " WHERE channel = ? AND recipient = ? AND state = 'pending' AND since_us <= ?",
            (now_us, *lane, since_us),
        )
        self._drop_followers()

    def drop_lanes_except(self, lanes: list[Lane], now_us: int) -> None:
        """Messages to recipients that are no longer configured become undeliverable, and so visible."""
        for channel, recipient in self._rows("SELECT DISTINCT channel, recipient FROM outbox WHERE state = 'pending'"):
            if Lane(channel, recipient) not in lanes:
                self._connection.execute(
                    "UPDATE outbox SET state = 'undeliverable', reason = 'this recipient is no longer configured',"
                    " done_us = ? WHERE channel = ? AND recipient = ? AND state = 'pending'",
                    (now_us, channel, recipient),
                )

    def _drop_followers(self) -> None:
        """Nobody is told that an alert ended who was not told that it began."""
        self._connection.execute(
            "UPDATE outbox SET state = 'not_sent', reason = 'its beginning was not sent'"
            " WHERE state = 'pending' AND opens = 0 AND EXISTS (SELECT 1 FROM outbox AS opening"
            " WHERE opening.alert = outbox.alert AND opening.channel = outbox.channel"
            " AND opening.recipient = outbox.recipient AND opening.sequence = outbox.sequence - 1"
            " AND opening.state IN ('not_sent', 'undeliverable'))"
        )

    # what a person can look at

    def counts(self) -> dict[str, int]:
        """Messages per state; every state is there."""
        found = {row[0]: row[1] for row in self._rows("SELECT state, count(*) FROM outbox GROUP BY state")}
        return {state: found.get(state, 0) for state in ("pending", "sent", "not_sent", "undeliverable")}

    def undeliverable(self, limit: int) -> list[Undeliverable]:
        """The newest messages that were given up, at most `limit`."""
        rows = self._rows(
            "SELECT alert, channel, recipient, title, attempts, done_us, reason FROM outbox"
            " WHERE state = 'undeliverable' ORDER BY done_us DESC, id DESC LIMIT ?",
            (limit,),
        )
        return [Undeliverable(*row) for row in rows]

    def forget(self, taken_before_us: int) -> int:
        """Remove finished messages that were taken in before that instant; how many."""
        with self.transaction():
            self._connection.execute("DELETE FROM outbox WHERE state <> 'pending' AND taken_us < ?", (taken_before_us,))
            return self._connection.changes()
