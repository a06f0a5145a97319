"""A nightly job in a process of its own: finds the same, ends with a stop, and says when it failed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from islet.apart import FEW, ApartJob
from islet.jobs.base import Failed, Stopped
from islet.jobs.summaries import SummariesJob
from islet.settings import Settings
from tests.jobs.clinic import KEY, NIGHT_US, Clinic


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("ISLET_KEY", KEY.hex())
    clinic = Clinic(tmp_path)
    clinic.add("p-1")
    clinic.days("p-1", [120.0] * 14)
    yield clinic
    clinic.close()


def jobs(clinic: Clinic, tmp_path: Path, people: int = FEW + 1) -> tuple[SummariesJob, ApartJob]:
    here = SummariesJob(clinic.store, clinic.registry)
    return here, ApartJob(here, Settings(data_dir=tmp_path), lambda: people)


def children() -> set[str]:
    """Ids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_it_finds_what_it_finds_here_and_tells_how_far_it_is(clinic: Clinic, tmp_path: Path) -> None:
    here, apart = jobs(clinic, tmp_path)
    before, far = children(), list[tuple[int, int]]()
    assert apart.run(NIGHT_US, None, lambda *done: far.append(done)) == here.run(NIGHT_US, None, lambda *_: None)
    assert far[-1][1] == 1
    assert not children() - before


def test_of_few_people_it_is_run_here(clinic: Clinic, tmp_path: Path) -> None:
    here, apart = jobs(clinic, tmp_path, people=FEW)
    before = children()

    def watch(*_: int) -> None:
        assert not children() - before

    assert apart.run(NIGHT_US, None, watch) == here.run(NIGHT_US, None, watch)


def test_a_stop_ends_its_process(clinic: Clinic, tmp_path: Path) -> None:
    _, apart = jobs(clinic, tmp_path)
    before = children()

    def stop(*_: int) -> None:
        assert children() - before
        raise Stopped("the process ends")

    with pytest.raises(Stopped):
        apart.run(NIGHT_US, None, stop)
    assert not children() - before


def test_what_it_raises_is_named(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, apart = jobs(clinic, tmp_path)
    monkeypatch.setenv("ISLET_KEY", KEY[::-1].hex())
    with pytest.raises(Failed, match=r"^KeyUnavailable$"):
        apart.run(NIGHT_US, None, lambda *_: None)


def test_a_process_that_is_killed_has_failed(clinic: Clinic, tmp_path: Path) -> None:
    _, apart = jobs(clinic, tmp_path)
    before = children()

    def kill(*_: int) -> None:
        for child in children() - before:
            os.kill(int(child), signal.SIGKILL)

    with pytest.raises(Failed, match=r"^exit -9$"):
        apart.run(NIGHT_US, None, kill)
