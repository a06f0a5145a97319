"""What the models see of the last twelve hours: 74 numbers a row, none from after the newest reading.

Six of them are the row's own momentum: sensors smooth differently, and people move differently, so an autoregression
of second order is fitted to the differences of each row by itself, and carried on. It is what lets one pooled model
serve sensors that it has not seen.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LAGS: Final = 36  # 3 h, point by point
_HOURS: Final = 9  # before those, hour by hour
_DIFFERENCES: Final = 12
_HOUR: Final = 12  # points
_DAY_MIN: Final = 1440.0
_LEAST_VARIANCE: Final = np.float32(1.0)  # (mg/dL)², towards no momentum where nothing moves
_WIDEST_STEP: Final = 20.0  # mg/dL in 5 min
_LEAST_SPREAD: Final = 4.0  # mg/dL: sensors are not finer, whoever wears them
NAMES: Final = (
    *(f"lag_{5 * k}_min" for k in range(_LAGS, 0, -1)),
    *(f"hour_{3 + k}" for k in range(_HOURS, 0, -1)),
    *(f"difference_{k}" for k in range(_DIFFERENCES, 0, -1)),
    "level",
    "mean_12_h",
    "spread_12_h",
    "lowest_12_h",
    "highest_12_h",
    "roughness_3_h",
    "known_share",
    "step_size",
    "momentum_1",
    "momentum_2",
    *(f"carried_on_{k}_min" for k in (15, 30, 60)),
    *(f"{f}_{k}_a_day" for k in (1, 2) for f in ("sin", "cos")),
)
WIDTH: Final = len(NAMES)
_SPREAD: Final = NAMES.index("spread_12_h")


def filled(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """history (n, points) with each unknown point given the value before it, and those before all the first known one.

    The newest point has to be known.
    """
    if not np.isnan(history).any():
        return history
    points = history.shape[1]
    place = np.where(np.isnan(history), 0, np.arange(points))
    np.maximum.accumulate(place, axis=1, out=place)
    held = np.take_along_axis(history, place, axis=1)
    first = np.argmax(~np.isnan(history), axis=1)
    return np.where(np.isnan(held), history[np.arange(len(history)), first][:, None], held)


def features(history: NDArray[np.float32], minute: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, WIDTH) in mg/dL and shares, of history (n, LOOKS_BACK) mg/dL, NaN unknown, and minute (n,) of the person's day.

    An unknown minute (NaN) is a day without a time. Values but the level are relative to the newest.
    """
    n = len(history)
    out = np.empty((n, WIDTH), np.float32)
    known = filled(history)
    now = known[:, -1:]
    rest = known - now
    k = _LAGS
    out[:, :k] = rest[:, -1 - _LAGS : -1]
    out[:, k : k + _HOURS] = rest[:, : _HOURS * _HOUR].reshape(n, _HOURS, _HOUR).mean(axis=2)
    k += _HOURS
    out[:, k : k + _DIFFERENCES] = rest[:, -_DIFFERENCES:] - rest[:, -_DIFFERENCES - 1 : -1]
    k += _DIFFERENCES
    out[:, k] = now[:, 0] - 120.0
    out[:, k + 1] = rest.mean(axis=1)
    out[:, k + 2] = rest.std(axis=1)
    out[:, k + 3] = rest.min(axis=1)
    out[:, k + 4] = rest.max(axis=1)
    steps = rest[:, -_LAGS:] - rest[:, -_LAGS - 1 : -1]
    out[:, k + 5] = np.abs(steps[:, 1:] - steps[:, :-1]).mean(axis=1)
    out[:, k + 6] = 1.0 if known is history else 1.0 - np.isnan(history).mean(axis=1)
    angle = minute * np.float32(2 * np.pi / _DAY_MIN)
    out[:, k + 7 : k + 13] = _momentum(known)
    for m, f in enumerate((np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle))):
        out[:, k + 13 + m] = np.nan_to_num(f)
    return out


def _momentum(known: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 6): size of the steps (mg/dL), their correlations at one and two steps, and the row's AR(2) carried on."""
    d = known[:, 1:] - known[:, :-1]
    count = np.float32(d.shape[1])
    variance = np.einsum("ij,ij->i", d, d) / count
    once = np.einsum("ij,ij->i", d[:, 1:], d[:, :-1]) / count
    twice = np.einsum("ij,ij->i", d[:, 2:], d[:, :-2]) / count
    held = variance + _LEAST_VARIANCE
    determinant = held * held - once * once + np.float32(1e-3)
    a = np.clip((once * held - once * twice) / determinant, -1.8, 1.8)
    b = np.clip((twice * held - once * once) / determinant, -0.95, 0.95)
    out = np.empty((len(known), 6), np.float32)
    out[:, 0], out[:, 1], out[:, 2] = np.sqrt(variance), once / held, twice / held
    step, before, moved = d[:, -1], d[:, -2], np.zeros_like(variance)
    for ahead in range(1, 13):
        step, before = np.clip(a * step + b * before, -_WIDEST_STEP, _WIDEST_STEP), step
        moved = moved + step
        if ahead in (3, 6, 12):
            out[:, {3: 3, 6: 4, 12: 5}[ahead]] = moved
    return out


def unit(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 1) mg/dL in which the network tells a row's movements: the geometric mean of 20 mg/dL and what it moved in 12 h.

    Half-way between mg/dL for all, in which steady people do not count, and everybody's own spread.
    """
    return np.sqrt(np.float32(20.0) * np.maximum(found[:, _SPREAD : _SPREAD + 1], _LEAST_SPREAD))
