"""Readings of many people in columns: what every metric takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.errors import BadInput
from islet.model.series import Series
from islet.model.time import from_us
from islet.model.units import MG_DL_PER_MMOL_L

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

_MMOL_L: Final = np.array((0.0, 3.0, 3.5, 3.9, 7.8, 10.0, 13.9, 100.0))
_SAME_SIDE_MG_DL: Final = np.array((0.0, 54.0, 63.0, 70.0, 140.0, 180.0, 250.0, 250.0 + 86.1 * 18))


@dataclass(frozen=True, kw_only=True)
class People:
    """Readings of p people, one after the other, each ascending in time with one reading an instant.

    offsets (p+1,): person i has rows offsets[i]:offsets[i+1], of which there may be none. clock_us (n,) int64: the
    wall clock where the person lives, as µs since 1970-01-01 of that clock; days begin at its midnights. Where a clock
    is set back an hour comes twice; clocks may then fall, and grids leave the second pass out.
    glucose_mg_dl (n,): finite. judged_mg_dl (n,): the same values for comparison with thresholds; only values that
    were measured in mmol/L differ (see `same_side_mg_dl`).
    """

    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    clock_us: NDArray[np.int64]
    glucose_mg_dl: NDArray[np.float64]
    judged_mg_dl: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Readings of each person (p,)."""
        return np.diff(self.offsets)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Whose each reading is (n,), as an index into ids."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def ascending(self) -> NDArray[np.float64]:
        """Glucose in mg/dL (n,), ascending within each person."""
        values = self.glucose_mg_dl.copy()
        for rows in self.slices():
            values[rows].sort()
        return values

    @cached_property
    def judged(self) -> "People":
        """The same people with the values that thresholds see as their glucose."""
        return replace(self, glucose_mg_dl=self.judged_mg_dl)

    def slices(self) -> Iterator[slice]:
        """The rows of each person."""
        return (slice(begin, end) for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True))

    def one(self, index: int) -> "People":
        """One of them, alone."""
        rows = slice(self.offsets[index], self.offsets[index + 1])
        return People(
            ids=(self.ids[index],),
            offsets=self.offsets[index : index + 2] - self.offsets[index],
            clock_us=self.clock_us[rows],
            glucose_mg_dl=self.glucose_mg_dl[rows],
            judged_mg_dl=self.judged_mg_dl[rows],
        )


def people_of(
    ids: Sequence[str],
    clock_us: NDArray[np.int64],
    glucose: NDArray[np.float64],
    *,
    unit: str = "mg/dL",
) -> People:
    """The people of rows in any order: ids (n,), clock_us (n,), glucose (n,) in `unit` (a name of model/units).

    People come in the order in which they first appear. NaN is no reading; of several readings of a person at one
    instant the last one counts. Raises BadInput for glucose that is not positive, infinite, or of another unit.
    """
    if unit not in ("mg/dL", "mmol/L"):
        raise BadInput(f"unit: expected mg/dL or mmol/L; got {unit[:20]!r}", reason="unit")
    names, owner = _numbered(ids)
    kept = ~np.isnan(glucose)
    if np.any(glucose[kept] <= 0.0) or np.any(np.isinf(glucose)):
        raise BadInput("glucose: expected values above 0; got one that is not", reason="glucose_range")
    values = np.asarray(glucose, np.float64)[kept]
    judged = values
    if unit == "mmol/L":
        values, judged = values * MG_DL_PER_MMOL_L, same_side_mg_dl(values)
    return _people(names, owner[kept], np.asarray(clock_us, np.int64)[kept], values, judged)


def together(groups: Sequence[People]) -> People:
    """The people of several groups, in the order in which they first appear; the same id in two groups is one person,
    of whose readings at one instant the later group's counts.

    >>> together([every(5, [100.0, 110.0], id="a"), every(5, [120.0], id="a")]).glucose_mg_dl.tolist()
    [120.0, 110.0]
    """
    if len(groups) == 1:
        return groups[0]
    numbers = {id: number for number, id in enumerate(dict.fromkeys(id for one in groups for id in one.ids))}
    theirs = [np.array([numbers[id] for id in one.ids], np.int64)[one.owner] for one in groups]
    glucose = np.concatenate([one.glucose_mg_dl for one in groups])
    same = all(one.judged_mg_dl is one.glucose_mg_dl for one in groups)
    return _people(
        tuple(numbers),
        np.concatenate(theirs),
        np.concatenate([one.clock_us for one in groups]),
        glucose,
        glucose if same else np.concatenate([one.judged_mg_dl for one in groups]),
    )


