"""Jobs over many devices in SQLite. Functions over a connection; the transaction is the caller's."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from islet.errors import AlreadyExists, NotFound
from islet.store.devices_base import ENDED_KEPT_US, Address, DeviceJob, JobState, JobStatus, JobStep, Outcome, Step

TABLES: Final = """
CREATE TABLE IF NOT EXISTS device_job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job BLOB NOT NULL, status TEXT NOT NULL,
    ended_us INTEGER, reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS device_job_by_status ON device_job (status);
CREATE TABLE IF NOT EXISTS device_job_step (
    job TEXT NOT NULL, device TEXT NOT NULL, step TEXT NOT NULL, next_us INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (job, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_job_step_by_next ON device_job_step (step, next_us);
"""
_OPEN: Final = (Step.PENDING, Step.RUNNING)
_GOING: Final = (JobStatus.SCHEDULED, JobStatus.RUNNING)


def create(writer: apsw.Connection, job: DeviceJob) -> None:
    statement = "INSERT OR IGNORE INTO device_job (id, job, status) VALUES (?, ?, ?)"
    writer.execute(statement, (job.id, msgspec.msgpack.encode(job), JobStatus.SCHEDULED.value))
    if not writer.changes():
        raise AlreadyExists(f"a job with ID '{job.id}' is there already")


def begin(writer: apsw.Connection, id: str, to: Sequence[Address], now_us: int) -> None:
    scheduled = (JobStatus.RUNNING.value, id, JobStatus.SCHEDULED.value)
    writer.execute("UPDATE device_job SET status = ? WHERE id = ? AND status = ?", scheduled)
    if not writer.changes():
        return
    steps = (JobStep(job=id, address=one, next_us=now_us, changed_us=now_us) for one in to)
    writer.executemany("INSERT OR IGNORE INTO device_job_step VALUES (?, ?, ?, ?, ?)", map(_row, steps))


def end(writer: apsw.Connection, id: str, status: JobStatus, now_us: int, reason: str) -> None:
    going = ", ".join(f"'{one}'" for one in _GOING)
    statement = f"UPDATE device_job SET status = ?, ended_us = ?, reason = ? WHERE id = ? AND status IN ({going})"
    writer.execute(statement, (status.value, now_us, reason, id))
    if not writer.changes():
        if job(writer, id) is None:
            raise NotFound(f"Job with ID '{id}' is not there.")
        return
    step = Step.CANCELED if status is JobStatus.CANCELLED else Step.FAILED
    for one in steps(writer, id, _OPEN, None, -1):
        put_step(writer, msgspec.structs.replace(one, step=step, changed_us=now_us, reason=one.reason or reason))


def job(reader: apsw.Connection, id: str) -> JobState | None:
    row: Any = reader.execute("SELECT job, status, ended_us, reason FROM device_job WHERE id = ?", (id,)).fetchone()
    return None if row is None else _states(reader, [row])[0]


def jobs(reader: apsw.Connection, statuses: Sequence[JobStatus], after: str, limit: int) -> list[JobState]:
    wanted = ", ".join(f"'{one.value}'" for one in statuses or tuple(JobStatus))
    rows: list[Any] = reader.execute(
        f"""SELECT job, status, ended_us, reason FROM device_job WHERE status IN ({wanted})
            AND number < coalesce((SELECT number FROM device_job WHERE id = ?), 9223372036854775807)
            ORDER BY number DESC LIMIT ?""",
        (after, limit),
    ).fetchall()
    return _states(reader, rows)


def _states(reader: apsw.Connection, rows: Sequence[Any]) -> list[JobState]:
    decoded = [(msgspec.msgpack.decode(body, type=DeviceJob), *rest) for body, *rest in rows]
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for one, *_ in decoded:
        counted = reader.execute("SELECT step, count(*) FROM device_job_step WHERE job = ? GROUP BY step", (one.id,))
        counts[one.id] = dict(counted)
    return [
        JobState(job=one, status=JobStatus(status), ended_us=ended_us, reason=reason, steps=counts[one.id])
        for one, status, ended_us, reason in decoded
    ]


def steps(
    reader: apsw.Connection, id: str | None, wanted: Sequence[Step], due_us: int | None, limit: int
) -> list[JobStep]:
    """A limit of -1 is none."""
    those = ", ".join(f"'{one.value}'" for one in wanted or tuple(Step))
    going = ", ".join(f"'{one}'" for one in _GOING)
    rows: list[Any] = reader.execute(
        f"""SELECT body FROM device_job_step WHERE step IN ({those}) AND (? IS NULL OR next_us <= ?)
            AND CASE WHEN ? IS NULL THEN job IN (SELECT id FROM device_job WHERE status IN ({going})) ELSE job = ? END
            ORDER BY next_us, device LIMIT ?""",
        (due_us, due_us, id, id, limit),
    ).fetchall()
    return [msgspec.msgpack.decode(body, type=JobStep) for (body,) in rows]


def put_step(writer: apsw.Connection, step: JobStep) -> bool:
    those = ", ".join(f"'{one.value}'" for one in _OPEN)
    statement = f"""UPDATE device_job_step SET step = ?, next_us = ?, body = ?
                    WHERE job = ? AND device = ? AND step IN ({those})"""
    job, device, word, next_us, body = _row(step)
    writer.execute(statement, (word, next_us, body, job, device))
    return writer.changes() > 0


def command_outcome(reader: apsw.Connection, number: int) -> Outcome | None:
    if reader.execute("SELECT EXISTS (SELECT 1 FROM command WHERE number = ?)", (number,)).get:
        return None
    dead: str | None = reader.execute("SELECT outcome FROM dead_command WHERE number = ?", (number,)).get
    return Outcome.SUCCESS if dead is None else Outcome(dead)


def anything_to_forget(reader: apsw.Connection, now_us: int) -> bool:
    """Whether `forget` would do something; it looks only."""
    query = "SELECT EXISTS (SELECT 1 FROM device_job WHERE ended_us <= ?)"
    return bool(reader.execute(query, (now_us - ENDED_KEPT_US,)).get)


def forget(writer: apsw.Connection, now_us: int) -> None:
    ended = "SELECT id FROM device_job WHERE ended_us <= ?"
    writer.execute(f"DELETE FROM device_job_step WHERE job IN ({ended})", (now_us - ENDED_KEPT_US,))
    writer.execute("DELETE FROM device_job WHERE ended_us <= ?", (now_us - ENDED_KEPT_US,))


def _row(step: JobStep) -> tuple[str, str, str, int, bytes]:
    return step.job, step.address.device, step.step.value, step.next_us, msgspec.msgpack.encode(step)


def erase(writer: apsw.Connection, device: str) -> None:
    """Forget what jobs have asked of a device, and what it answered."""
    writer.execute("DELETE FROM device_job_step WHERE device = ?", (device,))
