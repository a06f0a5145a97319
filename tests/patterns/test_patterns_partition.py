"""Groups, silhouettes and pairs are what their definitions say, found by trying everything."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from islet.patterns.pairs import least_pairs
from islet.patterns.partition import Groups, best_partition, k_means, nearest, silhouette, squares
from tests.conftest import examples

NO_CENTRES = np.empty((0, 2))
POINTS = arrays(np.float64, st.tuples(st.integers(4, 7), st.just(2)), elements=st.integers(-20, 20).map(float))


def by_the_definition(points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean silhouette, a point at a time: b less a, by the larger (Rousseeuw 1987, equation 2)."""
    sums = 0.0
    for i in range(len(points)):
        far = {
            group: [float(np.hypot(*(points[i] - points[j]))) for j in np.flatnonzero(labels == group) if j != i]
            for group in set(labels.tolist())
        }
        inside = far.pop(int(labels[i]))
        if inside and far:
            a, b = sum(inside) / len(inside), min(sum(one) / len(one) for one in far.values())
            sums += (b - a) / max(a, b, 1e-12)
    return sums / len(points)


@given(POINTS, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_a_silhouette_is_that_of_the_definition(points: NDArray[np.float64], data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points))))
    found = silhouette(np.sqrt(squares(points, points)), labels)
    assert found == pytest.approx(by_the_definition(points, labels), abs=1e-5)


@given(POINTS)
@settings(max_examples=40, deadline=None)
def test_what_is_found_is_no_worse_than_the_best_two_groups_of_all(points: NDArray[np.float64]) -> None:
    labels, found = best_partition(points, NO_CENTRES)
    if len(np.unique(points, axis=0)) == 1:
        assert (labels.tolist(), found) == ([0] * len(points), 0.0)
        return
    twos = [np.array(one) for one in product(range(2), repeat=len(points)) if 0 < sum(one) < len(points)]
    least = min(squares_within(points, one) for one in twos)
    distances = np.sqrt(squares(points, points))
    best = [silhouette(distances, one) for one in twos if squares_within(points, one) <= least + 1e-9]
    assert found >= min(best) - 1e-9


def squares_within(points: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    centres = np.stack([points[labels == group].mean(axis=0) for group in np.unique(labels)])
    return Groups(centres, np.unique(labels, return_inverse=True)[1]).within(points)


@given(POINTS, st.integers(2, 3))
@settings(max_examples=examples(60), deadline=None)
def test_the_iteration_ends_with_each_point_at_the_nearest_centre_and_each_centre_in_the_middle(
    points: NDArray[np.float64], k: int
) -> None:
    found = k_means(points, points[:k], 50)
    if found is None:
        return
    assert (found.labels == nearest(points, found.centres)).all()
    for group in range(k):
        assert found.centres[group] == pytest.approx(points[found.labels == group].mean(axis=0))
    assert found.within(points) <= Groups(points[:k], nearest(points, points[:k])).within(points) + 1e-9


def test_a_group_that_loses_its_members_is_no_group() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert k_means(points, np.array([[1.0, 0.0], [50.0, 50.0]]), 5) is None


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 30).map(lambda n: n / 2)
    )
)
@settings(max_examples=examples(100), deadline=None)
def test_pairs_have_the_least_sum_of_all(costs: NDArray[np.float64]) -> None:
    few, many = sorted(costs.shape)
    short = costs if costs.shape[0] == few else costs.T
    least = min(sum(short[i, j] for i, j in enumerate(one)) for one in permutations(range(many), few))
    found = least_pairs(costs)
    assert len(found) == len({row for row, _ in found}) == len({column for _, column in found}) == few
    assert sum(costs[row, column] for row, column in found) == least
