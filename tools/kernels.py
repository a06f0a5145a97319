"""Have Numba compile all kernels once, side by side (`python -m tools.kernels`); what follows finds them on the disk.

Without it the first run of the tests compiles the same kernels in every test process at the same time.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Final

import numpy as np

from islet.decode.telemetry import warm_up as warm_up_decoder
from islet.engine.quantities import GLUCOSE
from islet.engine.rules import load_rules, plan
from islet.engine.step import warm_up
from islet.engine.tables import FORECASTS
from islet.forecast.gather import histories
from islet.forecast.replay import replayed
from islet.forecast.serving import shipped
from islet.log.partitioning import warm_up as warm_up_log
from islet.metrics.people import every
from islet.metrics.table import Material, measured
from islet.model.series import Series
from islet.simulate import make_population, tick


def decode() -> None:
    """Of the decoder."""
    warm_up_decoder()


def engine() -> None:
    """Of the engine."""
    warm_up(plan(load_rules()).streams[GLUCOSE])


def foresee() -> None:
    """Of the engine's stream of forecasts."""
    warm_up(plan(load_rules(), foreteller=shipped()).streams[FORECASTS])


def forecast() -> None:
    """Of the forecasts of stored readings."""
    histories(np.zeros((1, 1), np.int64), np.full((1, 1), 110, np.float32), np.ones(1, np.int64))
    one = Series(time_us=np.zeros(1, np.int64), glucose_tenths=np.full(1, 1100, np.int32), range=np.zeros(1, np.int8))
    replayed(one, 0, 1)


def log() -> None:
    """Of the log."""
    warm_up_log()


def metrics() -> None:
    """Of the metrics."""
    material = Material(every(5, [100.0, 110.0]))
    measured(material)
    assert len(material.episodes.low) == 0


def simulate() -> None:
    """Of the simulator."""
    tick(make_population(1, 1, start_us=0))


ROOMS: Final[dict[str, Callable[[], None]]] = {
    "decode": decode,
    "engine": engine,
    "foresee": foresee,
    "forecast": forecast,
    "log": log,
    "metrics": metrics,
    "simulate": simulate,
}


def main() -> None:
    """All rooms, each in a process of its own, or those that are named; ends with the first failure's exit code."""
    if len(sys.argv) > 1:
        for room in sys.argv[1:]:
            ROOMS[room]()
        return
    started = [subprocess.Popen([sys.executable, "-m", "tools.kernels", room]) for room in ROOMS]
    sys.exit(max(process.wait() for process in started))


if __name__ == "__main__":
    main()
