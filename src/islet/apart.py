"""Nightly jobs in a process of their own: Python runs one thread at a time, and an alarm at night must not wait for them.

What a job finds comes back and is said and kept by the platform's schedule, as always. The process has a low priority
and ends with the run; it reads the store and the registry and writes nothing.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final

import structlog

from islet.engine.rulebook import RuleBook
from islet.jobs.base import Failed, Finding, Job, Progress
from islet.jobs.shipped import shipped_jobs
from islet.opened import opened_registry, opened_store
from islet.operations import logs
from islet.settings import Settings

_log = structlog.get_logger("islet.jobs")

FEW: Final = 20
"""People whose nights are looked at at once, in the platform's own process: that takes less than a process's start."""

_NICE: Final = 10
_LOOK_S: Final = 0.5  # how often a stop is noticed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """A job to be run, as it goes to the process; back come (done, of), and at the end a Finding or an error's name."""

    settings: Settings
    name: str
    now_us: int
    before: bytes | None


class ApartJob:
    """Implements `islet.jobs.base.Job`: another job, run in a process of its own where there are more than FEW people."""

    def __init__(self, job: Job, settings: Settings, people: Callable[[], int]) -> None:
        self.name, self.sentence = job.name, job.sentence
        self._job, self._settings, self._people = job, settings, people

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        """Raises Failed, by the name of what the job raised or, of a process that ended without a word, its code."""
        if self._people() <= FEW:
            return self._job.run(now_us, before, progress)
        ours, theirs = Pipe()
        with ours:
            with theirs:
                child = _started(theirs)
            try:
                ours.send(_Order(settings=self._settings, name=self.name, now_us=now_us, before=before))
                return _found(ours, progress)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise Failed(f"exit {child.wait()}") from None
            finally:
                child.kill()
                child.wait()


def _started(line: Connection) -> "subprocess.Popen[bytes]":
    number = line.fileno()
    command = [sys.executable, "-m", "islet.apart", str(number)]
    return subprocess.Popen(  # noqa: S603  # ourselves
        command, stdin=subprocess.DEVNULL, pass_fds=[number], process_group=0
    )


def _found(line: Connection, progress: Progress) -> Finding:
    """Pass on how far it is until it says what it found. Raises Failed, and what `progress` raises."""
    done, of = 0, 0
    while True:
        if line.poll(_LOOK_S):
            said = line.recv()
            if isinstance(said, Finding):
                return said
            if isinstance(said, str):
                raise Failed(said)
            done, of = said
        progress(done, of)


def _run(order: _Order, line: Connection) -> Finding:
    with opened_store(order.settings) as store, opened_registry(order.settings) as registry:
        jobs = {job.name: job for job in shipped_jobs(store, registry, RuleBook(registry).current)}
        return jobs[order.name].run(order.now_us, order.before, lambda done, of: line.send((done, of)))


def main() -> None:
    """Run the job that comes on the line whose number is the argument. The platform has gone when the line is closed."""
    os.nice(_NICE)
    with Connection(int(sys.argv[1])) as line:
        order: _Order = line.recv()
        logs.configure(order.settings.log_level, order.settings.log_format)
        try:
            line.send(_run(order, line))
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(1)
        except Exception as error:
            _log.error("job_failed", job=order.name, error=type(error).__name__, exc_info=True)
            line.send(type(error).__name__)


if __name__ == "__main__":
    main()
