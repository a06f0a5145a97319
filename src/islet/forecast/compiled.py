"""A model compiled: the same forecasts as `Model.moves` to a hundredth of 1 mg/dL, at ten microseconds a row, also for one.

The engine forecasts a few dozen readings at a time, for which NumPy's calls cost more than their work, and its products
of matrices take their last rows another way. Here each row is worked out alone, in one order: it does not matter what
is asked beside it.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from islet.forecast.features import WIDTH
from islet.forecast.grid import LOOKS_BACK
from islet.forecast.meals import HALF_G
from islet.forecast.model import Model
from islet.forecast.network import MEDIAN, OUTPUTS, PATH, QUANTILES, RISK_STEPS, RISKS, Array
from islet.forecast.personal import BOUND_MG_DL
from islet.forecast.personal import INPUTS as _GIVEN
from islet.forecast.risk import INPUTS
from islet.forecast.windows import HORIZON

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LAGS: Final = 36
_HOURS: Final = 9
_HOUR: Final = 12
_LEVEL: Final = _LAGS + _HOURS + _HOUR  # places, as in features.NAMES
_SPREAD: Final = _LEVEL + 2
_CLIP: Final = np.float32(8.0)
_CENTRE: Final = 120.0
_FAR: Final = 6.0
_HALF_G: Final = np.float32(HALF_G)
_BOUND: Final = np.float32(BOUND_MG_DL)
_HALF_HOUR: Final = 5
_N_QUANTILES: Final = len(QUANTILES)
_N_STEPS: Final = len(RISK_STEPS)
_STEPS: Final = np.array(RISK_STEPS)
_SIGNS: Final = np.array([-1.0 if side == "below" else 1.0 for side, _ in RISKS])
_LINES: Final = np.array([line for _, line in RISKS])


def _compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    return cast(Callable[_P, _R], njit(cache=True, nogil=True)(function))


def moves(model: Model, history: Array, minute: Array, eaten: Array) -> tuple[Array, Array]:
    """As `Model.moves` of the features of history (n, LOOKS_BACK) and minute (n,), raised by what was eaten
    (n, EATEN_POINTS): (n, 12, 5) and (n, 4, 2). Where nothing was, to the last bit what is foretold without meals."""
    n = len(history)
    x = np.empty((n, WIDTH), np.float32)
    outputs = np.zeros((n, OUTPUTS), np.float32)
    found = np.empty((n, HORIZON, _N_QUANTILES), np.float32)
    risks = np.empty((n, len(RISKS), _N_STEPS), np.float32)
    _features(np.ascontiguousarray(history, np.float32), np.ascontiguousarray(minute, np.float32), x)
    for network in model.networks:
        w1, b1, w2, b2, w3, b3, way = network.weights
        _add_outputs(x, network.centre, network.scale, w1, b1, w2, b2, w3, b3, way, outputs)
    share = np.float32(1 / len(model.networks))
    meals = np.empty((n, HORIZON), np.float32)
    _eat(np.ascontiguousarray(eaten, np.float32), model.meals, meals)
    _put_together(
        x, outputs, share, np.float32(model.share), model.lines, model.margins, model.risk_lines, meals, found, risks
    )
    return found, risks


@_compiled
def _features(history: Array, minute: Array, out: Array) -> None:
    """As `features.features`."""
    known = np.empty(LOOKS_BACK, np.float32)
    rest = np.empty(LOOKS_BACK, np.float32)
    for row in range(len(history)):
        unknown = _fill(history[row], known)
        now = known[LOOKS_BACK - 1]
        for k in range(LOOKS_BACK):
            rest[k] = known[k] - now
        for k in range(_LAGS):
            out[row, k] = rest[LOOKS_BACK - 1 - _LAGS + k]
        for hour in range(_HOURS):
            total = 0.0
            for k in range(_HOUR):
                total += rest[hour * _HOUR + k]
            out[row, _LAGS + hour] = total / _HOUR
        for k in range(_HOUR):
            at = LOOKS_BACK - _HOUR + k
            out[row, _LAGS + _HOURS + k] = rest[at] - rest[at - 1]
        out[row, _LEVEL] = now - _CENTRE
        _spread(rest, out[row, _LEVEL + 1 : _LEVEL + 5])
        rough = 0.0
        for k in range(LOOKS_BACK - _LAGS + 1, LOOKS_BACK):
            rough += abs((rest[k] - rest[k - 1]) - (rest[k - 1] - rest[k - 2]))
        out[row, _LEVEL + 5] = rough / (_LAGS - 1)
        out[row, _LEVEL + 6] = 1.0 - unknown / LOOKS_BACK
        _momentum(known, out[row, _LEVEL + 7 : _LEVEL + 13])
        angle = minute[row] * (2 * np.pi / 1440.0)
        for k in range(2):
            sine, cosine = np.sin((k + 1) * angle), np.cos((k + 1) * angle)
            out[row, _LEVEL + 13 + 2 * k] = 0.0 if np.isnan(sine) else sine
            out[row, _LEVEL + 14 + 2 * k] = 0.0 if np.isnan(cosine) else cosine


@_compiled
def _spread(rest: Array, out: Array) -> None:
    """Mean, standard deviation, lowest and highest."""
    total, squares, low, high = 0.0, 0.0, np.float32(0), np.float32(0)
    for k in range(LOOKS_BACK):
        total += rest[k]
        squares += np.float64(rest[k]) * rest[k]
        low = min(low, rest[k])
        high = max(high, rest[k])
    mean = total / LOOKS_BACK
    out[0], out[1] = mean, np.sqrt(max(squares / LOOKS_BACK - mean * mean, 0.0))
    out[2], out[3] = low, high


@_compiled
def _fill(history: Array, known: Array) -> int:
    """As `features.filled`; how many points were unknown."""
    unknown, first = 0, 0
    while first < LOOKS_BACK - 1 and np.isnan(history[first]):
        first += 1
    value = history[first]
    for k in range(LOOKS_BACK):
        if np.isnan(history[k]):
            unknown += 1
        else:
            value = history[k]
        known[k] = value
    return unknown


@_compiled
def _momentum(known: Array, out: Array) -> None:
    """As `features._momentum`."""
    count = LOOKS_BACK - 1
    variance, once, twice = 0.0, 0.0, 0.0
    before, last = 0.0, 0.0
    for k in range(1, LOOKS_BACK):
        step = np.float64(known[k]) - known[k - 1]
        variance += step * step
        once += step * last
        twice += step * before
        before, last = last, step
    variance, once, twice = variance / count, once / count, twice / count
    held = variance + 1.0
    determinant = held * held - once * once + 1e-3
    a = min(max((once * held - once * twice) / determinant, -1.8), 1.8)
    b = min(max((twice * held - once * once) / determinant, -0.95), 0.95)
    out[0], out[1], out[2] = np.sqrt(variance), once / held, twice / held
    moved = 0.0
    for ahead in range(1, 13):
        last, before = min(max(a * last + b * before, -20.0), 20.0), last
        moved += last
        if ahead == 3:
            out[3] = moved
        elif ahead == 6:
            out[4] = moved
    out[5] = moved


@_compiled
def _add_outputs(
    x: Array,
    centre: Array,
    scale: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
    way: Array,
    out: Array,
) -> None:
    """Add `Network.outputs` of x (n, f) to out (n, OUTPUTS)."""
    standard = np.empty(x.shape[1], np.float32)
    first, second = np.empty(len(b1), np.float32), np.empty(len(b2), np.float32)
    for row in range(len(x)):
        for k in range(len(standard)):
            standard[k] = min(max((x[row, k] - centre[k]) / scale[k], -_CLIP), _CLIP)
        first[:] = b1
        _add_product(standard, w1, first)
        _cut(first)
        second[:] = b2
        _add_product(first, w2, second)
        _cut(second)
        for k in range(len(b3)):
            out[row, k] += b3[k]
        _add_product(second, w3, out[row])
        _add_product(standard, way, out[row])


@_compiled
def _add_product(values: Array, weights: Array, out: Array) -> None:
    """Add what is not nought of values (k,) times weights (k, m) to out (m,)."""
    for k in range(len(values)):
        value = values[k]
        if value != 0:
            for m in range(weights.shape[1]):
                out[m] += value * weights[k, m]


@_compiled
def _cut(values: Array) -> None:
    """What is below nought is nought."""
    for k in range(len(values)):
        values[k] = max(values[k], np.float32(0))


@_compiled
def _eat(eaten: Array, weights: Array, out: Array) -> None:
    """As `meals.added`."""
    for row in range(len(eaten)):
        out[row] = 0
        total = np.float32(0)
        for k in range(eaten.shape[1]):
            total += eaten[row, k]
        if total > 0:
            for k in range(eaten.shape[1]):
                share = eaten[row, k] / (total + _HALF_G)
                for step in range(HORIZON):
                    out[row, step] += share * weights[k, step]


@_compiled
def _put_together(
    x: Array,
    outputs: Array,
    mean: np.float32,
    share: np.float32,
    lines: Array,
    margins: Array,
    risk_lines: Array,
    meals: Array,
    found: Array,
    risks: Array,
) -> None:
    """As `Model.moves` from the networks' sum of outputs on, raised by meals (n, 12) in mg/dL."""
    path = np.empty(HORIZON, np.float32)
    five = np.empty(_N_QUANTILES, np.float32)
    after = np.empty(risks.shape[1:], np.float32)
    for row in range(len(x)):
        one = np.float32(np.sqrt(np.float32(20.0) * max(x[row, _SPREAD], np.float32(4.0))))
        path[:] = lines[WIDTH]
        for k in range(WIDTH):
            for step in range(HORIZON):
                path[step] += x[row, k] * lines[k, step]
        for step in range(HORIZON):
            for k in range(_N_QUANTILES):
                five[k] = outputs[row, step * _N_QUANTILES + k] * mean
            _sort(five)
            median = five[MEDIAN]
            for k in range(_N_QUANTILES):
                five[k] = (five[k] - median + margins[step, k]) * one + (path[step] + share * median * one)
            _sort(five)
            for k in range(_N_QUANTILES):
                found[row, step, k] = five[k]
        now = x[row, _LEVEL] + _CENTRE
        _chances(now, found[row], outputs[row], mean, risk_lines, risks[row])
        if meals[row].max() > 0:
            _raise(found[row], meals[row])
            _chances(now, found[row], outputs[row], mean, risk_lines, after)
            _raise_risks(risks[row], after)


