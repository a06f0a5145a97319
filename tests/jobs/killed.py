"""Runs jobs of a data directory as `islet jobs run` does, in children that are killed: `killed.py DIR JOB:MOMENT …`
prints job, moment, what ended the child, and whether a result is kept.

Moments: `half` (half of the people are looked at), `unsaid` (all looked at, nothing said), `said` (the alerts are in the
log, the result is not kept), `kept` (all is done, nothing is closed).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from islet.commands.jobs import opened_schedule
from islet.jobs.base import Finding, Progress
from islet.jobs.schedule import Schedule
from islet.opened import opened_registry
from islet.operations import logs
from islet.settings import Settings
from islet.store.base import EntryKind

MOMENTS: Final = ("half", "unsaid", "said", "kept")


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(work: Callable[..., Any]) -> Callable[..., Any]:
    """Die instead of doing it."""
    return lambda *args, **named: die()


def after(work: Callable[..., Any]) -> Callable[..., Any]:
    """Do it, and die."""
    return lambda *args, **named: die(work(*args, **named))


class Half:
    """A job during which one dies."""

    def __init__(self, job: Any) -> None:
        self.name, self.sentence, self._job = job.name, job.sentence, job

    def run(self, now_us: int, known: bytes | None, progress: Progress) -> Finding:
        def counted(done: int, of: int) -> None:
            progress(done, of)
            if 2 * done >= of:
                die()

        finding: Finding = self._job.run(now_us, known, counted)
        return finding


def plant(schedule: Schedule, name: str, moment: str) -> None:
    """Arrange for the death."""
    inside: Any = schedule
    if moment == "half":
        inside._jobs[name] = Half(inside._jobs[name])
    if moment in ("unsaid", "said"):
        inside._say = {"unsaid": before, "said": after}[moment](inside._say)
    if moment == "kept":
        inside._keep = after(inside._keep)


def in_a_child(settings: Settings, job: str, moment: str) -> int:
    """Run the job in a process that is killed at the moment; what ended it (a signal as a negative number)."""
    child = os.fork()
    if child == 0:
        with opened_schedule(settings) as opened:
            plant(opened, job, moment)
            opened.run(job)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_kept(settings: Settings, job: str) -> bool:
    with opened_registry(settings) as registry:
        return registry.entry(EntryKind.JOB, job) is not None


if __name__ == "__main__":
    logs.configure("error", "text")
    given = Settings(data_dir=Path(sys.argv[1]))
    for one, when in (word.split(":") for word in sys.argv[2:]):
        print(one, when, in_a_child(given, one, when), is_kept(given, one))
