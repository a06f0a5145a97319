"""What every nightly job does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from islet.errors import IsletError
from islet.model.alerts import AlertChange

Progress = Callable[[int, int], None]
"""To be told how much is done of how much, often. Raises Stopped when the process is to end; let it pass."""


class Stopped(IsletError):
    """The process ends; what the job has done so far is forgotten, and it is due again."""


class Failed(IsletError):
    """A job that ran elsewhere raised something; the message is its class's name, the rest is in the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a run found. `result` is JSON, which is kept for the next run and for those who show it; `changes` are said in
    the log before that; `counts` are for people and for the metrics (no patient, no value)."""

    result: bytes
    counts: Mapping[str, int] = field(default_factory=dict)
    changes: Sequence[AlertChange] = ()


class Job(Protocol):
    """Reads; writes nothing: that is the schedule's. A run that is repeated after a crash, given the same result of
    before and the same data, must find the same."""

    @property
    def name(self) -> str:
        """One word, for the registry, the command line and the metrics."""

    @property
    def sentence(self) -> str:
        """What it does, for the command line."""

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        """Do it as of that instant; `before` is the result of the last run that was done."""