def _people(
    names: tuple[str, ...],
    owner: NDArray[np.int64],
    clock_us: NDArray[np.int64],
    glucose_mg_dl: NDArray[np.float64],
    judged_mg_dl: NDArray[np.float64],
) -> People:
    """People of rows (n,) in any order; of several readings of a person at one instant the last row counts."""
    order = np.lexsort((clock_us, owner))  # stable: of equal instants the later row stays behind
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(owner[order]) != 0) | (np.diff(clock_us[order]) != 0)
    rows = order[last]
    same = judged_mg_dl is glucose_mg_dl
    glucose = glucose_mg_dl[rows]
    return People(
        ids=names,
        offsets=np.concatenate(([0], np.cumsum(np.bincount(owner[rows], minlength=len(names))))).astype(np.int64),
        clock_us=clock_us[rows],
        glucose_mg_dl=glucose,
        judged_mg_dl=glucose if same else judged_mg_dl[rows],
    )


def every(step_min: float, glucose_mg_dl: Sequence[float], *, id: str = "") -> People:
    """One person's readings in mg/dL at even steps, the first at midnight of 1970-01-01. For examples and tests.

    >>> every(5, [100.0, 110.0]).counts.tolist()
    [2]
    """
    clock_us = (np.arange(len(glucose_mg_dl)) * step_min * MINUTE_US).astype(np.int64)
    return people_of([id] * len(glucose_mg_dl) or [], clock_us, np.array(glucose_mg_dl, np.float64))


def person_of(series: Series, *, zone: tzinfo = UTC, id: str = "") -> People:
    """One person from their stored readings; days begin at midnight in `zone`. LOW and HIGH count with the sensor's
    limit. What the series knows to have been sent in mmol/L is judged by the thresholds in mmol/L, to its tenth.
    """
    glucose = series.glucose_mg_dl
    judged = glucose
    if series.in_mmol_l is not None:
        sent = np.round(glucose / MG_DL_PER_MMOL_L, 1)  # meters and sensors show tenths
        judged = np.where(series.in_mmol_l, same_side_mg_dl(sent), glucose)
    return People(
        ids=(id,),
        offsets=np.array((0, len(series)), np.int64),
        clock_us=wall_clock_us(series.time_us, zone),
        glucose_mg_dl=glucose,
        judged_mg_dl=judged,
    )


def same_side_mg_dl(mmol_l: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values in mg/dL on the same side of each consensus threshold as these in mmol/L (n,).

    The consensus names its thresholds in both units, and they are no exact multiples: 10.0 mmol/L is in range and so
    is 180 mg/dL, yet 10.0 mmol/L are 180.156 mg/dL. 3.0, 3.5, 3.9, 7.8, 10.0 and 13.9 mmol/L become 54, 63, 70, 140,
    180 and 250 mg/dL exactly, what lies between them goes linearly. Source: doi:10.2337/dci19-0028, table 2.

    >>> same_side_mg_dl(np.array([3.8, 3.9, 10.0, 10.1])).round(1).tolist()
    [68.2, 70.0, 180.0, 181.8]
    """
    return np.asarray(np.interp(mmol_l, _MMOL_L, _SAME_SIDE_MG_DL), np.float64)


def wall_clock_us(time_us: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """The wall clock in `zone` at instants (n,) ascending; two looks at the zone an hour that has a reading at most."""
    hours = time_us // HOUR_US
    seen, where = np.unique(hours, return_inverse=True)
    shifts = np.array([_offset_us(int(hour) * HOUR_US, zone) for hour in seen], np.int64)
    ends = np.array([_offset_us((int(hour) + 1) * HOUR_US - 1, zone) for hour in seen], np.int64)
    shift = shifts[where] if len(seen) else np.zeros(0, np.int64)
    changing = (shifts != ends)[where] if len(seen) else np.zeros(0, np.bool_)
    for row in np.flatnonzero(changing):  # a zone that changes within an hour of UTC (Lord Howe Island)
        shift[row] = _offset_us(int(time_us[row]), zone)
    return time_us + shift


def _offset_us(time_us: int, zone: tzinfo) -> int:
    offset = from_us(time_us).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds()) * 1_000_000


def _numbered(ids: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The different ids in the order in which they first appear, and the number of each row's (n,)."""
    if len(ids) == 0:
        return (), np.zeros(0, np.int64)
    names, first, inverse = np.unique(np.asarray(ids, dtype=np.str_), return_index=True, return_inverse=True)
    rank = np.empty(len(names), np.int64)
    order = np.argsort(first)
    rank[order] = np.arange(len(names))
    return tuple(str(name) for name in names[order]), rank[inverse]
