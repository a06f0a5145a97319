"""The watch over live errors: what it remembers, and whom it has serve."""

import numpy as np
import pytest

from islet.forecast.drift import LEAST, PERSISTENCE, Error, Errors, interval_of, missed, rolled, verdict
from islet.forecast.serving import DAMPED_SLOPE, SHIPPED, Choice
from islet.model.time import HOUR_US, MINUTE_US


def errors(model: float, persistence: float, weight: float = LEAST) -> Errors:
    return Errors(
        at_us=7,
        errors=tuple(
            Error(model=name, interval_min=5, weight=weight, mean_mg_dl=mean)
            for name, mean in ((SHIPPED, model), (PERSISTENCE, persistence), (DAMPED_SLOPE, 9.0))
        ),
    )


SHIPPED_NOW = Choice(model=SHIPPED)
DEMOTED_NOW = Choice(model=DAMPED_SLOPE, why="worse", since_us=1)


@pytest.mark.parametrize(
    ("now", "seen", "wanted"),
    [
        (SHIPPED_NOW, errors(10.0, 12.0), None),
        (SHIPPED_NOW, errors(12.0, 12.0), None),
        (SHIPPED_NOW, errors(12.1, 12.0), DAMPED_SLOPE),
        (SHIPPED_NOW, errors(99.0, 12.0, LEAST - 1), None),
        (SHIPPED_NOW, Errors(), None),
        (Choice(model=SHIPPED, by_hand=True), errors(99.0, 12.0), None),
        (DEMOTED_NOW, errors(11.9, 12.0), None),
        (DEMOTED_NOW, errors(11.5, 12.0), SHIPPED),
        (Choice(model=DAMPED_SLOPE, by_hand=True), errors(1.0, 12.0), None),
    ],
)
def test_a_model_worse_than_no_change_is_replaced_until_it_is_clearly_better(
    now: Choice, seen: Errors, wanted: str | None
) -> None:
    found = verdict(now, seen)
    assert (None if found is None else found.model) == wanted
    if found is not None:
        assert found.since_us == 7 and "12.0 mg/dL" in found.why and not found.by_hand


def test_an_error_counts_half_as_much_twelve_hours_later() -> None:
    first = rolled(Errors(), {"m": np.array([10.0, 20.0, np.nan], np.float32)}, [5, 5, 5], 0)
    assert first.of("m") == (15.0, 2.0)
    later = rolled(first, {"m": np.array([30.0], np.float32)}, [15], 12 * HOUR_US)
    assert [(one.interval_min, one.weight, one.mean_mg_dl) for one in later.errors] == [(5, 1.0, 15.0), (15, 1.0, 30.0)]
    assert later.of("m") == (22.5, 2.0)


def test_on_a_steady_rise_the_model_misses_by_less_than_no_change() -> None:
    history = np.linspace(100, 244, 144, dtype=np.float32)[None]  # 1 mg/dL in 5 min: 250 after half an hour
    found = missed(history, np.array([600], np.float32), np.array([250], np.float32))
    assert found[PERSISTENCE][0] == pytest.approx(6, abs=0.01)
    assert found[SHIPPED][0] < 6
    assert found[DAMPED_SLOPE][0] < 6


def test_where_there_is_no_forecast_nothing_is_scored() -> None:
    found = missed(np.full((1, 144), np.nan, np.float32), np.zeros(1, np.float32), np.array([100], np.float32))
    assert all(np.isnan(one[0]) for one in found.values())


@pytest.mark.parametrize(("every", "interval"), [(1, 1), (3, 5), (5, 5), (9, 15), (15, 15)])
def test_sensors_are_told_apart_by_how_often_they_read(every: int, interval: int) -> None:
    assert interval_of(np.arange(10) * every * MINUTE_US) == interval
