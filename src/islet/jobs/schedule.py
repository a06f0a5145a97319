"""When jobs run: each night at a local hour of the platform's clock, one at a time.

The last run is kept in the registry. After a downtime a job that was missed runs once, however many nights it was.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec
import structlog

from islet.errors import IsletError, NotFound
from islet.jobs.base import Failed, Finding, Job, Stopped
from islet.log.base import Append
from islet.model.alerts import AlertChange
from islet.model.codec import change_documents
from islet.model.job_runs import Kept, Run, decode_kept, encode_kept, without
from islet.model.time import Now
from islet.model.topics import Topic
from islet.patterns.local_time import clock_us, local_day
from islet.store.base import EntryKind, Registry

_log = structlog.get_logger("islet.jobs")
_BY: Final = "islet"


class Commits(Protocol):
    """What a schedule needs of `islet.log.group_commit.GroupCommit`."""

    def commit(self, appends: Sequence[Append] = ()) -> None:
        """Block until all of it is durable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A job as people see it: its last run (None: never), and when it is due next."""

    name: str
    sentence: str
    run: Run | None
    next_due_us: int


class Schedule:
    """Runs jobs. One thread calls `run_due` or `run`; `counts`, `gauges` and `status` may be asked from others."""

    def __init__(
        self,
        jobs: Sequence[Job],
        registry: Registry,
        commit: Commits,
        now: Now,
        *,
        zone: ZoneInfo,
        hour: int,
        stopping: Callable[[], bool] = lambda: False,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Jobs are due at `hour` (0 to 23) of the clock in `zone`, in their order. `stopping`: whether the process is to
        end. `alone` holds off other processes during a run; it raises IsletError when one of them runs a job."""
        self._jobs = {job.name: job for job in jobs}
        self._registry, self._commit, self._now = registry, commit, now
        self._zone, self._hour = zone, hour
        self._stopping, self._alone = stopping, alone
        self._done_until: dict[str, int] = {}
        self._done = self._failed = 0
        self._running, self._progress = "", (0, 0)

    def run_due(self) -> bool:
        """Run the first job that is due, if any; whether one ran. It does not raise for what a job raises."""
        due_us = self.due_us(self._now())
        for name in self._jobs:
            if self._done_until.get(name, -1) >= due_us:
                continue
            last = self._last(name)
            self._done_until[name] = -1 if last is None else last.due_us
            if self._done_until[name] < due_us:
                return self._tried(name, due_us)
        return False

    def run(self, name: str) -> Run:
        """Run a job now, whenever it is due. Raises NotFound, or IsletError when a job runs in another process."""
        if name not in self._jobs:
            raise NotFound(f"there is no job {name!r}; there is: {', '.join(self._jobs)}")
        with self._alone():
            return self._run(name, self.due_us(self._now()))

    def due_us(self, now_us: int) -> int:
        """The last instant up to now at which jobs were due."""
        today = local_day(self._zone, now_us)
        due_us = clock_us(self._zone, today, self._hour)
        return due_us if due_us <= now_us else clock_us(self._zone, today - 1, self._hour)

    def status(self) -> list[Status]:
        """All jobs, in their order."""
        now_us = self._now()
        due_us = self.due_us(now_us)
        next_us = clock_us(self._zone, local_day(self._zone, due_us) + 1, self._hour)
        last = {name: self._last(name) for name in self._jobs}
        return [
            Status(name=name, sentence=job.sentence, run=run, next_due_us=next_us if _covers(run, due_us) else now_us)
            for (name, job), run in zip(self._jobs.items(), last.values(), strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """Runs since the start."""
        return {"done": self._done, "failed": self._failed}

    def gauges(self) -> dict[str, int]:
        """What is going on: 1 for the job that runs, and how much of it is done."""
        done, of = self._progress
        running = {f"{name}_running": int(name == self._running) for name in self._jobs}
        return running | {"done_percent": 100 * done // of if of else 0}

    def _tried(self, name: str, due_us: int) -> bool:
        with ExitStack() as held:
            try:
                held.enter_context(self._alone())
            except IsletError:  # another process runs a job: later, then
                return False
            try:
                self._run(name, due_us)
            except Stopped:
                return False
        return True

    def _run(self, name: str, due_us: int) -> Run:
        """Run a job, say what it found, keep it: in this order, so that after a crash in between it is said again (which
        changes nothing) rather than never. A failure is kept as well; the result of before stays."""
        body = self._registry.entry(EntryKind.JOB, name)
        before = None if body is None else decode_kept(body)
        began_us = self._now()
        self._done_until[name] = due_us  # not again and again where it cannot be kept (a full disk)
        self._running, self._progress = name, (0, 0)
        try:
            finding = self._jobs[name].run(began_us, _result(before), self._progressed)
            self._say(finding.changes)
        except Stopped:
            del self._done_until[name]
            raise
        except Exception as error:
            self._failed += 1
            _log.error("job_failed", job=name, error=_name_of(error), exc_info=True)
            return self._keep(name, before, None, self._run_of(due_us, began_us, error))
        finally:
            self._running = ""
        self._done += 1
        _log.info("job_done", job=name, **finding.counts)
        return self._keep(name, before, finding, self._run_of(due_us, began_us, None, finding))

    def _run_of(self, due_us: int, began_us: int, error: Exception | None, finding: Finding | None = None) -> Run:
        return Run(
            due_us=due_us,
            began_us=began_us,
            ended_us=self._now(),
            outcome="done" if error is None else "failed",
            counts={} if finding is None else dict(finding.counts),
            error="" if error is None else _name_of(error),
        )

    def _keep(self, name: str, before: Kept | None, finding: Finding | None, run: Run) -> Run:
        if finding is not None:
            kept = Kept(run=run, done_us=run.ended_us, result=msgspec.Raw(finding.result))
        elif before is not None:
            kept = Kept(run=run, done_us=before.done_us, result=before.result)
        else:
            kept = Kept(run=run)
        for patient in self._registry.entries(EntryKind.ERASED):  # who was looked at before they were erased
            kept = without(kept, patient) if patient.encode() in bytes(kept.result) else kept
        self._registry.put_entry(EntryKind.JOB, name, encode_kept(kept), by=_BY, at_us=run.ended_us)
        return run

    def _say(self, changes: Sequence[AlertChange]) -> None:
        if changes:
            self._commit.commit(appends=[Append(topic=Topic.ALERTS, batch=change_documents(changes))])

    def _progressed(self, done: int, of: int) -> None:
        self._progress = (done, of)
        if self._stopping():
            raise Stopped("the process ends")

    def _last(self, name: str) -> Run | None:
        body = self._registry.entry(EntryKind.JOB, name)
        return None if body is None else decode_kept(body).run


def _name_of(error: Exception) -> str:
    return str(error) if isinstance(error, Failed) else type(error).__name__


def _covers(run: Run | None, due_us: int) -> bool:
    return run is not None and run.due_us >= due_us


def _result(kept: Kept | None) -> bytes | None:
    return None if kept is None or kept.done_us is None else bytes(kept.result)
