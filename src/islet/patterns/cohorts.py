"""Who has days like whom: people in cohorts by the shape of their day, with labels that stay from night to night.

Everything is seeded: the same people and the same cohorts of yesterday give the same result.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.model.hours import HOURS
from islet.patterns.cohort_names import shape_name
from islet.patterns.pairs import least_pairs
from islet.patterns.partition import best_partition

LEAST_PEOPLE: Final = 20
"""With fewer people there are no cohorts."""
LEAST_SIZE: Final = 5
"""Fewer people are no cohort but outliers: it would show the day of one of them."""
_SHAPE_WEIGHT: Final = 2.0
"""The variance of the shape beside that of the level, which is 1: our choice, for it is shapes that are compared."""
_LEAST_SPREAD_MG_DL: Final = 5.0
_SAME_MG_DL: Final = 40.0
"""Of two nights, cohorts whose centroids differ by more (root mean square of the hours) are not the same one."""
_FAR_OUT: Final = 3.0
"""Interquartile ranges beyond the upper quartile (Tukey 1977: "far out")."""


class Cohort(Struct, frozen=True, kw_only=True):
    """People with days alike. Glucose in mg/dL by the hour of the clock, 24 numbers each.

    `id` stays while the cohort does; `name` is a key of `cohort_names.NAMES`. `medoid` is the member nearest to the
    `centroid`; half of the members lie between `lower` and `upper`; `spread_mg_dl` is the root mean square of their
    distances from the centroid.
    """

    id: int
    name: str
    size: int
    medoid: str
    centroid: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    spread_mg_dl: float


class Member(Struct, frozen=True, array_like=True):
    """A person's cohort, how far from its centroid their day is (root mean square of the hours), and whether that is so
    far that it fits no cohort."""

    cohort: int
    distance_mg_dl: float
    outlier: bool = False


class Cohorts(Struct, frozen=True, kw_only=True):
    """What a night found; cohorts by their mean level, members by id. `silhouette` is -1 to 1: from 0.5 on the cohorts
    lie well apart, below 0.25 hardly (Kaufman and Rousseeuw 1990)."""

    cohorts: tuple[Cohort, ...] = ()
    members: dict[str, Member] = {}
    silhouette: float = 0.0
    next_id: int = 1


def find_cohorts(shapes: dict[str, NDArray[np.float64]], yesterday: Cohorts) -> Cohorts:
    """The cohorts of people with these day shapes (24,) in mg/dL. With fewer than LEAST_PEOPLE there are none.

    O(n · k) in people and cohorts; 10,000 people take about two seconds of one core.
    """
    people = sorted(shapes)
    if len(people) < LEAST_PEOPLE:
        return Cohorts(next_id=yesterday.next_id)
    days = np.stack([shapes[person] for person in people])
    old = np.array([one.centroid for one in yesterday.cohorts]).reshape(-1, HOURS)
    labels, silhouette = _grouped(days, old)
    alone = labels < 0
    centroids = _centroids(days, labels)
    labels[alone] = _apart(days[alone], centroids).argmin(axis=1)
    distance = _apart(days, centroids)[np.arange(len(people)), labels]
    outlier = alone | _outliers(distance, labels)
    ids, next_id = _ids(centroids, yesterday)
    cohorts = []
    for label, id in enumerate(ids):
        mine = np.flatnonzero((labels == label) & ~alone)
        cohorts.append(_cohort(id, [people[i] for i in mine], days[mine], centroids[label], distance[mine]))
    members = {
        person: Member(ids[label], round(float(far), 1), bool(out))
        for person, label, far, out in zip(people, labels.tolist(), distance, outlier, strict=True)
    }
    return Cohorts(
        cohorts=tuple(sorted(cohorts, key=lambda one: (sum(one.centroid), one.id))),
        members=members,
        silhouette=round(silhouette, 3),
        next_id=next_id,
    )


def _grouped(days: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """The label (n,) of each day of (n, 24), -1 for those in groups below LEAST_SIZE, and the silhouette; `old` are the
    centroids of yesterday.

    Who stands alone is left out and the others are grouped anew, until nobody is; where too few would remain, all of
    them are one group.
    """
    kept = np.arange(len(days))
    found, silhouette = best_partition(*_features(days, old))
    while (alone := np.bincount(found)[found] < LEAST_SIZE).any():
        if np.count_nonzero(~alone) < LEAST_PEOPLE:
            found, silhouette = np.zeros(len(kept), np.int64), 0.0
            break
        kept = kept[~alone]
        found, silhouette = best_partition(*_features(days[kept], old))
    labels = np.full(len(days), -1, np.int64)
    labels[kept] = np.unique(found, return_inverse=True)[1]
    return labels, silhouette


def _features(days: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level and shape of each day (n, 24), standardised over the people: (n, 25), of variance 1 and _SHAPE_WEIGHT; and
    those of `old` (m, 24) in the same measure."""
    level, shape = _parted(days)
    level_sd = max(float(level.std()), _LEAST_SPREAD_MG_DL)
    shape_sd = max(float(np.sqrt(shape.var(axis=0).mean())), _LEAST_SPREAD_MG_DL)
    weight = np.sqrt(_SHAPE_WEIGHT / HOURS)

    def standardised(levels: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hstack([(levels - level.mean()) / level_sd, weight * (shapes - shape.mean(axis=0)) / shape_sd])

    return standardised(level, shape), standardised(*_parted(old))


def _parted(days: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (n, 1) of each day (n, 24), and how the hours differ from it (n, 24)."""
    level = days.mean(axis=1, keepdims=True)
    return level, days - level


def _apart(days: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root mean square difference (n, k) of days (n, 24) and centroids (k, 24), mg/dL."""
    apart: NDArray[np.float64] = np.sqrt(((days[:, None, :] - centroids[None, :, :]) ** 2).mean(axis=2))
    return apart


def _centroids(days: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean day (k, 24) of each label that is not negative."""
    return np.stack([days[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])


def _ids(centroids: NDArray[np.float64], yesterday: Cohorts) -> tuple[list[int], int]:
    """The id of each centroid: that of yesterday's cohort which it continues, by the pairs with the least sum of
    distances, or a new one; and the next id that is free."""
    ids, next_id = dict[int, int](), yesterday.next_id
    if yesterday.cohorts:
        apart = _apart(centroids, np.array([one.centroid for one in yesterday.cohorts]))
        for label, place in least_pairs(np.minimum(apart, _SAME_MG_DL)):  # those that went and came may not disturb
            if apart[label, place] <= _SAME_MG_DL:
                ids[label] = yesterday.cohorts[place].id
    for label in np.argsort(centroids.mean(axis=1), kind="stable").tolist():
        if label not in ids:
            ids[label], next_id = next_id, next_id + 1
    return [ids[label] for label in range(len(centroids))], next_id


def _outliers(distance: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Who (n,) is far out both among the distances of all people and among those of their own cohort."""
    outlier = np.ones(len(distance), np.bool_)
    for group in (np.zeros_like(labels), labels):
        for label in np.unique(group):
            mine = group == label
            lower, upper = np.percentile(distance[mine], (25, 75))
            outlier[mine] &= distance[mine] > upper + _FAR_OUT * max(upper - lower, _LEAST_SPREAD_MG_DL)
    return outlier


def _cohort(
    id: int,
    people: Sequence[str],
    days: NDArray[np.float64],
    centroid: NDArray[np.float64],
    distance: NDArray[np.float64],
) -> Cohort:
    lower, upper = np.percentile(days, (25, 75), axis=0)
    return Cohort(
        id=id,
        name=shape_name(centroid),
        size=len(people),
        medoid=people[int(np.argmin(distance))],
        centroid=_rounded(centroid),
        lower=_rounded(lower),
        upper=_rounded(upper),
        spread_mg_dl=round(float(np.sqrt((distance**2).mean())), 1),
    )


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.round(values, 1).tolist())
