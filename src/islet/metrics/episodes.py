"""Episodes of low and high glucose, on the even grid.

Consensus (Danne 2017, doi:10.2337/dc17-1600; Battelino 2023, doi:10.1016/S2213-8587(22)00319-9): an episode begins
with at least 15 min beyond a threshold and ends with at least 15 min back; extended is one of more than 120 min below
70 mg/dL. As in iglu, n points in a row last n steps (three of 5 min are 15 min), an episode that a gap ends lasts
until the gap, and one with shorter recoveries, also a last one before a gap, includes them.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.columns import Floats, ratio, sums
from islet.metrics.grid import Grid
from islet.metrics.people import MINUTE_US
from islet.model.compiled import making_kernel

EPISODE_MIN: Final = 15
EXTENDED_MIN: Final = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Episodes:
    """e episodes, by person and then time. person (e,): index; first, last (e,): points of the grid, both included;
    begin_us, end_us (e,): the wall clock at the first point, and a step after the last. minutes (e,): points times
    step. mean_mg_dl, extreme_mg_dl (e,): of its points; the extreme is the lowest of a low, the highest of a high.
    """

    person: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    begin_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    minutes: NDArray[np.int64]
    mean_mg_dl: Floats
    extreme_mg_dl: Floats

    def __len__(self) -> int:
        return len(self.person)

    def where(self, kept: NDArray[np.bool_]) -> "Episodes":
        """Those that are kept (e,)."""
        return Episodes(**{name: getattr(self, name)[kept] for name in self.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeSummary:
    """Of each person: count (p,), per_day (p,) of the days with values (gaps left out), mean minutes (p,), 0 without
    an episode, and mean of the episodes' mean glucose (p,), NaN without one. NaN for a person without values.
    """

    count: NDArray[np.int64]
    per_day: Floats
    mean_minutes: Floats
    mean_mg_dl: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsensusEpisodes:
    """Episodes of each kind. low, very_low: below 70 and 54; high, very_high: above 180 and 250; each very low one
    has a low one around it. low_only, high_only: those that reach no episode of level 2. extended_low: more than
    120 min below 70; extended_high: at least 120 min above 250.
    """

    low: Episodes
    very_low: Episodes
    high: Episodes
    very_high: Episodes
    low_only: Episodes
    high_only: Episodes
    extended_low: Episodes
    extended_high: Episodes


def consensus_episodes(
    grid: Grid,
    *,
    minutes: int = EPISODE_MIN,
    end_minutes: int = EPISODE_MIN,
    low_mg_dl: float = 70.0,
    high_mg_dl: float = 180.0,
) -> ConsensusEpisodes:
    """All kinds. The grid is one of judged values (`day_grid(people.judged)`), where some come from mmol/L. low_mg_dl and
    high_mg_dl stand in the place of 70 and 180 for people with another target range (pregnancy: 63 and 140)."""
    low, very_low = (episodes(grid, level, minutes=minutes, end_minutes=end_minutes) for level in (-low_mg_dl, -54.0))
    high, very_high = (episodes(grid, level, minutes=minutes, end_minutes=end_minutes) for level in (high_mg_dl, 250.0))
    return ConsensusEpisodes(
        low=low,
        very_low=very_low,
        high=high,
        very_high=very_high,
        low_only=low.where(~_touched(low, very_low)),
        high_only=high.where(~_touched(high, very_high)),
        extended_low=episodes(grid, -low_mg_dl, minutes=EXTENDED_MIN, longer=True, end_minutes=end_minutes),
        extended_high=episodes(grid, 250.0, minutes=EXTENDED_MIN, end_minutes=end_minutes),
    )


def episodes(
    grid: Grid, level_mg_dl: float, *, minutes: int = EPISODE_MIN, end_minutes: int = EPISODE_MIN, longer: bool = False
) -> Episodes:
    """Episodes above a level or, where it is negative, below its amount (-70.0: below 70 mg/dL).

    They begin with at least `minutes` beyond it (`longer`: one step more), and end with `end_minutes` back. Times that
    are no multiple of a person's step are rounded up to one.

    >>> found = episodes(day_grid(every(5, [100.0] * 6 + [60.0] * 3 + [100.0] * 6)), -70.0)
    >>> found.minutes.tolist(), found.extreme_mg_dl.tolist()
    ([15], [60.0])
    """
    step = np.maximum(grid.step_min, 1)
    needed = np.array([ceil(minutes / one + longer) for one in step.tolist()], np.int64)
    back = np.array([ceil(end_minutes / one) for one in step.tolist()], np.int64)
    sign = -1.0 if level_mg_dl < 0.0 else 1.0
    person, first, last = _found(grid.glucose_mg_dl, grid.offsets, sign, level_mg_dl, needed, back)
    mean, extreme = _levels(grid.glucose_mg_dl, first, last, sign)
    step_us, points_before = step[person] * MINUTE_US, grid.offsets[:-1][person]
    return Episodes(
        person=person,
        first=first,
        last=last,
        begin_us=grid.midnight_us[person] + (first - points_before + 1) * step_us,
        end_us=grid.midnight_us[person] + (last - points_before + 2) * step_us,
        minutes=(last - first + 1) * step[person],
        mean_mg_dl=mean,
        extreme_mg_dl=extreme,
    )


def summarised(found: Episodes, grid: Grid) -> EpisodeSummary:
    """Counts and means of each person's episodes."""
    number = np.bincount(found.person, minlength=len(grid)).astype(np.int64)
    amount = number.astype(np.float64)
    values = sums(~np.isnan(grid.glucose_mg_dl), grid.offsets)
    minutes = ratio(_per_person(found, found.minutes.astype(np.float64), grid), amount)
    return EpisodeSummary(
        count=number,
        per_day=ratio(amount, values * grid.step_min / 1440.0),
        mean_minutes=np.where(values > 0.0, np.nan_to_num(minutes), np.nan),
        mean_mg_dl=ratio(_per_person(found, found.mean_mg_dl, grid), amount),
    )


