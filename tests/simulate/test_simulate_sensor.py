"""The sensor: noise, calibration, gaps, pressure, limits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from islet.simulate.chance import keys
from islet.simulate.person import BODY
from islet.simulate.sensor import make_sensors, measure, noise_filter

_MIDNIGHT = 1440 * 20_000
_DAYS = 4


def _shown(
    glucose_mg_dl: float, n: int = 400, days: int = _DAYS, interval_min: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """CGM and its range codes, both (k, n), for people whose tissue holds one glucose all the time."""
    bodies = np.zeros(n, BODY)
    bodies["interstitial_mmol_l"] = glucose_mg_dl / 18.0156
    sensors = make_sensors(keys(3, 1, n), _MIDNIGHT)
    count = days * 1440 // interval_min
    cgm, beyond = np.empty((count, n), np.float32), np.empty((count, n), np.int8)
    for k in range(count):
        measure(sensors, bodies, _MIDNIGHT + k * interval_min, noise_filter(interval_min), cgm[k], beyond[k])
    return cgm, beyond


def test_noise_at_5_min_is_the_published_process() -> None:
    """Facchinetti et al. 2014: v(t) = 1.013 v(t-1) - 0.2135 v(t-2) + w(t)."""
    last, before, _ = noise_filter(5)
    assert last == pytest.approx(1.013, abs=1e-3)
    assert before == pytest.approx(-0.2135, abs=1e-3)


@pytest.mark.parametrize("interval_min", [1, 3, 5])
def test_noise_is_as_large_at_every_interval(interval_min: int) -> None:
    cgm, _ = _shown(110.0, n=200, days=2, interval_min=interval_min)
    afternoon = cgm.reshape(2, -1, 200)[:, 720 // interval_min :]  # no pressure, and little drift
    sd = np.nanmean(np.nanstd(afternoon, axis=1))
    assert 3.3 < sd < 4.3  # 4 mg/dL, less what the mean of half a day takes away


def test_values_are_whole_mg_dl_or_nothing() -> None:
    cgm, beyond = _shown(150.0)
    seen = cgm[~np.isnan(cgm)]
    assert np.array_equal(seen, np.round(seen))
    assert not beyond.any()


@pytest.mark.parametrize(("glucose", "limit", "code"), [(22.0, 40.0, -1), (520.0, 400.0, 1)])
def test_beyond_its_limits_the_sensor_says_low_or_high(glucose: float, limit: float, code: int) -> None:
    cgm, beyond = _shown(glucose, n=50, days=1)
    day = slice(7 * 20, 22 * 20)
    seen = ~np.isnan(cgm[day])
    assert np.all(cgm[day][seen] == limit)
    assert np.all(beyond[day][seen] == code)
    assert not beyond[np.isnan(cgm)].any()


def test_three_to_five_percent_of_readings_are_missing_in_gaps_of_minutes() -> None:
    silent = np.isnan(_shown(150.0)[0])
    assert 0.03 < silent.mean() < 0.05
    begins = np.count_nonzero(silent[1:] & ~silent[:-1])
    mean_gap_min = 3.0 * silent.sum() / begins
    assert 15.0 < mean_gap_min < 40.0


def test_a_new_sensor_warms_up_for_two_hours_every_ten_days() -> None:
    n = 100
    silent = np.isnan(_shown(150.0, n=n, days=10)[0])
    ages = _MIDNIGHT - make_sensors(keys(3, 1, n), _MIDNIGHT)["worn_since"]
    for person in range(n):
        change_min = (14_400 - int(ages[person])) % 14_400
        first = -(-change_min // 3)
        assert silent[first : first + 40, person].all()


def test_false_lows_from_lying_on_the_sensor_come_at_night_only() -> None:
    cgm, _ = _shown(100.0)
    hour = np.arange(len(cgm)) // 20 % 24
    night = (hour < 6) | (hour >= 23)
    false_lows = np.nan_to_num(cgm, nan=100.0) < 72.0
    assert false_lows[night].any(0).mean() > 0.15  # of people within four nights
    assert false_lows[~night].mean() < 1e-4


def test_calibration_differs_between_sensors_by_some_percent() -> None:
    cgm, _ = _shown(200.0)
    per_sensor = np.nanmean(cgm[7 * 20 : 12 * 20], axis=0)
    assert 6.0 < np.nanstd(per_sensor) < 16.0  # 5 % of 200 mg/dL, with drift and noise
    assert abs(np.nanmean(per_sensor) - 200.0) < 2.5
