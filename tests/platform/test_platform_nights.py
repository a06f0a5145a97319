"""The platform runs its nightly jobs by itself, once the store has read what the log had."""

import threading
from pathlib import Path

from islet.app import Platform, opened_platform
from islet.clock import wall_us
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.model.batch import ReadingRow, readings_batch
from islet.model.topics import Topic
from islet.opened import opened_log
from islet.operations.workers import Worker
from islet.settings import Settings
from islet.store.base import EntryKind

JOBS = {"changes", "cohorts", "summaries", "history_rules", "personal"}


def worker(platform: Platform, name: str) -> Worker:
    (one,) = [one for one in platform.workers if one.name == name]
    return one


def scraped(platform: Platform) -> str:
    return platform.metrics.page().decode()


def wait_for_jobs(platform: Platform, jobs: set[str]) -> set[str]:
    """What is kept once all of `jobs` are, or after ten seconds."""
    tick = threading.Event()
    for _ in range(200):
        if platform.registry.entries(EntryKind.JOB).keys() >= jobs:
            break
        tick.wait(0.05)
    return set(platform.registry.entries(EntryKind.JOB))


def test_jobs_wait_for_the_store_and_then_run_by_themselves(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, roles=("store",))
    with opened_log(settings) as log:
        commit = GroupCommit(log, wall_us, within_s=0.0)
        row = ReadingRow("anna", "cgm", wall_us(), 1200, 120.0, 0, 0, 0)
        commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([row]))])
        commit.close()
    with opened_platform(settings) as platform:
        jobs, store = worker(platform, "jobs"), worker(platform, "store")
        try:
            jobs.start()
            assert jobs.ready.wait(5)
            assert wait_a_little(platform) == set()
            store.start()
            assert wait_for_jobs(platform, JOBS) == JOBS
        finally:
            for one in (jobs, store):
                one.stop()
                assert one.join()
        assert not jobs.failing
        assert 'islet_jobs_total{what="done"} 5.0' in scraped(platform)
        assert 'islet_jobs_now{what="cohorts_running"} 0.0' in scraped(platform)
        platform.commit.close()


def wait_a_little(platform: Platform) -> set[str]:
    threading.Event().wait(0.3)
    return set(platform.registry.entries(EntryKind.JOB))


def test_a_process_without_the_store_runs_no_jobs(tmp_path: Path) -> None:
    with opened_platform(Settings(data_dir=tmp_path, roles=("gateway",))) as platform:
        assert "jobs" not in {one.name for one in platform.workers}
        platform.commit.close()
