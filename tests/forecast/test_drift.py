"""The watch over live errors: what it remembers, and whom it has serve."""

import msgspec
import numpy as np
import pytest

from islet.forecast.drift import LEAST, Error, Errors, Sensor, errors_in, interval_of, missed, rolled, verdict
from islet.forecast.serving import PERSISTENCE, RIDGE, SHADOWS, SHIPPED, Choice
from islet.model.time import HOUR_US, MINUTE_US


def errors(model: float, persistence: float, weight: float = LEAST, **others: float) -> Errors:
    means = {SHIPPED: model, "damped_slope": 14.0, "ar2": 13.0, RIDGE: 15.0, PERSISTENCE: persistence} | others
    return Errors(
        at_us=7,
        errors=tuple(Error(model=name, interval_min=5, weight=weight, mean_mg_dl=mean) for name, mean in means.items()),
    )


SHIPPED_NOW = Choice(model=SHIPPED)
DEMOTED_NOW = Choice(model="ar2", why="worse", since_us=1)


@pytest.mark.parametrize(
    ("now", "seen", "wanted"),
    [
        (SHIPPED_NOW, errors(10.0, 12.0), None),
        (SHIPPED_NOW, errors(12.0, 12.0), None),
        (SHIPPED_NOW, errors(13.6, 12.0), None),  # of so few it may be chance
        (SHIPPED_NOW, errors(12.1, 12.0, 1_000_000), PERSISTENCE),
        (SHIPPED_NOW, errors(13.8, 12.0), PERSISTENCE),
        (SHIPPED_NOW, errors(13.8, 12.0, ar2=11.9), "ar2"),
        (SHIPPED_NOW, errors(13.8, 12.0, ar2=11.9, ridge=11.8), RIDGE),
        (SHIPPED_NOW, errors(13.8, 12.0, damped_slope=11.7, ridge=11.8), "damped_slope"),
        (SHIPPED_NOW, errors(99.0, 12.0, LEAST - 1), None),
        (SHIPPED_NOW, Errors(), None),
        (Choice(model=SHIPPED, by_hand=True), errors(99.0, 12.0), None),
        (DEMOTED_NOW, errors(11.9, 12.0, ar2=12.0), None),
        (DEMOTED_NOW, errors(11.5, 12.0), SHIPPED),
        (DEMOTED_NOW, errors(13.0, 12.0, ar2=12.2), None),
        (DEMOTED_NOW, errors(13.0, 12.0, ar2=12.4), PERSISTENCE),
        (Choice(model="damped_slope", by_hand=True), errors(1.0, 12.0), None),
    ],
)
def test_a_model_worse_than_no_change_gives_way_to_the_best_simple_one_until_it_is_clearly_better(
    now: Choice, seen: Errors, wanted: str | None
) -> None:
    found = verdict(now, seen)
    assert (None if found is None else found.model) == wanted
    if found is not None:
        assert found.since_us == 7 and "persistence 12.0, ridge" in found.why and not found.by_hand


FIVE, FIFTEEN = Sensor("", 5), Sensor("", 15)


def test_an_error_counts_half_as_much_twelve_hours_later() -> None:
    first = rolled(Errors(), {"m": np.array([10.0, 20.0, np.nan], np.float32)}, [FIVE, FIVE, FIVE], 0)
    assert first.of("m") == (15.0, 2.0)
    later = rolled(first, {"m": np.array([30.0], np.float32)}, [FIFTEEN], 12 * HOUR_US)
    assert [(one.sensor, one.weight, one.mean_mg_dl) for one in later.errors] == [
        (FIVE, 1.0, 15.0),
        (FIFTEEN, 1.0, 30.0),
    ]
    assert later.of("m") == (22.5, 2.0)
    assert rolled(later, {}, [], 10 * 24 * HOUR_US).errors == ()  # what hardly counts any more is forgotten


def test_sensors_are_told_apart_by_type_where_it_is_known() -> None:
    some = [Sensor("Libre 3", 0), FIVE, Sensor("Libre 3", 0)]
    found = rolled(Errors(), {"m": np.array([10.0, 20.0, 30.0], np.float32)}, some, 0)
    assert {str(one.sensor): one.mean_mg_dl for one in found.errors} == {"5 min": 20.0, "Libre 3": 20.0}
    assert found.of("m") == (20.0, 3.0)
    assert errors_in(msgspec.json.encode(found)) == found


def test_on_a_steady_rise_the_model_misses_by_less_than_no_change() -> None:
    history = np.concatenate([np.full(136, 100), 100 + 6 * np.arange(1, 9)]).astype(np.float32)[None]
    found = missed(history, np.array([600], np.float32), np.array([148 + 24], np.float32))
    assert found[PERSISTENCE][0] == pytest.approx(24, abs=0.01)
    assert found[SHIPPED][0] < 24
    assert set(found) == {SHIPPED, *SHADOWS}
    assert all(found[name][0] < 24 for name in SHADOWS if name != PERSISTENCE)


def test_where_there_is_no_forecast_nothing_is_scored() -> None:
    found = missed(np.full((1, 144), np.nan, np.float32), np.zeros(1, np.float32), np.array([100], np.float32))
    assert all(np.isnan(one[0]) for one in found.values())


@pytest.mark.parametrize(("every", "interval"), [(1, 1), (3, 5), (5, 5), (9, 15), (15, 15)])
def test_sensors_are_told_apart_by_how_often_they_read(every: int, interval: int) -> None:
    assert interval_of(np.arange(10) * every * MINUTE_US) == interval