def _per_person(found: Episodes, values: Floats, grid: Grid) -> Floats:
    return np.bincount(found.person, values, len(grid)).astype(np.float64)


def _touched(outer: Episodes, inner: Episodes) -> NDArray[np.bool_]:
    """Which of the outer ones (e,) have a point in common with an inner one; both in order of the grid."""
    if len(inner) == 0:
        return np.zeros(len(outer), np.bool_)
    following = np.searchsorted(inner.last, outer.first)  # the first inner one that ends at or after the outer's begin
    begins = inner.first[np.minimum(following, len(inner) - 1)]
    return (following < len(inner)) & (begins <= outer.last)


@making_kernel
def _found(
    values: Floats,
    offsets: NDArray[np.int64],
    sign: float,
    level: float,
    needed: NDArray[np.int64],
    back: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Person, first and last point of each episode."""
    most = len(values) // 2 + len(offsets)
    persons, firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    number = 0
    for person in range(len(needed)):
        inside = False
        run, beyond = 0, False
        for point in range(offsets[person], offsets[person + 1] + 1):
            value = values[point] if point < offsets[person + 1] else np.nan
            if np.isnan(value):  # a gap, or the end
                if inside:
                    lasts[number - 1] = point - 1
                inside, run = False, 0
                continue
            now = sign * value > level
            run = run + 1 if run > 0 and now == beyond else 1
            beyond = now
            if beyond and not inside and run == needed[person]:
                persons[number], firsts[number] = person, point - run + 1
                number += 1
                inside = True
            elif inside and not beyond and run == back[person]:
                lasts[number - 1] = point - run
                inside = False
    return persons[:number].copy(), firsts[:number].copy(), lasts[:number].copy()


@making_kernel
def _levels(values: Floats, firsts: NDArray[np.int64], lasts: NDArray[np.int64], sign: float) -> tuple[Floats, Floats]:
    """Mean and extreme of each episode."""
    means, extremes = np.empty(len(firsts)), np.empty(len(firsts))
    for index in range(len(firsts)):
        points = values[firsts[index] : lasts[index] + 1]
        means[index] = points.mean()
        extremes[index] = points.max() if sign > 0.0 else points.min()
    return means, extremes
