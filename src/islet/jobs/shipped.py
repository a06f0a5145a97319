"""The jobs that Islet comes with, on a schedule."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from zoneinfo import ZoneInfo

from islet.engine.in_force import Rules
from islet.jobs.base import Job
from islet.jobs.changes import ChangesJob
from islet.jobs.cohorts import CohortsJob
from islet.jobs.history_rules import HistoryRulesJob
from islet.jobs.personal import PersonalJob
from islet.jobs.schedule import Commits, Schedule
from islet.jobs.summaries import SummariesJob
from islet.model.time import Now
from islet.store.base import Registry, Store

HOUR: Final = 3
"""Of the night, when most days are over and few alarms are due."""


def shipped_jobs(store: Store, registry: Registry, rules: Callable[[], Rules]) -> tuple[Job, ...]:
    """All shipped jobs, in their order; `rules`: those in force when asked."""
    return (
        ChangesJob(store, registry),
        CohortsJob(store, registry),
        SummariesJob(store, registry),
        HistoryRulesJob(store, registry, rules),
        PersonalJob(store, registry),
    )


def shipped(
    store: Store,
    registry: Registry,
    rules: Callable[[], Rules],
    commit: Commits,
    now: Now,
    *,
    zone: str = "UTC",
    hour: int = HOUR,
    stopping: Callable[[], bool] = lambda: False,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    apart: Callable[[Job], Job] = lambda job: job,
) -> Schedule:
    """All shipped jobs, each night at `hour` in `zone` (arguments as of Schedule); `apart` says how each is run."""
    jobs = tuple(map(apart, shipped_jobs(store, registry, rules)))
    return Schedule(jobs, registry, commit, now, zone=ZoneInfo(zone), hour=hour, stopping=stopping, alone=alone)
