"""Metrics of 100 people with 14 days each, beside iglu-python: CPU seconds of one thread, from columns to all values.

`python -m benchmarks.metrics [PEER_PEOPLE]`. The peer works person by person; it is given 4 people (or PEER_PEOPLE) of
the 100, and its time is scaled. It is installed apart, since it wants other versions of our dependencies: `pip install
--target FOLDER iglu-python`, then ISLET_PEERS=FOLDER. Without it our own figures are printed alone.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.peers.iglu_python import people
from benchmarks.record import figure
from islet.metrics.episodes import summarised
from islet.metrics.people import every, people_of
from islet.metrics.table import METRICS, Material, measured

PEOPLE: Final = 100
DAYS: Final = 14
_ROOT: Final = Path(__file__).resolve().parent.parent
_SHARED: Final = 100.0  # times as fast as the peer, at least
_IN_ALL_S: Final = 10.0


def ours() -> float:
    """CPU seconds for everything that `islet metrics` computes: all metrics and all episodes of everybody."""
    ids, times, glucose = people(PEOPLE, DAYS)
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        material = Material(people_of(ids, times, glucose))
        measured(material, tell_all=True)
        for name in material.episodes.__slots__:
            summarised(getattr(material.episodes, name), material.judged_grid)
        best = min(best, time.process_time() - began)
    return best


def peer(count: int) -> dict[str, float] | None:
    """The peer's CPU seconds for each function with `count` people; None where it is not installed."""
    path = os.pathsep.join([str(_ROOT), os.environ.get("ISLET_PEERS", "")])
    command = [sys.executable, "-m", "benchmarks.peers.iglu_python", str(count), str(DAYS)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=_ROOT, capture_output=True, text=True)
    if "No module named 'iglu_python'" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    """Print and keep the figures; exit code 1 where a bar is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    material = Material(every(5, [100.0, 110.0]))
    measured(material)  # compiles what is not on the disk yet
    assert len(material.episodes.low) == 0
    seconds = ours()
    holds = seconds <= _IN_ALL_S
    figure(
        f"{len(METRICS)} metrics and episodes, {PEOPLE} people × {DAYS} days",
        seconds,
        "s of CPU",
        bar=f"≤ {_IN_ALL_S:g} s",
        holds=holds,
    )
    theirs = peer(count)
    if theirs is None:
        print("iglu-python is not installed: set ISLET_PEERS to the folder where it is")
        sys.exit(0 if holds else 1)
    whole = sum(theirs.values()) * PEOPLE / count
    figure(
        f"{len(theirs)} shared functions, {PEOPLE} people × {DAYS} days",
        PEOPLE / seconds,
        "people/s",
        peer=f"iglu-python ({count} people, scaled)" if count < PEOPLE else "iglu-python",
        peer_value=PEOPLE / whole,
        bar=f"≥ {_SHARED:g} times",
        holds=whole / seconds >= _SHARED,
    )
    sys.exit(0 if holds and whole / seconds >= _SHARED else 1)


if __name__ == "__main__":
    main()
