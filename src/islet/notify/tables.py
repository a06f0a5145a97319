"""The outbox's tables in the encrypted database, one connection and one lock for all of them.

Everything that must survive a crash is here; the outbox itself keeps only what is being sent at this moment.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from islet.log.connection import open_database, plain_errors, transaction

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
  id        INTEGER PRIMARY KEY,
  alert     TEXT NOT NULL,
  channel   TEXT NOT NULL,
  recipient TEXT NOT NULL,
  sequence  INTEGER NOT NULL,            -- 0 it opened, then what else this recipient was told of it
  opens     INTEGER NOT NULL,            -- 1 an announcement, 0 what became of it
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
CREATE TABLE IF NOT EXISTS outbox_alert (
  alert TEXT PRIMARY KEY, patient TEXT NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL,
  onset_us INTEGER NOT NULL, from_us INTEGER NOT NULL, glucose_tenths INTEGER, run INTEGER NOT NULL,
  answers INTEGER NOT NULL, acknowledged_us INTEGER, acknowledged_by TEXT NOT NULL, ended TEXT NOT NULL,
  too_old INTEGER NOT NULL, unanswered INTEGER NOT NULL,
  next_us INTEGER,                       -- when to look again; the platform's clock, like all in this table
  changed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_alert_next ON outbox_alert (next_us) WHERE next_us IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_alert_active ON outbox_alert (patient) WHERE ended = '';
CREATE TABLE IF NOT EXISTS outbox_snooze (
  patient TEXT NOT NULL, rule TEXT NOT NULL, until_us INTEGER NOT NULL, by TEXT NOT NULL, at_us INTEGER NOT NULL,
  PRIMARY KEY (patient, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_health (
  channel TEXT NOT NULL, recipient TEXT NOT NULL,
  succeeded_us INTEGER, failed_us INTEGER, failures INTEGER NOT NULL, reason TEXT NOT NULL,
  first_seen_us INTEGER, tested_us INTEGER, confirmed_us INTEGER,
  PRIMARY KEY (channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_passed_over (patient TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_memory (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_ADDED: Final = {
    "kind": "TEXT NOT NULL DEFAULT ''",
    "run": "INTEGER NOT NULL DEFAULT 0",
    "answers": "INTEGER NOT NULL DEFAULT 0",
    "told_us": "INTEGER",
    "token": "TEXT NOT NULL DEFAULT ''",
}
"""Columns of `outbox` that the first version did not have. `told_us` is on the platform's clock, like `taken_us`."""
_INDEXES: Final = """
UPDATE outbox SET kind = iif(opens, 'opened', 'cleared') WHERE kind = '';
CREATE INDEX IF NOT EXISTS outbox_token ON outbox (token) WHERE token <> '';
"""

Value = str | int | None


class Tables:
    """The connection. What writes is to be called inside `transaction()`."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._lock = threading.RLock()
        self._name = path.name
        self._connection = open_database(path, key)
        with self.transaction():
            self._connection.execute(_SCHEMA)
            there = {row[1] for row in self._connection.execute("PRAGMA table_info(outbox)")}
            for name, kind in _ADDED.items():
                if name not in there:
                    self._connection.execute(f"ALTER TABLE outbox ADD COLUMN {name} {kind}")
            self._connection.execute(_INDEXES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside becomes durable together, or not at all; inside of another, with that one.

        Raises LogDamaged or OSError as `plain_errors` says.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            with plain_errors(self._name), transaction(self._connection):
                yield

    def rows(self, sql: str, values: tuple[Value, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: tuple[Value, ...] = ()) -> int:
        """How many rows that changed."""
        with self._lock:
            self._connection.execute(sql, values)
            return self._connection.changes()

    def remembered(self, name: str) -> int | None:
        """A number that was kept under that name."""
        rows = self.rows("SELECT value FROM outbox_memory WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else None

    def remember(self, name: str, value: int | None) -> None:
        """Keep a number; None forgets it."""
        if value is None:
            self.write("DELETE FROM outbox_memory WHERE name = ?", (name,))
        else:
            self.write("INSERT OR REPLACE INTO outbox_memory VALUES (?, ?)", (name, value))

    def close(self) -> None:
        with self._lock:
            self._connection.close()
