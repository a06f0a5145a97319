"""A process that is killed while a job runs leaves the job due, and nothing is said or kept twice."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from islet.clock import wall_us
from islet.commands.jobs import opened_schedule
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.model.batch import ReadingRow, readings_batch
from islet.model.job_runs import decode_kept
from islet.model.people import Patient
from islet.model.time import DAY_US, HOUR_US
from islet.model.topics import Topic
from islet.opened import opened_log, opened_registry, opened_store
from islet.settings import Settings
from islet.store.base import EntryKind
from islet.store.follow import Follower
from tests.jobs.killed import MOMENTS

PEOPLE = [f"p-{i:02d}" for i in range(24)]
CHANGED = ("p-03", "p-20")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data directory with fifty days of everybody; those of two have changed a week ago."""
    settings = Settings(data_dir=tmp_path)
    start_us = (wall_us() // DAY_US - 50) * DAY_US
    rng = np.random.default_rng(2)
    with opened_log(settings) as log, opened_store(settings) as store, opened_registry(settings) as registry:
        commit = GroupCommit(log, wall_us, within_s=0.0)
        for number, person in enumerate(PEOPLE):
            registry.put_patient(Patient(id=person))
            means = 110 + 30 * (number % 2) + rng.normal(0, 6, 50)
            means[43:] += 70 * (person in CHANGED)
            rows = [
                ReadingRow(person, "cgm", start_us + i * HOUR_US, round(float(means[i // 24]) * 10), 0.0, 0, 0, 0)
                for i in range(50 * 24)
            ]
            commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])
        follower = Follower(log, store)
        while follower.run_once(0.0):
            pass
        commit.close()
    return settings


def kill(settings: Settings, *words: str) -> list[str]:
    """Run jobs that are killed (`tests/jobs/killed.py`); what it prints."""
    command = [sys.executable, "-m", "tests.jobs.killed", str(settings.data_dir), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()


def run(settings: Settings, job: str) -> None:
    with opened_schedule(settings) as schedule:
        assert schedule.run(job).outcome == "done"


def alerts(settings: Settings) -> list[tuple[str, bool]]:
    """Id and whether it is active, of all alerts that a store taken from the log has."""
    with opened_log(settings) as log, opened_store(settings) as store:
        follower = Follower(log, store)
        while follower.run_once(0.0):
            pass
        return [(one.id, one.active) for one in store.alerts()]


def result(settings: Settings, job: str) -> bytes | None:
    with opened_registry(settings) as registry:
        body = registry.entry(EntryKind.JOB, job)
        return None if body is None else bytes(decode_kept(body).result)


def test_wherever_it_is_killed_the_next_run_ends_as_if_nothing_had_happened(settings: Settings) -> None:
    changes = [f"changes {moment} {-signal.SIGKILL} {moment == 'kept'}" for moment in MOMENTS]
    words = (*(f"changes:{moment}" for moment in MOMENTS), "cohorts:half")
    assert kill(settings, *words) == [*changes, f"cohorts half {-signal.SIGKILL} False"]
    run(settings, "changes")
    run(settings, "cohorts")
    said = alerts(settings)
    assert sorted(id.split("~")[1] for id, _ in said) == sorted(CHANGED)
    assert all(active for _, active in said)
    kept = {job: result(settings, job) for job in ("changes", "cohorts")}
    for job in kept:  # and now as if none had been killed
        with opened_registry(settings) as registry:
            registry.put_entry(EntryKind.JOB, job, None, by="test", at_us=0)
        run(settings, job)
    assert alerts(settings) == said
    assert {job: result(settings, job) for job in kept} == kept