@_compiled
def _raise(found: Array, added_mg_dl: Array) -> None:
    """As `meals.raised`, of one row."""
    for step in range(HORIZON):
        for k in range(MEDIAN, _N_QUANTILES):
            found[step, k] += added_mg_dl[step]


@_compiled
def _raise_risks(risks: Array, after: Array) -> None:
    """Meals raise the risks of going above a line and touch no other."""
    for k in range(len(_LINES)):
        if _SIGNS[k] > 0:
            for s in range(_N_STEPS):
                risks[k, s] = max(risks[k, s], after[k, s])


@_compiled
def _sort(five: Array) -> None:
    for k in range(1, len(five)):
        value = five[k]
        m = k
        while m > 0 and five[m - 1] > value:
            five[m] = five[m - 1]
            m -= 1
        five[m] = value


@_compiled
def _chances(now: float, found: Array, outputs: Array, mean: np.float32, lines: Array, out: Array) -> None:
    """As `risk.chances` of `risk.inputs`."""
    given = np.empty(INPUTS, np.float64)
    past = np.empty(HORIZON, np.float64)
    for k in range(len(_LINES)):
        outer = 0 if _SIGNS[k] < 0 else _N_QUANTILES - 1
        width_first, width_half = 0.0, 0.0
        for step in range(HORIZON):
            middle = np.float64(found[step, MEDIAN])
            width = max(_SIGNS[k] * (found[step, outer] - middle), 2.0)
            past[step] = min(max(_SIGNS[k] * (middle - (_LINES[k] - now)) / width, -_FAR), _FAR)
            if step == 0:
                width_first = width
            elif step == HORIZON // 2:
                width_half = width
        away = min(max(past[0] * width_first / width_half, -_FAR), _FAR)
        for s in range(_N_STEPS):
            steps = _STEPS[s]
            place = k * _N_STEPS + s
            most, total = past[0], 0.0
            for step in range(steps):
                most = max(most, past[step])
                total += past[step]
            given[0] = outputs[PATH + place] * mean
            given[1], given[2], given[3], given[4], given[5] = most, past[steps - 1], total / steps, away, 1.0
            logit = 0.0
            for m in range(INPUTS):
                logit += given[m] * lines[place, m]
            out[k, s] = 1 / (1 + np.exp(-min(max(logit, -30.0), 30.0)))


@_compiled
def correct(history: Array, minute: Array, lines: Array, place: NDArray[np.int64], found: Array) -> None:
    """Add to all quantiles found (n, 12, 5) in mg/dL what `personal.correction` of `personal.given` says, by lines
    (m, 6, 12) and their place (n,); -1: nothing."""
    known = np.empty(_GIVEN, np.float32)
    for row in range(len(found)):
        if place[row] >= 0:
            own = lines[place[row]]
            now = history[row, -1]
            moved = now - history[row, -4]
            angle = minute[row] * np.float32(2 * np.pi / 1440)
            sine, cosine = np.sin(angle), np.cos(angle)
            known[0], known[1] = 1.0, (now - 120) / 60
            known[2] = 0.0 if np.isnan(moved) else moved / 20
            known[3] = (found[row, _HALF_HOUR, MEDIAN] - now) / 20
            known[4] = 0.0 if np.isnan(sine) else sine
            known[5] = 0.0 if np.isnan(cosine) else cosine
            for step in range(HORIZON):
                added = np.float32(0)
                for k in range(_GIVEN):
                    added += known[k] * own[k, step]
                added = min(max(added, -_BOUND), _BOUND)
                for k in range(_N_QUANTILES):
                    found[row, step, k] += added
