"""Whether a person's days have changed: against their own recent past, by robust statistics.

Each metric of a day is measured in robust standard deviations (1.4826 MAD) from the median of the weeks before. Odd
days are cut at CUT; a two-sided CUSUM (Page 1954, doi:10.1093/biomet/41.1-2.100) adds up what lies more than SLACK
away, and speaks at LIMIT. Two things make textbook run lengths too long here. The baseline is short (Jensen et al. 2006,
doi:10.1080/00224065.2006.11918623), and days resemble their neighbours: a sensor is worn for ten of them. For the
second the standard deviation is widened by √((1+ρ)/(1-ρ)), the long-run one of an AR(1) process (Johnson and Bagshaw
1974, doi:10.1080/00401706.1974.10489155). SLACK and LIMIT were then chosen by simulation, so that on stationary days
all metrics together raise less than one false alarm in a patient-year. A lasting step of four standard deviations is
then found within eight days in nine of ten people, one of three within ten days in eight of ten; one of two mostly not
(`tests/patterns/test_patterns_changes.py` counts).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.patterns.days import Days

BASELINE_DAYS: Final = 28
"""Sufficient days that the present is compared with; at least LEAST_BASELINE_DAYS."""
LEAST_BASELINE_DAYS: Final = 14
TEST_DAYS: Final = 14
"""The newest sufficient days, in which a change may have begun."""
LEAST_AFTER_DAYS: Final = 3
"""A change has to be seen on so many sufficient days."""
LOOK_BACK_DAYS: Final = 56
"""How far back days are of use: baseline and test days, and two weeks without a sensor."""

CUT: Final = 4.0
SLACK: Final = 1.0
LIMIT: Final = 10.0
_ALIKE_CUT: Final = 2.0
_ALIKE_MORE: Final = 0.1
"""Four weeks show the likeness of neighbouring days as too small by about so much."""
_ALIKE_MOST: Final = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """What is watched, in which everyday size, and what is no news.

    `noise` (and `noise_share` of the median) is the least standard deviation that is believed: medians of few days, and
    sensors that differ by some percent. `least` (and `least_share`) is the least change that is worth a word, in the
    metric's own unit. A `percent` of time is compared as arcsin √p, which has the same noise everywhere; `noise` is then
    in radians. All are our choice; five points of time in range are the least benefit of the international consensus
    (doi:10.2337/dci19-0028).
    """

    name: str
    noise: float
    least: float
    noise_share: float = 0.0
    least_share: float = 0.0
    percent: bool = False


METRICS: Final = (
    Metric(name="mean_mg_dl", noise=6.0, least=15.0, noise_share=0.06, least_share=0.15),
    Metric(name="cv_percent", noise=3.0, least=6.0),
    Metric(name="tir_percent", noise=0.06, least=10.0, percent=True),
    Metric(name="tbr_percent", noise=0.09, least=5.0, percent=True),
    Metric(name="worn_h", noise=2.0, least=4.0),
)
_GLUCOSE: Final = METRICS[:-1]
"""They count on sufficient days; the hours of wear on every day."""


class Evidence(Struct, frozen=True, kw_only=True):
    """One metric that changed: since which day (since 1970-01-01), from which median to which, over how many days each.

    `score` is the CUSUM, in standard deviations beyond SLACK; it speaks from LIMIT on.
    """

    metric: str
    onset_day: int
    before: float
    after: float
    before_days: int
    after_days: int
    score: float


def evidence(days: Days, *, since_day: int | None = None) -> tuple[Evidence, ...]:
    """What has changed up to the last of `days`, in the order of METRICS; empty while there is too little to say so.

    Changes that began before `since_day` are not looked for. O(n), about 0.15 ms.
    """
    sufficient = np.flatnonzero(days.sufficient)
    glucose = np.stack([getattr(days, metric.name)[sufficient] for metric in _GLUCOSE])
    wear = days.worn_h[None, :]
    return (
        *_changed(_GLUCOSE, glucose, days.first + sufficient, since_day),
        *_changed(METRICS[-1:], wear, days.first + np.arange(len(days)), since_day),
    )


def _changed(
    metrics: tuple[Metric, ...], values: NDArray[np.float64], day: NDArray[np.int64], since_day: int | None
) -> list[Evidence]:
    """Evidence of `metrics` (m) with `values` (m, n) on the days `day` (n,)."""
    tested = TEST_DAYS if since_day is None else min(TEST_DAYS, int(np.count_nonzero(day >= since_day)))
    start = len(day) - tested
    if tested < LEAST_AFTER_DAYS or start < LEAST_BASELINE_DAYS:
        return []
    oldest = max(0, start - BASELINE_DAYS)
    values, day, start = values[:, oldest:], day[oldest:], start - oldest
    even = _even(metrics, values)
    usual, scale = _usual(metrics, even[:, :start])
    score, begin = _cusum(np.clip((even[:, start:] - usual) / scale, -CUT, CUT))
    medians = np.median(values[:, :start], axis=1)
    found = []
    for i in np.flatnonzero(score > LIMIT):
        after = values[i, start + begin[i] :]
        before, present = float(medians[i]), float(np.median(after))
        enough = max(metrics[i].least, metrics[i].least_share * before)
        if len(after) >= LEAST_AFTER_DAYS and abs(present - before) >= enough:
            one = Evidence(
                metric=metrics[i].name,
                onset_day=int(day[start + begin[i]]),
                before=round(before, 1),
                after=round(present, 1),
                before_days=start,
                after_days=len(after),
                score=round(float(score[i]), 1),
            )
            found.append(one)
    return found


def _even(metrics: tuple[Metric, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values (m, n) on scales on which noise does not depend on the level."""
    percent = np.array([metric.percent for metric in metrics])[:, None]
    return np.where(percent, np.arcsin(np.sqrt(np.clip(values / 100.0, 0.0, 1.0))), values)


def _usual(metrics: tuple[Metric, ...], before: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and long-run standard deviation, (m, 1) each, of what was `before`, (m, n)."""
    usual = np.median(before, axis=1, keepdims=True)
    least = np.array([metric.noise for metric in metrics])[:, None]
    share = np.array([metric.noise_share for metric in metrics])[:, None]
    spread = 1.4826 * np.median(np.abs(before - usual), axis=1, keepdims=True)
    scale = np.maximum(spread, np.maximum(least, share * usual))
    z = np.clip((before - usual) / scale, -_ALIKE_CUT, _ALIKE_CUT)
    z -= z.mean(axis=1, keepdims=True)
    squares = np.maximum((z * z).sum(axis=1, keepdims=True), 1e-9)
    alike = np.clip((z[:, 1:] * z[:, :-1]).sum(axis=1, keepdims=True) / squares + _ALIKE_MORE, 0.0, _ALIKE_MOST)
    return usual, scale * np.sqrt((1.0 + alike) / (1.0 - alike))


def _cusum(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each row of `z` (m, n): the larger of its two one-sided sums at the end (m,), and the first column that it
    adds up (m,), which is where the change is thought to have begun."""
    m, n = z.shape
    walk = np.cumsum(np.concatenate([np.zeros((2 * m, 1)), np.concatenate([z, -z]) - SLACK], axis=1), axis=1)
    begin = n - np.argmin(walk[:, ::-1], axis=1)  # of equals the last
    sums = walk[:, -1] - walk[np.arange(2 * m), begin]
    falls = sums[m:] > sums[:m]
    return np.where(falls, sums[m:], sums[:m]), np.where(falls, begin[m:], begin[:m])
