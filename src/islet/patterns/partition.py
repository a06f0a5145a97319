"""Points in groups: k-means for 2 to MOST_GROUPS of them, and the silhouette (Rousseeuw 1987,
doi:10.1016/0377-0427(87)90125-7) to choose how many there are. NumPy only: see docs/decisions/0021-cohorts-in-numpy.md.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_GROUPS: Final = 8
_SEED: Final = 20_170
_STARTS: Final = 12
_ITERATIONS: Final = 15
_LAST_ITERATIONS: Final = 10
_SAMPLE: Final = 2_000
"""The silhouette costs n²; of more people a seeded sample stands for all (its standard error is below 0.01)."""
_LOYALTY: Final = 0.02
"""Another number of groups than before has to be better by so much."""


class Groups(NamedTuple):
    """Centres (k, d), and the label (n,) of the nearest one for each point."""

    centres: NDArray[np.float64]
    labels: NDArray[np.int64]

    def within(self, features: NDArray[np.float64]) -> float:
        """The sum of squared distances of the points (n, d) from their centres: what k-means makes small."""
        return float(((features - self.centres[self.labels]) ** 2).sum())


def best_partition(features: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """The label (n,) of each point of `features` (n, d) in the partition with the best silhouette, and that silhouette;
    `old` are the centres (m, d) of before. All points the same: one group, silhouette 0."""
    rng = np.random.default_rng(_SEED)
    sample = features[chosen := np.sort(rng.permutation(len(features))[:_SAMPLE])]
    distances = np.sqrt(squares(sample, sample))
    best = np.zeros(len(features), np.int64)
    best_score, best_silhouette = -np.inf, 0.0
    for k in range(2, min(MOST_GROUPS, len(np.unique(features, axis=0))) + 1):
        found = [k_means(sample, start, _ITERATIONS) for start in _starts(sample, k, rng, old)]
        least = min((one for one in found if one is not None), key=lambda one: one.within(sample), default=None)
        if least is None:
            continue
        whole = k_means(features, least.centres, _LAST_ITERATIONS)
        labels = nearest(features, least.centres) if whole is None else whole.labels
        found_silhouette = silhouette(distances, labels[chosen])
        score = found_silhouette + (_LOYALTY if k == len(old) else 0.0)
        if score > best_score:
            best, best_score, best_silhouette = labels, score, found_silhouette
    return best, best_silhouette


def k_means(features: NDArray[np.float64], centres: NDArray[np.float64], iterations: int) -> Groups | None:
    """Groups of `features` (n, d) after Lloyd's iteration from `centres` (k, d), until nothing changes or for so many
    rounds; None where a group loses all its members on the way."""
    labels = nearest(features, centres)
    for _ in range(iterations):
        belongs = (labels[:, None] == np.arange(len(centres))).astype(np.float64)
        sizes = belongs.sum(axis=0)
        if not sizes.all():
            return None
        centres = (belongs.T @ features) / sizes[:, None]
        before, labels = labels, nearest(features, centres)
        if np.array_equal(before, labels):
            break
    return Groups(centres, labels) if len(np.unique(labels)) == len(centres) else None


def silhouette(distances: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean silhouette of points with these mutual distances (n, n) and labels (n,); those alone in their group
    count 0, as Rousseeuw has it."""
    groups, label = np.unique(labels, return_inverse=True)
    if len(groups) < 2:
        return 0.0
    belongs = label[:, None] == np.arange(len(groups))
    sizes = belongs.sum(axis=0)
    sums = distances @ belongs
    own = sizes[label]
    inside = sums[belongs] / np.maximum(own - 1, 1)
    outside = np.where(belongs, np.inf, sums / sizes).min(axis=1)
    silhouettes = (outside - inside) / np.maximum(np.maximum(inside, outside), 1e-12)
    return float(np.where(own > 1, silhouettes, 0.0).mean())


def squares(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """The squared distance (n, k) of each of `points` (n, d) from each of `centres` (k, d); its error is that of the
    squared lengths, so that equal points may be some 1e-15 of that apart."""
    lengths = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2.0 * (points @ centres.T), 0.0), np.float64)


def nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """The label (n,) of the nearest of `centres` (k, d) for each of `points` (n, d); of equals the first."""
    return np.asarray(squares(points, centres).argmin(axis=1), np.int64)


def _starts(
    sample: NDArray[np.float64], k: int, rng: np.random.Generator, old: NDArray[np.float64]
) -> Iterator[NDArray[np.float64]]:
    """Centres (k, d) to begin with: those of before, where there were as many, and some of k-means++ (Arthur and
    Vassilvitskii 2007), which takes points far from those that it has with the chance of their squared distance."""
    if len(old) == k:
        yield old
    for _ in range(_STARTS):
        centres = sample[rng.integers(len(sample))][None, :]
        while len(centres) < k:
            far = squares(sample, centres).min(axis=1)
            chance = far / far.sum() if far.any() else None
            centres = np.vstack([centres, sample[rng.choice(len(sample), p=chance)]])
        yield centres
