"""Commands and feedback in SQLite. Functions over a connection; the transaction is the caller's."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from islet.errors import NotFound
from islet.store.devices_base import (
    DEAD_KEPT_US,
    FEEDBACK_BATCH,
    LEASE_US,
    LONGEST_LIFE_US,
    MOST_DELIVERIES,
    MOST_PENDING,
    UNTIL_RELEASED,
    USUAL_LIFE_US,
    Address,
    Command,
    DeadCommand,
    Feedback,
    FeedbackBatch,
    Letter,
    LockLost,
    MailboxFull,
    Outcome,
)

TABLES: Final = """
CREATE TABLE IF NOT EXISTS command (
    number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, generation TEXT NOT NULL,
    command BLOB NOT NULL, enqueued_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0, given_out INTEGER NOT NULL DEFAULT 0,
    lock_token TEXT NOT NULL DEFAULT '', locked_until_us INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS command_by_device ON command (device, generation, number);
CREATE INDEX IF NOT EXISTS command_by_end ON command (expires_us);
CREATE TABLE IF NOT EXISTS dead_command (
    number INTEGER PRIMARY KEY, device TEXT NOT NULL, generation TEXT NOT NULL, command BLOB NOT NULL,
    outcome TEXT NOT NULL, enqueued_us INTEGER NOT NULL, ended_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS command_feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT, feedback BLOB NOT NULL,
    lock_token TEXT NOT NULL DEFAULT '', locked_until_us INTEGER NOT NULL DEFAULT 0
) STRICT;
"""
_PUT: Final = "INSERT INTO command (device, generation, command, enqueued_us, expires_us) VALUES (?, ?, ?, ?, ?)"
_WAITING: Final = "SELECT count(*) FROM command WHERE device = ? AND generation = ? AND expires_us > ?"
_FREE: Final = """
SELECT number, command, enqueued_us, expires_us, deliveries, given_out FROM command
WHERE device = ? AND generation = ? AND expires_us > ? AND locked_until_us <= ? ORDER BY number LIMIT ?
"""
_WAIT: Final = """
SELECT iif(locked_until_us > ?3, lock_token, ''), number, command, enqueued_us, expires_us, deliveries, given_out
FROM command WHERE device = ?1 AND generation = ?2 AND expires_us > ?3 ORDER BY number
"""
_LEASE: Final = "UPDATE command SET lock_token = ?, locked_until_us = ?, given_out = given_out + 1 WHERE number = ?"
_BY_LOCK: Final = """
SELECT number, deliveries FROM command
WHERE device = ? AND generation = ? AND lock_token = ? AND locked_until_us > ? AND expires_us > ?
"""
_GIVE_BACK: Final = "UPDATE command SET lock_token = '', locked_until_us = 0"
_DEAD: Final = """
SELECT number, device, generation, command, outcome, enqueued_us, ended_us FROM dead_command
WHERE number < ? AND (? IS NULL OR device = ?) ORDER BY number DESC LIMIT ?
"""


def release_unended(writer: apsw.Connection) -> None:
    """Give back what connections of an earlier process had."""
    writer.execute(f"{_GIVE_BACK} WHERE locked_until_us = ?", (UNTIL_RELEASED,))


def put(writer: apsw.Connection, to: Address, command: Command, now_us: int) -> int:
    waiting: int = writer.execute(_WAITING, (to.device, to.generation, now_us)).get
    if waiting >= MOST_PENDING:
        raise MailboxFull(f"{waiting} commands wait for the device, and no more may; send it again later")
    life_us = USUAL_LIFE_US if command.expires_us is None else command.expires_us - now_us
    expires_us = now_us + min(life_us, LONGEST_LIFE_US)
    writer.execute(_PUT, (to.device, to.generation, msgspec.msgpack.encode(command), now_us, expires_us))
    return writer.last_insert_rowid()


def take(writer: apsw.Connection, to: Address, now_us: int, lease_until_us: int, limit: int) -> list[Letter]:
    rows: list[Any] = writer.execute(_FREE, (to.device, to.generation, now_us, now_us, limit)).fetchall()
    letters = []
    for row in rows:
        lock_token = secrets.token_hex(16)
        writer.execute(_LEASE, (lock_token, lease_until_us, row[0]))
        letters.append(_letter(lock_token, *row))
    return letters


def waiting(reader: apsw.Connection, of: Address, now_us: int) -> list[Letter]:
    rows: list[Any] = reader.execute(_WAIT, (of.device, of.generation, now_us)).fetchall()
    return [_letter(*row) for row in rows]


def finish(writer: apsw.Connection, to: Address, lock_token: str, outcome: Outcome, now_us: int) -> None:
    number, _ = _locked(writer, to, lock_token, now_us)
    _end(writer, number, outcome, now_us)


def abandon(writer: apsw.Connection, to: Address, lock_token: str, now_us: int) -> None:
    number, deliveries = _locked(writer, to, lock_token, now_us)
    if deliveries + 1 >= MOST_DELIVERIES:
        _end(writer, number, Outcome.TOO_OFTEN, now_us)
    else:
        writer.execute(f"{_GIVE_BACK}, deliveries = deliveries + 1 WHERE number = ?", (number,))


def release(writer: apsw.Connection, to: Address, lock_tokens: Sequence[str]) -> None:
    rows = [(to.device, to.generation, lock_token) for lock_token in lock_tokens]
    writer.executemany(f"{_GIVE_BACK} WHERE device = ? AND generation = ? AND lock_token = ?", rows)


def purge(writer: apsw.Connection, to: Address, now_us: int) -> int:
    query = "SELECT number FROM command WHERE device = ? AND generation = ?"
    return _end_all(writer, query, (to.device, to.generation), Outcome.PURGED, now_us)


def expire(writer: apsw.Connection, now_us: int) -> int:
    writer.execute("DELETE FROM dead_command WHERE ended_us <= ?", (now_us - DEAD_KEPT_US,))
    return _end_all(writer, "SELECT number FROM command WHERE expires_us <= ?", (now_us,), Outcome.EXPIRED, now_us)


def anything_to_expire(reader: apsw.Connection, now_us: int) -> bool:
    """Whether `expire` would do something; it looks only."""
    found: int = reader.execute(
        "SELECT EXISTS (SELECT 1 FROM command WHERE expires_us <= ?)"
        " OR EXISTS (SELECT 1 FROM dead_command WHERE ended_us <= ?)",
        (now_us, now_us - DEAD_KEPT_US),
    ).get
    return bool(found)


def pending(reader: apsw.Connection) -> dict[str, int]:
    return dict(reader.execute("SELECT device, count(*) FROM command GROUP BY device"))


def dead(reader: apsw.Connection, device: str | None, before: int | None, limit: int) -> list[DeadCommand]:
    last = UNTIL_RELEASED if before is None else before
    rows: list[Any] = reader.execute(_DEAD, (last, device, device, limit)).fetchall()
    return [_dead_command(*row) for row in rows]


def resend(writer: apsw.Connection, number: int, to: Address, now_us: int) -> int:
    row: Any = writer.execute(
        "SELECT command FROM dead_command WHERE number = ? AND device = ? AND generation = ?",
        (number, to.device, to.generation),
    ).fetchone()
    if row is None:
        raise NotFound("no dead command of this device has that number")
    command = msgspec.msgpack.decode(row[0], type=Command)
    again = put(writer, to, msgspec.structs.replace(command, expires_us=None), now_us)
    writer.execute("DELETE FROM dead_command WHERE number = ?", (number,))
    return again


def forget(writer: apsw.Connection, device: str) -> None:
    writer.execute("DELETE FROM command WHERE device = ?", (device,))
    writer.execute("DELETE FROM dead_command WHERE device = ?", (device,))


def take_feedback(writer: apsw.Connection, now_us: int) -> FeedbackBatch | None:
    query = "SELECT number, feedback FROM command_feedback WHERE locked_until_us <= ? ORDER BY number LIMIT ?"
    rows: list[Any] = writer.execute(query, (now_us, FEEDBACK_BATCH)).fetchall()
    if not rows:
        return None
    lock_token = secrets.token_hex(16)
    leases = [(lock_token, now_us + LEASE_US, number) for number, _ in rows]
    writer.executemany("UPDATE command_feedback SET lock_token = ?, locked_until_us = ? WHERE number = ?", leases)
    records = tuple(msgspec.msgpack.decode(feedback, type=Feedback) for _, feedback in rows)
    return FeedbackBatch(lock_token=lock_token, records=records)


def complete_feedback(writer: apsw.Connection, lock_token: str) -> None:
    writer.execute("DELETE FROM command_feedback WHERE lock_token = ? AND lock_token <> ''", (lock_token,))
    _check_found(writer)


def abandon_feedback(writer: apsw.Connection, lock_token: str) -> None:
    writer.execute(
        "UPDATE command_feedback SET lock_token = '', locked_until_us = 0 WHERE lock_token = ? AND lock_token <> ''",
        (lock_token,),
    )
    _check_found(writer)


def _check_found(writer: apsw.Connection) -> None:
    if not writer.changes():
        raise LockLost("no feedback has this lock token; receive it again")


def _locked(writer: apsw.Connection, to: Address, lock_token: str, now_us: int) -> tuple[int, int]:
    """Number and deliveries of what is on lease by that token."""
    row: Any = writer.execute(_BY_LOCK, (to.device, to.generation, lock_token, now_us, now_us)).fetchone()
    if row is None or not lock_token:
        raise LockLost("no command has this lock token: its lease has ended, or it was completed")
    number, deliveries = row
    return number, deliveries


def _end_all(writer: apsw.Connection, query: str, values: tuple[object, ...], outcome: Outcome, now_us: int) -> int:
    numbers: list[Any] = writer.execute(query, values).fetchall()
    for (number,) in numbers:
        _end(writer, number, outcome, now_us)
    return len(numbers)


def _end(writer: apsw.Connection, number: int, outcome: Outcome, now_us: int) -> None:
    """The command's life is over: its sender is told if they asked, and it is kept where it was no success."""
    row: Any = writer.execute(
        "DELETE FROM command WHERE number = ? RETURNING device, generation, command, enqueued_us", (number,)
    ).fetchone()
    device, generation, body, enqueued_us = row
    command = msgspec.msgpack.decode(body, type=Command)
    if outcome is not Outcome.SUCCESS:
        values = (number, device, generation, body, outcome.value, enqueued_us, now_us)
        writer.execute("INSERT INTO dead_command VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    wanted = "positive" if outcome is Outcome.SUCCESS else "negative"
    if command.ack in (wanted, "full"):
        feedback = Feedback(
            original_message_id=command.properties.get("$.mid", ""),
            outcome=outcome,
            device=device,
            generation=generation,
            at_us=now_us,
        )
        writer.execute("INSERT INTO command_feedback (feedback) VALUES (?)", (msgspec.msgpack.encode(feedback),))


def _letter(
    lock_token: str, number: int, body: bytes, enqueued_us: int, expires_us: int, deliveries: int, given_out: int
) -> Letter:
    return Letter(
        number=number,
        command=msgspec.msgpack.decode(body, type=Command),
        enqueued_us=enqueued_us,
        expires_us=expires_us,
        deliveries=deliveries,
        again=given_out > 0,
        lock_token=lock_token,
    )


def _dead_command(
    number: int, device: str, generation: str, body: bytes, outcome: str, enqueued_us: int, ended_us: int
) -> DeadCommand:
    return DeadCommand(
        number=number,
        address=Address(device, generation),
        command=msgspec.msgpack.decode(body, type=Command),
        outcome=Outcome(outcome),
        enqueued_us=enqueued_us,
        ended_us=ended_us,
    )
