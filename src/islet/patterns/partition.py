"""Points in groups: k-means for 2 to MOST_GROUPS of them, and the silhouette (Rousseeuw 1987,
doi:10.1016/0377-0427(87)90125-7) to choose how many there are.
"""

from typing import Final

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


def best_partition(features: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """The label (n,) of each point of `features` (n, d) in the partition with the best silhouette, and that silhouette;
    `old` are the centres (m, d) of before. All points the same: one group, silhouette 0."""
    from scipy.spatial.distance import cdist  # scipy is loaded here: it takes half a second, and only jobs need it

    rng = np.random.default_rng(_SEED)
    sample = np.sort(rng.permutation(len(features))[:_SAMPLE])
    distances = cdist(features[sample], features[sample])
    best = np.zeros(len(features), np.int64)
    best_score, best_silhouette = -np.inf, 0.0
    for k in range(2, min(MOST_GROUPS, len(np.unique(features, axis=0))) + 1):
        labels = _k_means(features, _starts(features[sample], k, rng, old))
        silhouette = _silhouette(distances, labels[sample])
        score = silhouette + (_LOYALTY if k == len(old) else 0.0)
        if score > best_score:
            best, best_score, best_silhouette = labels, score, silhouette
    return best, best_silhouette


def _starts(
    sample: NDArray[np.float64], k: int, rng: np.random.Generator, old: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Good centres (k, d) to begin with: the best of those of before, where there were as many, and of some starts by
    k-means++ (Arthur and Vassilvitskii 2007), each after Lloyd's iteration on the sample."""
    from scipy.cluster.vq import ClusterError, kmeans2

    starts: list[NDArray[np.float64] | int] = [old] if len(old) == k else []
    best, least = sample[:1], np.inf
    for start in [*starts, *[k] * _STARTS]:
        minit = "++" if isinstance(start, int) else "matrix"
        try:
            centres, labels = kmeans2(sample, start, iter=_ITERATIONS, minit=minit, missing="raise", rng=rng)
        except ClusterError:  # a group lost all its members on the way
            continue
        within = float(((sample - centres[labels]) ** 2).sum())
        if within < least:
            best, least = centres, within
    return best


def _k_means(features: NDArray[np.float64], starts: NDArray[np.float64]) -> NDArray[np.int64]:
    """The labels (n,) after Lloyd's iteration from these centres; at the first ones, where a group loses all members."""
    from scipy.cluster.vq import ClusterError, kmeans2, vq

    try:
        labels = kmeans2(features, starts, iter=_LAST_ITERATIONS, minit="matrix", missing="raise")[1]
    except ClusterError:
        labels = vq(features, starts)[0]
    return np.asarray(labels, np.int64)


def _silhouette(distances: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
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
