"""The simulator: CPU time of one interval of a million people, and of making and compiling them."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.record import figure
from islet.model.time import HOUR_US, MINUTE_US
from islet.simulate import make_population, tick
from islet.simulate.day import DAY
from islet.simulate.person import BODY
from islet.simulate.sensor import SENSOR

_PEOPLE = 1_000_000
_INTERVAL_MIN = 3
_TICKS = 20
_START_US = 20_000 * 24 * HOUR_US + 12 * HOUR_US  # noon: one hour in which most people eat and inject
_FIRST_TICK = """
import time
begin = time.process_time()
from islet.simulate import make_population, tick
tick(make_population(25, 1, start_us=0))
print(time.process_time() - begin)
"""


def main() -> None:
    """Record the figures of the simulator."""
    with tempfile.TemporaryDirectory() as empty:
        figure("simulator, first tick, nothing compiled", _first_tick_s(empty), "CPU-s")
        figure("simulator, first tick, compiled before", _first_tick_s(empty), "CPU-s")
    begin = time.process_time()
    population = make_population(_PEOPLE, 1, start_us=_START_US, interval_min=_INTERVAL_MIN)
    figure("simulator, making 1 M people", time.process_time() - begin, "CPU-s")
    seconds = np.empty(_TICKS)
    for k in range(_TICKS):
        begin = time.process_time()
        tick(population)
        seconds[k] = time.process_time() - begin
    longest, mean = float(seconds.max()), float(seconds.mean())
    figure("simulator, one tick (3 min) of 1 M people, mean", mean, "CPU-s")
    figure(
        "simulator, one tick (3 min) of 1 M people, longest of 20",
        longest,
        "CPU-s",
        bar="at most 0.5 CPU-s all in",
        holds=longest <= 0.5,
    )
    figure("simulator, speed", _PEOPLE * _INTERVAL_MIN * MINUTE_US / (24 * HOUR_US) / mean, "days/CPU-s")
    figure("simulator, memory of a person", BODY.itemsize + DAY.itemsize + SENSOR.itemsize, "bytes")


def _first_tick_s(cache: str) -> float:
    """CPU-s from import to the first tick of 25 people, in a new process with that directory for compiled code."""
    run = subprocess.run(
        [sys.executable, "-c", _FIRST_TICK],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        capture_output=True,
        check=True,
        text=True,
    )
    return float(run.stdout)


if __name__ == "__main__":
    main()
