"""Jobs run each night, once, also after a downtime; what they found is kept, and what they say is said once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from islet.errors import IsletError, NotFound
from islet.jobs.base import Finding, Progress
from islet.jobs.schedule import Schedule
from islet.model.alerts import AlertChange
from islet.model.job_runs import decode_kept
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, to_us
from islet.store.base import EntryKind
from tests.jobs.clinic import NIGHT_US, Clinic

OPENED = AlertChange(change="opened", rule="pattern_change", patient="anna", onset_us=1, at_us=1)


class Counting:
    """A job that counts its runs in its result, and fails or speaks when told to."""

    sentence = "Counts."

    def __init__(self, name: str = "counting") -> None:
        self.name = name
        self.runs: list[tuple[int, bytes | None]] = []
        self.fails = False
        self.changes: list[AlertChange] = []
        self.middle: Callable[[], object] = lambda: None

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        self.runs.append((now_us, before))
        progress(1, 4)
        self.middle()
        if self.fails:
            raise ValueError("anna has 55 mg/dL")
        return Finding(result=b'{"n":%d}' % len(self.runs), counts={"people": 4}, changes=self.changes)


def scheduled(
    clinic: Clinic, *jobs: Counting, zone: str = "UTC", stopping: Callable[[], bool] = lambda: False
) -> Schedule:
    return Schedule(jobs, clinic.registry, clinic.commit, clinic.now, zone=ZoneInfo(zone), hour=3, stopping=stopping)


def test_a_job_runs_once_each_night_from_its_hour_on(clinic: Clinic) -> None:
    job = Counting()
    schedule = scheduled(clinic, job)
    ran = []
    for minute in range(0, 3 * 1440, 30):
        clinic.now_us = NIGHT_US + minute * MINUTE_US
        if schedule.run_due():
            ran.append(minute)
    assert ran == [0, 1440, 2880]
    assert [before for _, before in job.runs] == [None, b'{"n":1}', b'{"n":2}']


def test_after_a_downtime_a_job_that_was_missed_runs_once_and_at_once(clinic: Clinic) -> None:
    assert scheduled(clinic, Counting()).run_due()
    clinic.now_us += 10 * DAY_US + 5 * HOUR_US
    job = Counting()
    schedule = scheduled(clinic, job)  # another process
    assert schedule.run_due()
    assert not schedule.run_due()
    clinic.now_us += DAY_US - 5 * HOUR_US
    assert schedule.run_due()
    assert len(job.runs) == 2


def test_a_restart_on_the_same_night_does_not_run_it_again(clinic: Clinic) -> None:
    assert scheduled(clinic, Counting()).run_due()
    clinic.now_us += HOUR_US
    assert not scheduled(clinic, Counting()).run_due()


def test_the_hour_is_that_of_the_zone_also_when_its_clock_is_changed(clinic: Clinic) -> None:
    schedule = scheduled(clinic, Counting(), zone="Europe/Vienna")
    noon = to_us(datetime(2026, 3, 28, 12, tzinfo=UTC))
    due = [schedule.due_us(noon + day * DAY_US) for day in range(3)]
    assert [(one - noon) // HOUR_US for one in due] == [-10, 24 - 11, 48 - 11]  # 3:00 is 2:00 UTC, then 1:00


def test_two_jobs_run_one_after_the_other(clinic: Clinic) -> None:
    one, two = Counting("one"), Counting("two")
    schedule = scheduled(clinic, one, two)
    assert [schedule.run_due() for _ in range(3)] == [True, True, False]
    assert (len(one.runs), len(two.runs)) == (1, 1)


def test_a_failure_is_kept_without_its_message_and_the_last_result_stays(clinic: Clinic) -> None:
    job = Counting()
    schedule = scheduled(clinic, job)
    schedule.run_due()
    clinic.now_us += DAY_US
    job.fails = True
    assert schedule.run_due()
    assert not schedule.run_due()  # not again and again
    body = clinic.registry.entry(EntryKind.JOB, "counting")
    assert body is not None
    assert b"55" not in body
    kept = decode_kept(body)
    assert (kept.run.outcome, kept.run.error, bytes(kept.result)) == ("failed", "ValueError", b'{"n":1}')
    assert schedule.counts() == {"done": 1, "failed": 1}
    job.fails = False
    clinic.now_us += DAY_US
    assert schedule.run_due()
    assert job.runs[-1][1] == b'{"n":1}'


def test_a_job_that_is_stopped_is_due_again(clinic: Clinic) -> None:
    job, stop = Counting(), [True]
    schedule = scheduled(clinic, job, stopping=lambda: stop[0])
    assert not schedule.run_due()
    assert clinic.registry.entry(EntryKind.JOB, "counting") is None
    stop[0] = False
    assert schedule.run_due()


def test_what_was_said_before_a_crash_is_said_again_and_changes_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Counting()
    job.changes = [OPENED]

    def crash(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(clinic.registry, "put_entry", crash)
        scheduled(clinic, job).run_due()
    assert scheduled(clinic, job).run_due()
    assert len(clinic.said()) == 2
    assert [alert.id for alert in clinic.alerts()] == [OPENED.id]


def test_what_is_found_is_in_the_log_before_it_is_kept(clinic: Clinic) -> None:
    job = Counting()
    job.changes = [OPENED]

    class Failing:
        def commit(self, appends: object = ()) -> None:
            raise OSError("the disk is full")

    schedule = Schedule([job], clinic.registry, Failing(), clinic.now, zone=ZoneInfo("UTC"), hour=3)
    schedule.run_due()
    body = clinic.registry.entry(EntryKind.JOB, "counting")
    assert body is not None
    assert decode_kept(body).done_us is None


def test_progress_can_be_seen_while_a_job_runs(clinic: Clinic) -> None:
    job = Counting()
    schedule = scheduled(clinic, job)
    seen: list[dict[str, int]] = []
    job.middle = lambda: seen.append(schedule.gauges())
    schedule.run_due()
    assert seen == [{"counting_running": 1, "done_percent": 25}]
    assert schedule.gauges()["counting_running"] == 0


def test_a_job_waits_while_another_process_runs_one(clinic: Clinic) -> None:
    held = [True]

    @contextmanager
    def alone() -> Iterator[None]:
        if held[0]:
            raise IsletError("another process runs a job")
        yield

    job = Counting()
    schedule = Schedule([job], clinic.registry, clinic.commit, clinic.now, zone=ZoneInfo("UTC"), hour=3, alone=alone)
    assert not schedule.run_due()
    with pytest.raises(IsletError):
        schedule.run("counting")
    held[0] = False
    assert schedule.run_due()


def test_a_job_can_be_run_by_hand_and_is_then_not_due(clinic: Clinic) -> None:
    schedule = scheduled(clinic, Counting())
    (before,) = schedule.status()
    assert (before.run, before.next_due_us) == (None, clinic.now_us)
    assert schedule.run("counting").outcome == "done"
    assert not schedule.run_due()
    (after,) = schedule.status()
    assert after.run is not None
    assert after.next_due_us == NIGHT_US + DAY_US
    with pytest.raises(NotFound, match="there is: counting"):
        schedule.run("sleeping")


def test_what_is_kept_has_the_platform_as_its_author(clinic: Clinic) -> None:
    scheduled(clinic, Counting()).run_due()
    assert clinic.registry.audit()[-1].by == "islet"


def test_who_is_erased_while_a_job_looks_at_them_is_not_in_what_it_leaves(clinic: Clinic) -> None:
    class Naming(Counting):
        def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
            self.middle()
            return Finding(result=b'{"members":{"anna":[1],"bo":[2]},"cohorts":[{"medoid":"anna"},{"medoid":"bo"}]}')

    job = Naming()
    job.middle = lambda: clinic.registry.mark_erased("anna", b"{}", by="admin", at_us=1)
    assert scheduled(clinic, job).run_due()
    body = clinic.registry.entry(EntryKind.JOB, job.name)
    assert body is not None
    assert bytes(decode_kept(body).result) == b'{"members":{"bo":[2]},"cohorts":[{"medoid":""},{"medoid":"bo"}]}'
