"""iglu-python (PyPI) on people from `benchmarks.metrics`: CPU seconds of each of its metrics, as one JSON line.

`python -m benchmarks.peers.iglu_python PEOPLE DAYS`; needs iglu-python in this interpreter or on PYTHONPATH. It runs
apart from Islet: its pandas and NumPy may be others.
"""

import contextlib
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

START_US: Final = 1_700_006_400_000_000
STEP_MIN: Final = 5
FUNCTIONS: Final = (
    *("mean_glu", "median_glu", "sd_glu", "cv_glu", "iqr_glu", "mad_glu", "range_glu", "quantile_glu", "summary_glu"),
    *("gmi", "ea1c", "above_percent", "below_percent", "in_range_percent", "active_percent", "gri"),
    *("lbgi", "hbgi", "adrr", "grade", "grade_hypo", "grade_eugly", "grade_hyper"),
    *("hypo_index", "hyper_index", "igc", "j_index", "m_value", "cogi", "pgs"),
    *("mage", "modd", "conga", "mag", "gvp", "sd_roc", "sd_measures", "cv_measures", "auc", "episode_calculation"),
)


def people(count: int, days: int) -> tuple[list[str], Any, Any]:
    """Ids (n,), times in µs (n,) and glucose in mg/dL (n,): meals, a slow walk and noise; 3 % of readings missing."""
    dice = np.random.default_rng(7)
    points = days * 1440 // STEP_MIN
    minutes = np.arange(points) * STEP_MIN
    meals = 45.0 * np.abs(np.sin(minutes / 1440.0 * 3.0 * np.pi)) ** 3
    walk = np.cumsum(dice.normal(0.0, 2.5, (count, points)), axis=1)
    walk -= np.linspace(0.0, 1.0, points) * walk[:, -1:]
    glucose = np.clip(
        95.0 + dice.uniform(0.0, 60.0, (count, 1)) + meals + walk + dice.normal(0, 2, (count, points)), 40, 400
    )
    kept = dice.random((count, points)) > 0.03
    ids = np.repeat([f"person {number}" for number in range(count)], points)[kept.ravel()]
    times = np.tile(START_US + minutes * 60_000_000, count)[kept.ravel()]
    return ids.tolist(), times, np.round(glucose).ravel()[kept.ravel()]


def _seconds(function: Callable[[Any], Any], table: Any) -> float:
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        function(table)
    return time.process_time() - began


def main() -> None:
    """Print {"function": seconds, …}."""
    import iglu_python
    import pandas

    warnings.simplefilter("ignore")
    iglu_python.utils.set_local_tz("UTC")
    ids, times, glucose = people(int(sys.argv[1]), int(sys.argv[2]))
    table = pandas.DataFrame({"id": ids, "time": pandas.to_datetime(times, unit="us"), "gl": glucose})
    print(json.dumps({name: _seconds(getattr(iglu_python, name), table.copy()) for name in FUNCTIONS}))


if __name__ == "__main__":
    main()
