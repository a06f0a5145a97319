"""How fast the shipped model serves: CPU time for forecasts of 100,000 people, and of one. `python -m benchmarks.forecast.speed`"""

import time

import numpy as np

from benchmarks.record import figure
from islet.forecast.features import features
from islet.forecast.forecaster import Forecaster
from islet.forecast.gather import histories
from islet.forecast.grid import STEP_US
from islet.forecast.shipped import shipped_model

_PEOPLE = 100_000
_ROUNDS = 3


def main() -> None:
    """Record the figures, on as many threads as OMP_NUM_THREADS says (one, for a figure for each core)."""
    forecaster = Forecaster(model=shipped_model())
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 3, (_PEOPLE, 144)).cumsum(axis=1)
    history = np.clip(130 + steps - steps.mean(axis=1, keepdims=True), 40, 400).astype(np.float32)
    minute = rng.uniform(0, 1440, _PEOPLE).astype(np.float32)
    rates = {}
    for name, points in (("12 h known", 144), ("2 h known", 24)):
        forecaster.forecast(history[:5000, -points:], minute[:5000])
        spent = min(
            _spent(lambda points=points: forecaster.forecast(history[:, -points:], minute)) for _ in range(_ROUNDS)
        )
        rates[name] = _PEOPLE / spent
        figure(
            f"forecast, quantiles and risks, {name}",
            rates[name],
            "people/CPU-s",
            bar="at least 100,000",
            holds=rates[name] >= 100_000,
        )
    spent = min(
        _spent(lambda: [features(history[k : k + 4096], minute[k : k + 4096]) for k in range(0, _PEOPLE, 4096)])
        for _ in range(_ROUNDS)
    )
    figure("forecast, of that the features", spent / _PEOPLE * 1e6, "us/person")
    times = np.tile(np.arange(144) * np.int64(STEP_US), (_PEOPLE, 1))
    count = np.full(_PEOPLE, 144)
    tenths = np.rint(history * 10).astype(np.int32)
    histories(times[:9], tenths[:9], count[:9])
    spent = min(_spent(lambda: histories(times, tenths, count)) for _ in range(_ROUNDS))
    figure("forecast, before that the histories from readings", spent / _PEOPLE * 1e6, "us/person")
    one = _spent(lambda: [forecaster.forecast(history[k : k + 1], minute[k : k + 1]) for k in range(500)]) / 500
    figure("forecast, one person alone", one * 1e6, "us")


def _spent(work: object) -> float:
    began = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - began


if __name__ == "__main__":
    main()
