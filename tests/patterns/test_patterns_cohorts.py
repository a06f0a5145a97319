"""People with days alike are in one cohort, which keeps its label; a day that fits nowhere is said to."""

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from islet.patterns.cohorts import LEAST_PEOPLE, Cohorts, find_cohorts

CLOCK = np.arange(24)
KINDS = {
    "steady": np.full(24, 115.0),
    "high_morning": 150 + 70 * np.exp(-((CLOCK - 8) ** 2) / 8),
    "low_night": 140 - 72 * np.exp(-((CLOCK - 3) ** 2) / 8),
    "high_all_day": np.full(24, 225.0),
}


def town(seed: int, each: int = 20, kinds: tuple[str, ...] = tuple(KINDS)) -> dict[str, NDArray[np.float64]]:
    """`each` people of each kind, kind-0 and so on; people are the same for every seed, their nights are not."""
    people = np.random.default_rng(0)
    nights = np.random.default_rng(seed)
    return {
        f"{kind}-{i}": KINDS[kind] + people.normal(0, 8) + people.normal(0, 4, 24) + nights.normal(0, 4, 24)
        for kind in KINDS
        for i in range(each)
        if kind in kinds
    }


def labels(found: Cohorts) -> dict[str, set[int]]:
    """The cohorts of the people of each kind."""
    kinds: dict[str, set[int]] = {}
    for person, member in found.members.items():
        kinds.setdefault(person.split("-")[0], set()).add(member.cohort)
    return kinds


def test_kinds_of_day_are_found_and_named() -> None:
    found = find_cohorts(town(1), Cohorts())
    assert {one.name for one in found.cohorts} == set(KINDS)
    assert all(len(ids) == 1 for ids in labels(found).values())
    assert [one.size for one in found.cohorts] == [20] * 4
    assert found.silhouette > 0.5
    for one in found.cohorts:
        assert found.members[one.medoid].cohort == one.id
        nearest = min(m.distance_mg_dl for m in found.members.values() if m.cohort == one.id)
        assert found.members[one.medoid].distance_mg_dl == nearest
        assert all(
            low <= mid + 6 and mid <= high + 6
            for low, mid, high in zip(one.lower, one.centroid, one.upper, strict=True)
        )


def test_the_same_people_give_the_same_bytes_in_any_order() -> None:
    shapes = town(1)
    turned = dict(reversed(shapes.items()))
    assert msgspec.json.encode(find_cohorts(shapes, Cohorts())) == msgspec.json.encode(find_cohorts(turned, Cohorts()))


def test_labels_stay_from_night_to_night() -> None:
    found = find_cohorts(town(1), Cohorts())
    first = labels(found)
    for night in range(2, 7):
        found = find_cohorts(town(night), found)
        assert labels(found) == first


def test_a_new_kind_of_day_gets_a_new_label_and_a_lost_one_is_not_given_away() -> None:
    three = ("steady", "high_morning", "high_all_day")
    before = find_cohorts(town(1, kinds=three), Cohorts())
    after = find_cohorts(town(2), before)
    assert {kind: ids for kind, ids in labels(after).items() if kind in three} == labels(before)
    (new,) = labels(after)["low_night"]
    assert new == before.next_id
    assert after.next_id == new + 1
    again = find_cohorts(town(3, kinds=("low_night", *three[1:])), after)
    assert labels(again)["low_night"] == {new}


def test_days_that_fit_nowhere_are_outliers_and_no_cohort_of_their_own() -> None:
    shapes = town(1)
    shapes["odd-1"] = 200 + 150 * np.sin(CLOCK * 1.3)
    shapes["odd-2"] = KINDS["steady"] + 60 * np.cos(CLOCK * 1.9)
    found = find_cohorts(shapes, Cohorts())
    assert {person for person, member in found.members.items() if member.outlier} == {"odd-1", "odd-2"}
    assert {one.name for one in found.cohorts} == set(KINDS)


def test_somebody_far_out_of_a_large_cohort_is_an_outlier_though_the_cohort_is_theirs() -> None:
    rng = np.random.default_rng(0)
    kinds = [*KINDS] * 75
    shapes = {f"p-{i}": KINDS[kind] + rng.normal(0, 12) + rng.normal(0, 15, 24) for i, kind in enumerate(kinds)}
    shapes["odd"] = KINDS["high_morning"] + 60 * np.sin(CLOCK * 1.2)
    found = find_cohorts(shapes, Cohorts())
    assert sum(one.size for one in found.cohorts) == 301  # nobody was left out before the distances were looked at
    assert found.members["odd"].outlier
    assert sum(member.outlier for member in found.members.values()) <= 4


def test_hardly_anybody_is_an_outlier_among_people_who_only_vary() -> None:
    rng = np.random.default_rng(3)
    shapes = {f"p-{i}": KINDS[kind] + rng.normal(0, 10, 24) for i, kind in enumerate([*KINDS] * 250)}
    found = find_cohorts(shapes, Cohorts())
    assert sum(member.outlier for member in found.members.values()) <= 3


def test_too_few_people_are_no_cohort_and_people_all_alike_are_one() -> None:
    nobody = find_cohorts(dict(list(town(1).items())[: LEAST_PEOPLE - 1]), Cohorts(next_id=7))
    assert (nobody.cohorts, nobody.members, nobody.next_id) == ((), {}, 7)
    alike = find_cohorts({f"p-{i}": KINDS["steady"] for i in range(30)}, Cohorts())
    assert [(one.name, one.size) for one in alike.cohorts] == [("steady", 30)]


@pytest.mark.parametrize("people", [20, 23, 40])
@pytest.mark.parametrize("seed", range(4))
def test_people_without_any_kind_are_all_somewhere(people: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = {f"p-{i}": rng.uniform(60, 300) + rng.normal(0, 60, 24) for i in range(people)}
    found = find_cohorts(shapes, Cohorts())
    assert found.members.keys() == shapes.keys()
    assert {member.cohort for member in found.members.values()} <= {one.id for one in found.cohorts}
    assert min(one.size for one in found.cohorts) >= 5


def test_what_is_kept_comes_back_as_it_was() -> None:
    found = find_cohorts(town(1), Cohorts())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Cohorts) == found
