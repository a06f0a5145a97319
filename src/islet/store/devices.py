"""The device side in the installation's encrypted SQLite file, durable when a call returns."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from islet.decode.iothub_twins import JsonObject, ServiceTwin, Twin
from islet.log.connection import Readers, open_database, plain_errors, transaction
from islet.store import activity, device_jobs, mailboxes, modules, twins
from islet.store.devices_base import (
    Activity,
    Address,
    Command,
    DeadCommand,
    DeviceJob,
    FeedbackBatch,
    JobState,
    JobStatus,
    JobStep,
    Letter,
    Module,
    Outcome,
    Step,
)


class SqliteDevices:
    """Implements `islet.store.devices_base.Devices`."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open it at `path`, made where there is none; leases of connections that an earlier process had end.

        Raises KeyUnavailable for a wrong key.
        """
        self._name = path.name
        self._writing = threading.RLock()
        self._together_in: int | None = None  # the thread that is inside `together`
        self._readers = Readers(path, key)
        self._writer = open_database(path, key, synchronous="FULL")
        with self._change():
            self._writer.execute(mailboxes.TABLES + twins.TABLES + modules.TABLES + activity.TABLES)
            self._writer.execute(device_jobs.TABLES)
            mailboxes.release_unended(self._writer)
            activity.nobody_is_connected(self._writer)

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._writing, plain_errors(self._name), transaction(self._writer):
            self._together_in = threading.get_ident()
            try:
                yield
            finally:
                self._together_in = None

    @contextmanager
    def _change(self) -> Iterator[None]:
        if self._together_in == threading.get_ident():
            with self._writer:  # a savepoint
                yield
        else:
            with self._writing, plain_errors(self._name), transaction(self._writer):
                yield

    @contextmanager
    def _look(self) -> Iterator[apsw.Connection]:
        """A connection for reading; inside `together`, one that sees what was written there."""
        if self._together_in == threading.get_ident():
            yield self._writer
        else:
            with self._readers.one() as reader:
                yield reader

    def put_command(self, to: Address, command: Command, now_us: int) -> int:
        with self._change():
            return mailboxes.put(self._writer, to, command, now_us)

    def take_commands(self, to: Address, now_us: int, lease_until_us: int, limit: int = 1) -> list[Letter]:
        with self._change():
            return mailboxes.take(self._writer, to, now_us, lease_until_us, limit)

    def complete_command(self, to: Address, lock_token: str, now_us: int) -> None:
        with self._change():
            mailboxes.finish(self._writer, to, lock_token, Outcome.SUCCESS, now_us)

    def reject_command(self, to: Address, lock_token: str, now_us: int) -> None:
        with self._change():
            mailboxes.finish(self._writer, to, lock_token, Outcome.REJECTED, now_us)

    def abandon_command(self, to: Address, lock_token: str, now_us: int) -> None:
        with self._change():
            mailboxes.abandon(self._writer, to, lock_token, now_us)

    def release_commands(self, to: Address, lock_tokens: Sequence[str]) -> None:
        with self._change():
            mailboxes.release(self._writer, to, lock_tokens)

    def purge_commands(self, to: Address, now_us: int) -> int:
        with self._change():
            return mailboxes.purge(self._writer, to, now_us)

    def waiting_commands(self, of: Address, now_us: int) -> list[Letter]:
        with self._look() as reader:
            return mailboxes.waiting(reader, of, now_us)

    def pending_commands(self) -> dict[str, int]:
        with self._look() as reader:
            return mailboxes.pending(reader)

    def expire_commands(self, now_us: int) -> int:
        with self._look() as reader:
            if not mailboxes.anything_to_expire(reader, now_us):
                return 0
        with self._change():
            return mailboxes.expire(self._writer, now_us)

    def dead_commands(
        self, device: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[DeadCommand]:
        with self._look() as reader:
            return mailboxes.dead(reader, device, before, limit)

    def resend_command(self, number: int, to: Address, now_us: int) -> int:
        with self._change():
            return mailboxes.resend(self._writer, number, to, now_us)

    def take_feedback(self, now_us: int) -> FeedbackBatch | None:
        with self._change():
            return mailboxes.take_feedback(self._writer, now_us)

    def complete_feedback(self, lock_token: str) -> None:
        with self._change():
            mailboxes.complete_feedback(self._writer, lock_token)

    def abandon_feedback(self, lock_token: str) -> None:
        with self._change():
            mailboxes.abandon_feedback(self._writer, lock_token)

    def twin(self, of: Address) -> Twin:
        with self._look() as reader:
            return twins.twin(reader, of)

    def twins(self) -> dict[Address, Twin]:
        with self._look() as reader:
            return twins.twins(reader)

    def report(self, of: Address, patch: JsonObject, now_us: int) -> Twin:
        with self._change():
            return twins.report(self._writer, of, patch, now_us)

    def change_twin(
        self, of: Address, wanted: ServiceTwin, now_us: int, *, whole: bool = False, etag: str | None = None
    ) -> Twin:
        with self._change():
            return twins.change(self._writer, of, wanted, now_us, whole=whole, etag=etag)

    def note_model(self, of: Address, model_id: str) -> None:
        with self._change():
            twins.note_model(self._writer, of, model_id)

    def session(self, of: Address) -> tuple[tuple[str, int], ...] | None:
        with self._look() as reader:
            return twins.session(reader, of)

    def put_session(self, of: Address, filters: Sequence[tuple[str, int]]) -> None:
        with self._change():
            twins.put_session(self._writer, of, filters)

    def delete_session(self, of: Address) -> None:
        with self._change():
            twins.delete_session(self._writer, of)

    def modules(self, device: str) -> list[Module]:
        with self._look() as reader:
            return modules.modules(reader, device)

    def module(self, device: str, id: str) -> Module | None:
        with self._look() as reader:
            return modules.module(reader, device, id)

    def create_module(self, module: Module) -> None:
        with self._change():
            modules.create(self._writer, module)

    def update_module(self, module: Module) -> None:
        with self._change():
            modules.update(self._writer, module)

    def delete_module(self, device: str, id: str) -> None:
        with self._change():
            modules.delete(self._writer, device, id)
            twins.forget(self._writer, device, id)
            activity.forget(self._writer, device, id)

    def note_activity(self, seen: Mapping[tuple[str, str], bool], at_us: int) -> None:
        with self._change():
            activity.note(self._writer, seen, at_us)

    def activity(self, device: str | None = None) -> dict[tuple[str, str], Activity]:
        with self._look() as reader:
            return activity.activity(reader, device)

    def create_job(self, job: DeviceJob) -> None:
        with self._change():
            device_jobs.create(self._writer, job)

    def begin_job(self, id: str, to: Sequence[Address], now_us: int) -> None:
        with self._change():
            device_jobs.begin(self._writer, id, to, now_us)

    def end_job(self, id: str, status: JobStatus, now_us: int, reason: str = "") -> None:
        with self._change():
            device_jobs.end(self._writer, id, status, now_us, reason)

    def job(self, id: str) -> JobState | None:
        with self._look() as reader:
            return device_jobs.job(reader, id)

    def jobs(self, statuses: Sequence[JobStatus] = (), *, after: str = "", limit: int = 1000) -> list[JobState]:
        with self._look() as reader:
            return device_jobs.jobs(reader, statuses, after, limit)

    def job_steps(
        self, id: str | None = None, steps: Sequence[Step] = (), *, due_us: int | None = None, limit: int = 1000
    ) -> list[JobStep]:
        with self._look() as reader:
            return device_jobs.steps(reader, id, steps, due_us, limit)

    def put_job_step(self, step: JobStep) -> bool:
        with self._change():
            return device_jobs.put_step(self._writer, step)

    def command_outcome(self, number: int) -> Outcome | None:
        with self._look() as reader:
            return device_jobs.command_outcome(reader, number)

    def forget_jobs(self, now_us: int) -> None:
        with self._look() as reader:
            if not device_jobs.anything_to_forget(reader, now_us):
                return
        with self._change():
            device_jobs.forget(self._writer, now_us)

    def erase(self, device: str) -> None:
        with self._change():
            device_jobs.erase(self._writer, device)
            self._forget(device)

    def forget(self, device: str) -> None:
        with self._change():
            self._forget(device)

    def _forget(self, device: str) -> None:
        mailboxes.forget(self._writer, device)
        twins.forget(self._writer, device)
        modules.forget(self._writer, device)
        activity.forget(self._writer, device)

    def close(self) -> None:
        with self._writing:
            self._readers.close()
            self._writer.close()
