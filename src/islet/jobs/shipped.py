"""The jobs that Islet comes with, on a schedule."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from zoneinfo import ZoneInfo

from islet.jobs.base import Job
from islet.jobs.changes import ChangesJob
from islet.jobs.cohorts import CohortsJob
from islet.jobs.schedule import Commits, Schedule
from islet.jobs.summaries import SummariesJob
from islet.model.time import Now
from islet.store.base import Registry, Store

HOUR: Final = 3
"""Of the night, when most days are over and few alarms are due."""


def shipped(
    store: Store,
    registry: Registry,
    commit: Commits,
    now: Now,
    *,
    more: Sequence[Job] = (),
    zone: str = "UTC",
    hour: int = HOUR,
    stopping: Callable[[], bool] = lambda: False,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Schedule:
    """All shipped jobs, and `more` after them, each night at `hour` in `zone` (arguments as of Schedule)."""
    jobs: list[Job] = [ChangesJob(store, registry), CohortsJob(store, registry), SummariesJob(store, registry), *more]
    return Schedule(jobs, registry, commit, now, zone=ZoneInfo(zone), hour=hour, stopping=stopping, alone=alone)
