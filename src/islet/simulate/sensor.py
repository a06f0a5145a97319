"""A continuous sensor: what it shows of the glucose in tissue.

Gain, drift, gaps and pressure are functions of the sensor's key and the minute; only the noise has a memory.
The noise is the AR(2) process of Facchinetti et al. 2014 (doi:10.1109/TBME.2013.2284023) with its two time constants;
its size and all other numbers are of a present factory-calibrated sensor, calibrated here.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.model.compiled import kernel
from islet.model.units import MG_DL_PER_MMOL_L, SENSOR_RANGE_MG_DL
from islet.simulate import chance

SENSOR: Final = np.dtype(
    [
        ("key", np.uint64),
        ("worn_since", np.int32),  # a minute at which a new sensor was put on
        ("noise_mg_dl", np.float32),  # of the last reading and the one before
        ("noise_before_mg_dl", np.float32),
    ]
)

_LOWEST_MG_DL, _HIGHEST_MG_DL = SENSOR_RANGE_MG_DL
_WEAR_MIN, _WARM_UP_MIN = 14_400, 120  # ten days; two hours
_GAIN_SD, _DRIFT_PER_DAY_SD = 0.05, 0.006
_NOISE_SD_MG_DL = 4.0
_NOISE_MIN = (14.84, 4.14)  # the poles of 1 - 1.013/z + 0.2135/z² at 5 min, as time constants
_GAP_EVERY_MIN, _GAP_SHARE, _GAP_LEAST_MIN, _GAP_SPREAD_MIN = 240, 0.35, 3.0, 57.0
_PRESSED_SHARE = 0.12  # of nights
_PRESSED_LEAST_MIN, _PRESSED_SPREAD_MIN, _PRESSED_RAMP_MIN = 20.0, 30.0, 8.0
_PRESSED_LEAST, _PRESSED_SPREAD = 0.2, 0.25  # share of the glucose that is not seen
_NIGHT_FROM_MIN, _NIGHT_MIN = 1380, 420  # 23:00 to 06:00
_DAY_MIN = 1440


class NoiseFilter(NamedTuple):
    """An AR(2) process: x[k] = last x[k-1] + before x[k-2] + sd_mg_dl w[k]."""

    last: float
    before: float
    sd_mg_dl: float


def noise_filter(interval_min: float) -> NoiseFilter:
    """The noise at another interval than Facchinetti's 5 min: the same two poles, and the stationary SD of ours."""
    slow, fast = (float(np.exp(-interval_min / minutes)) for minutes in _NOISE_MIN)
    last, before = slow + fast, -slow * fast
    variance = (1.0 - before) / ((1.0 + before) * ((1.0 - before) ** 2 - last**2))
    return NoiseFilter(last, before, _NOISE_SD_MG_DL / float(np.sqrt(variance)))


def make_sensors(keys: NDArray[np.uint64], minute: int) -> NDArray[np.void]:
    """Sensors (n,) that have been worn for various times, so that not all are changed on one day."""
    sensors = np.zeros(len(keys), SENSOR)
    sensors["key"] = keys
    sensors["worn_since"] = minute - (keys % np.uint64(_WEAR_MIN)).astype(np.int32)
    return sensors


@kernel
def measure(
    sensors: NDArray[np.void],
    bodies: NDArray[np.void],
    minute: int,
    noise: NoiseFilter,
    cgm_mg_dl: NDArray[np.float32],
    beyond: NDArray[np.int8],
) -> None:
    """Write what each sensor shows at `minute`, (n,): whole mg/dL, NaN where it shows nothing; and into `beyond` (n,)
    -1 where it can only say LOW, 1 HIGH, else 0.

    Changes `sensors` (their noise).
    """
    for i in range(len(sensors)):
        sensor = sensors[i]
        shown = sensor.noise_mg_dl * noise.last + sensor.noise_before_mg_dl * noise.before
        shown += noise.sd_mg_dl * chance.normal(sensor.key, chance.NOISE, minute)
        sensor.noise_before_mg_dl = sensor.noise_mg_dl
        sensor.noise_mg_dl = shown
        shown += bodies[i].interstitial_mmol_l * MG_DL_PER_MMOL_L * _gain(sensor, minute)
        beyond[i] = 0
        if _is_silent(sensor, minute):
            cgm_mg_dl[i] = np.nan
        elif shown < _LOWEST_MG_DL:
            cgm_mg_dl[i], beyond[i] = _LOWEST_MG_DL, -1
        elif shown > _HIGHEST_MG_DL:
            cgm_mg_dl[i], beyond[i] = _HIGHEST_MG_DL, 1
        else:
            cgm_mg_dl[i] = np.round(shown)


@kernel
def _gain(sensor: Any, minute: int) -> float:
    """What share of the true glucose is shown: calibration, its drift over the wear, and lying on the sensor."""
    worn = (minute - sensor.worn_since) // _WEAR_MIN
    days = (minute - sensor.worn_since) % _WEAR_MIN / _DAY_MIN
    drift: float = _DRIFT_PER_DAY_SD * chance.normal(sensor.key, chance.DRIFT, worn) * days
    calibration = 1.0 + _GAIN_SD * chance.normal(sensor.key, chance.GAIN, worn) + drift
    return calibration * (1.0 - _pressed(sensor, minute))


@kernel
def _pressed(sensor: Any, minute: int) -> float:
    """The share of the glucose that is not seen because the person lies on the sensor (a compression low)."""
    night = (minute - _NIGHT_FROM_MIN) // _DAY_MIN
    since_dusk = (minute - _NIGHT_FROM_MIN) % _DAY_MIN
    if since_dusk >= _NIGHT_MIN or chance.uniform(sensor.key, chance.PRESSED, night) >= _PRESSED_SHARE:
        return 0.0
    length = _PRESSED_LEAST_MIN + _PRESSED_SPREAD_MIN * chance.uniform(sensor.key, chance.PRESSED_LENGTH, night)
    start = (_NIGHT_MIN - length) * chance.uniform(sensor.key, chance.PRESSED_START, night)
    inside = min(since_dusk - start, start + length - since_dusk)
    depth = _PRESSED_LEAST + _PRESSED_SPREAD * chance.uniform(sensor.key, chance.PRESSED_DEPTH, night)
    return depth * min(1.0, max(0.0, inside / _PRESSED_RAMP_MIN))


@kernel
def _is_silent(sensor: Any, minute: int) -> bool:
    """Whether the sensor warms up, or its signal is lost."""
    if (minute - sensor.worn_since) % _WEAR_MIN < _WARM_UP_MIN:
        return True
    block = minute // _GAP_EVERY_MIN
    if chance.uniform(sensor.key, chance.GAP, block) >= _GAP_SHARE:
        return False
    length = _GAP_LEAST_MIN + _GAP_SPREAD_MIN * chance.uniform(sensor.key, chance.GAP_LENGTH, block) ** 2
    since = minute % _GAP_EVERY_MIN - (_GAP_EVERY_MIN - length) * chance.uniform(sensor.key, chance.GAP_START, block)
    return 0.0 <= since < length
