"""A model of one person: glucose as the sum of their usual day and of the answers to everything that they wrote down.

Each factor has an answer over the eight hours after it, in proportion to its amount: a line through values at KNOTS_MIN. All
answers, a smooth usual day and a level for each day are fitted together by least squares, after glucose and columns have
been freed of what the quarters of an hour before say (Cochrane and Orcutt 1949, doi:10.1080/01621459.1949.10483290: an
autoregression of ORDER), since neighbouring readings are alike. Rough answers are held back (a penalty on second
differences, so that a steady rise is not pulled to zero). How sure the answers are comes from weighing whole days anew
(Rubin's Bayesian bootstrap, doi:10.1214/aos/1176345338); intervals are of Student's t, as there are few days.

An impact is an association within the person, with everything else that is known held fixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.patterns.course import Floats

STEP_MIN: Final = 15
POINTS: Final = 1440 // STEP_MIN
KNOTS_MIN: Final = (0, 15, 30, 60, 90, 120, 180, 240, 360, 480)
"""The answer is 0 at the first and at the last."""
IMPACT_MIN: Final = 180
"""An impact is the mean answer over so many minutes after the event."""
ORDER: Final = 3
_HARMONICS: Final = 3
_SMOOTH: Final = 0.01
_RIDGE: Final = 1e-6
_DRAWS: Final = 120
_SEED: Final = 7
_Z: Final = 1.6449


@dataclass(frozen=True, kw_only=True, slots=True)
class Impacts:
    """Of each factor (f,): the mean change of glucose in mg/dL over three hours after one `per` of it, and the 90 %
    interval; answers (f, k) at the inner KNOTS_MIN."""

    mean_mg_dl: Floats
    low_mg_dl: Floats
    high_mg_dl: Floats
    answers_mg_dl: Floats


def impacts(glucose: Floats, minutes: Sequence[NDArray[np.float64]], amounts: Sequence[Floats]) -> Impacts | None:
    """Impacts of f factors on glucose (d·POINTS,), every quarter of an hour from a midnight on, NaN where there is none;
    minutes and amounts: each factor's events, in minutes since that midnight. None where less than a day can be used."""
    design = np.concatenate([_answers(len(glucose), one, of) for one, of in zip(minutes, amounts, strict=True)], axis=1)
    usual = _usual_day(len(glucose))
    x = np.concatenate([design, usual], axis=1)
    rows = np.isfinite(glucose)
    for lag in range(1, ORDER + 1):
        rows[lag:] &= np.isfinite(glucose[:-lag])
    rows[:ORDER] = False
    if rows.sum() < max(POINTS, 2 * x.shape[1]):
        return None
    y = np.where(np.isfinite(glucose), glucose, 0.0)
    penalty = _penalty(len(minutes), x.shape[1])
    known = np.isfinite(glucose)
    plain = _solved(x.T @ (x * known[:, None]), x.T @ y, penalty)
    fitted_x, fitted_y = _whitened(x, y, y - x @ plain, rows)
    grams, sides = _by_day(fitted_x, fitted_y, np.flatnonzero(rows) // POINTS)
    return _weighed(grams, sides, penalty, len(minutes), _exposed_days(minutes))


def _answers(n: int, minutes: NDArray[np.float64], amounts: Floats) -> Floats:
    """Columns (n, k) of one factor: what each inner knot adds at each point."""
    columns = np.zeros((n, len(KNOTS_MIN) - 2))
    steps = KNOTS_MIN[-1] // STEP_MIN + 1
    knots = np.array(KNOTS_MIN, np.float64)
    unit = np.eye(len(knots))[1:-1]
    for begin, amount in zip(minutes, amounts, strict=True):
        first = int(np.ceil(begin / STEP_MIN))
        places = np.arange(max(0, first), max(0, min(n, first + steps)))
        since = places * STEP_MIN - begin
        for column, values in enumerate(unit):
            columns[places, column] += amount * np.interp(since, knots, values, right=0.0)
    return columns


def _usual_day(n: int) -> Floats:
    """Columns of a smooth day: a level and waves of the clock."""
    phase = 2.0 * np.pi * np.arange(n) / POINTS
    waves = [wave(k * phase) for k in range(1, _HARMONICS + 1) for wave in (np.sin, np.cos)]
    return np.stack([np.ones(n), *waves], axis=1)


def _penalty(factors: int, columns: int) -> Floats:
    """What roughness costs, (columns, columns): second differences of each answer, its zeros at both ends included."""
    k = len(KNOTS_MIN) - 2
    second = np.diff(np.eye(k + 2), n=2, axis=0)[:, 1:-1]
    whole = np.zeros((columns, columns))
    for factor in range(factors):
        inside = slice(factor * k, (factor + 1) * k)
        whole[inside, inside] = second.T @ second
    return whole


def _solved(gram: Floats, side: Floats, penalty: Floats) -> Floats:
    """Coefficients (…, p) of grams (…, p, p) and sides (…, p); the penalty goes with each answer's own size."""
    size = np.diagonal(gram, axis1=-2, axis2=-1)
    scale = np.sqrt(size[..., :, None] * size[..., None, :])
    ridge = (_RIDGE * size + 1e-9)[..., :, None] * np.eye(gram.shape[-1])
    return np.asarray(np.linalg.solve(gram + _SMOOTH * scale * penalty + ridge, side[..., None])[..., 0], np.float64)


def _whitened(x: Floats, y: Floats, left: Floats, rows: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """x and y of `rows`, less what the ORDER points before say of the next, learnt from what was `left` over."""
    lags = np.stack([left[np.flatnonzero(rows) - lag] for lag in range(1, ORDER + 1)], axis=1)
    gram = lags.T @ lags
    rho = np.linalg.solve(gram + 1e-6 * (np.trace(gram) + 1.0) * np.eye(ORDER), lags.T @ left[rows])
    at = np.flatnonzero(rows)
    fitted_x, fitted_y = x[at].copy(), y[at].copy()
    for lag, weight in enumerate(rho, start=1):
        fitted_x -= weight * x[at - lag]
        fitted_y -= weight * y[at - lag]
    return fitted_x, fitted_y


def _by_day(x: Floats, y: Floats, day: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """x'x (d, p, p) and x'y (d, p) of each day that has rows."""
    starts = np.flatnonzero(np.concatenate(([True], day[1:] != day[:-1])))
    pieces = list(zip(starts, [*starts[1:], len(day)], strict=True))
    grams = np.stack([x[begin:end].T @ x[begin:end] for begin, end in pieces])
    return grams, np.stack([x[begin:end].T @ y[begin:end] for begin, end in pieces])


def _exposed_days(minutes: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    """On how many days each factor occurred (f,)."""
    return np.array([len(np.unique(one // 1440)) for one in minutes], np.int64)


def _weighed(grams: Floats, sides: Floats, penalty: Floats, factors: int, exposed: NDArray[np.int64]) -> Impacts:
    days, k = len(grams), len(KNOTS_MIN) - 2
    weights = np.random.default_rng(_SEED).dirichlet(np.ones(days), _DRAWS) * days
    flat = grams.reshape(days, -1)
    drawn = _solved((weights @ flat).reshape(_DRAWS, *grams.shape[1:]), weights @ sides, penalty)
    best = _solved(grams.sum(axis=0), sides.sum(axis=0), penalty)
    over = _mean_over_impact()
    means = best[: factors * k].reshape(factors, k) @ over
    spread = (drawn[:, : factors * k].reshape(_DRAWS, factors, k) @ over).std(axis=0)
    n = np.maximum(np.minimum(exposed, days), 3)
    half = spread * np.sqrt((n + 1) / (n - 1)) * _student(n - 1)  # such weights spread by (n - 1) / (n + 1) too little
    return Impacts(
        mean_mg_dl=means,
        low_mg_dl=means - half,
        high_mg_dl=means + half,
        answers_mg_dl=best[: factors * k].reshape(factors, k),
    )


def _mean_over_impact() -> Floats:
    """Weights (k,) that make the mean answer over IMPACT_MIN out of the values at the knots."""
    minutes = np.arange(0.0, IMPACT_MIN + 1.0)
    unit = np.eye(len(KNOTS_MIN))[1:-1]
    return np.array([np.interp(minutes, KNOTS_MIN, one).mean() for one in unit])


def _student(freedom: NDArray[np.int64]) -> Floats:
    """The 95 % quantile of Student's t (Abramowitz and Stegun 26.7.5), by degrees of freedom, at least 2.

    >>> _student(np.array([4, 13, 1000])).round(2).tolist()
    [2.13, 1.77, 1.65]
    """
    v, z = np.maximum(freedom, 2).astype(np.float64), _Z
    terms = (
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
    )
    return np.asarray(z + sum(terms), np.float64)
