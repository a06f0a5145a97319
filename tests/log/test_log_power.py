"""The power goes at any moment: what somebody was told is durable is there, whole and once.

ISLET_POWER_CUTS sets how many moments are tried.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final, Literal

import pytest

from benchmarks.power_cut import cannot_mount, cut
from islet.errors import KeyUnavailable, LogDamaged
from islet.log import checkpoints
from islet.log.base import Commit
from islet.log.sqlite import SqliteLog
from tests.log.crash_disk import Act, left_after, recording
from tests.log.rows import append, entries, note, reading

KEY: Final = bytes(range(32))
COMMITS: Final = 80
CUTS: Final = int(os.environ.get("ISLET_POWER_CUTS", "60"))
Synchronous = Literal["FULL", "NORMAL", "OFF"]


def written(path: Path, synchronous: Synchronous) -> list[Act]:
    """What a log does to the disk in COMMITS commits, with checkpoints and compactions between them."""
    with recording() as disk, closing(SqliteLog(path, KEY, partitions=2)) as log:
        log._writer.pragma("synchronous", synchronous)
        for minute in range(COMMITS):
            rows = [reading(f"p{number}", minute) for number in range(4)]
            log.commit(
                [
                    Commit(
                        received_at_us=minute,
                        appends=[append(*rows), note("p0", minute, "tea")],
                        states={"snapshot": bytes([minute]) * 9_000},
                    )
                ]
            )
            disk.tell(minute)
            if minute % 30 == 29:
                assert log.compact() > 0
                disk.tell(minute)
        return list(disk.acts)  # without those of closing it


def lost(acts: list[Act], folder: Path, rng: Random) -> int:
    """How many commits are gone that somebody was told of, when the power goes somewhere in these acts.

    Raises where what is left is no prefix of what was committed.
    """
    first = next(number for number, act in enumerate(acts) if act.told is not None)
    gone_at = rng.randrange(first + 1, len(acts) + 1)
    told = max(act.told for act in acts[:gone_at] if act.told is not None)
    folder.mkdir()
    for name, held in left_after(acts[:gone_at], rng).items():
        (folder / name).write_bytes(held)
    with closing(SqliteLog(folder / "log.db", KEY, partitions=2)) as log:
        found = sorted((row[-1], row[0]) for rows in entries(log) for row in rows)
        there = len(found) // 4
        assert found == [(minute, f"p{number}") for minute in range(there) for number in range(4)]
        assert log.state("snapshot") == (bytes([there - 1]) * 9_000 if there else None)
        log.commit([Commit(received_at_us=COMMITS, appends=[append(reading("after", 1))])])
    return max(0, told + 1 - there)


@pytest.fixture
def cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Synchronous], list[int | str]]:
    """Of CUTS power cuts, how many commits each lost, or what was wrong with what it left."""
    monkeypatch.setattr(checkpoints, "WAL_PAGES", 40)  # several checkpoints in a short test

    def found_after(synchronous: Synchronous) -> list[int | str]:
        acts = written(tmp_path / "log.db", synchronous)
        found: list[int | str] = []
        for seed in range(CUTS):
            try:
                found.append(lost(acts, tmp_path / str(seed), Random(seed)))
            except (AssertionError, LogDamaged, KeyUnavailable) as error:
                found.append(type(error).__name__)
        return found

    return found_after


def test_a_power_cut_loses_nothing_that_was_committed(cut_anywhere: Callable[[Synchronous], list[int | str]]) -> None:
    assert cut_anywhere("FULL") == [0] * CUTS


def test_with_fewer_syncs_the_same_cuts_lose_commits(cut_anywhere: Callable[[Synchronous], list[int | str]]) -> None:
    """A test that could not fail would prove nothing. SQLite promises for NORMAL that what is left is whole."""
    found = cut_anywhere("NORMAL")
    assert {type(one) for one in found} == {int}
    assert sum(one != 0 for one in found) > CUTS // 4


def test_without_syncs_the_same_cuts_damage_the_log(cut_anywhere: Callable[[Synchronous], list[int | str]]) -> None:
    found = cut_anywhere("OFF")
    assert sum(one != 0 for one in found) > CUTS // 2
    assert {type(one) for one in found} == {int, str}


def test_ext4_as_it_is_on_the_disk_has_all_that_was_acknowledged() -> None:
    """And without syncs it has not: `python -m benchmarks.power_cut` does it twenty times."""
    refused = cannot_mount()
    if refused:
        pytest.skip(refused)
    told, lost_then = cut("FULL", 0.1)
    assert (told > 0, lost_then) == (True, 0)
    told, lost_then = cut("OFF", 0.1)
    assert lost_then > 0
