"""Lines of people whom GlucoBench's train parts have seen: what they learn, whom they change, and when they count."""

import numpy as np

from benchmarks.forecast.members import PERSONAL, Fitted, blended
from benchmarks.forecast.seen import SHARE, People, fit_people, helpful_share, people_of, with_lines
from islet.forecast.baselines import apply_lines
from islet.forecast.features import NAMES, WIDTH, unit
from islet.forecast.network import Array
from islet.forecast.train import Rows, rows
from islet.forecast.windows import HORIZON, Part, windows
from tests.forecast.conftest import recording

_LAST = NAMES.index("difference_1")
_SLOPES = {"goes on": 2.0, "flattens": 0.5}


def _people(each: dict[str, int], *, wild_share: float = 0.0) -> tuple[Rows, People, Array]:
    """Rows of people who move by their own slope times the last difference, the slopes' moves (n, 12) in mg/dL without
    noise; of a share of the rows the moves are 90 mg/dL higher."""
    rng = np.random.default_rng(3)
    people: People = np.repeat(np.array(list(each), np.str_), list(each.values()))
    x = rng.normal(0, 5, (len(people), WIDTH)).astype(np.float32)
    slopes = np.array([_SLOPES[p] for p in people], np.float32)
    truth = np.repeat((slopes * x[:, _LAST])[:, None], HORIZON, axis=1)
    came = truth + rng.normal(0, 1, truth.shape) + 90 * (rng.random(len(x)) < wild_share)[:, None]
    none = np.full((len(x), 8), np.nan, np.float32)
    return Rows(x=x, moves=(came / unit(x)).astype(np.float32), happened=none), people, truth


def _slope(lines: Array) -> float:
    return float(lines[_LAST].mean())


def test_the_lines_of_each_are_their_own() -> None:
    data, people, _ = _people({"goes on": 2500, "flattens": 2500})
    lines = fit_people(data, people)
    assert abs(_slope(lines["goes on"]) - 2) < 0.1
    assert abs(_slope(lines["flattens"]) - 0.5) < 0.1


def test_of_whom_there_is_little_the_lines_are_those_of_the_set() -> None:
    data, people, _ = _people({"goes on": 5000, "flattens": 6})
    lines = fit_people(data, people)
    assert abs(_slope(lines["flattens"]) - _slope(lines["goes on"])) < 0.5


def test_lines_tell_what_comes_most_often_not_the_mean() -> None:
    data, people, truth = _people({"goes on": 4000}, wild_share=0.2)
    told = apply_lines(fit_people(data, people)["goes on"], data.x)
    assert np.abs(told - truth).mean() < 1.5  # the mean of what came is 18 mg/dL higher


def test_a_glucose_that_stands_still_has_lines_too() -> None:
    data, people, _ = _people({"goes on": 300})
    still = Rows(x=data.x, moves=np.zeros_like(data.moves), happened=data.happened)
    assert np.abs(fit_people(still, people)["goes on"]).max() < 1e-6


def test_who_was_not_seen_gets_the_blend_to_the_bit() -> None:
    data, people, _ = _people({"goes on": 600, "flattens": 600})
    ridge = np.random.default_rng(1).normal(0, 0.1, (WIDTH + 1, HORIZON)).astype(np.float32)
    fitted = Fitted(networks={}, lines={"ridge": ridge}, people=fit_people(data, people))
    now = np.full(len(people), 120, np.float32)
    strangers = np.where(people == "flattens", "a stranger", people).astype(np.str_)
    plain, told = (blended(fitted, {"ridge": 1.0, PERSONAL: s}, data.x, now, strangers) for s in (0.0, SHARE))
    assert np.array_equal(plain[people == "flattens"], told[people == "flattens"])
    line = now[:, None] + apply_lines(fitted.people["goes on"], data.x)
    half = ((plain + line) / 2)[people == "goes on"]
    assert np.allclose(told[people == "goes on"], half, atol=1e-3)


def test_no_share_changes_nothing() -> None:
    data, people, _ = _people({"goes on": 300})
    path = np.full((300, HORIZON), 120, np.float32)
    assert np.array_equal(with_lines(path, fit_people(data, people), 0.0, people, data.x, path[:, 0]), path)


def test_lines_count_only_where_no_figure_gets_worse() -> None:
    target = np.zeros((5, HORIZON), np.float32)

    def told(*misses: float) -> Array:
        return np.repeat(np.array(misses, np.float32)[:, None], HORIZON, axis=1)

    plain = told(1, 2, 3, 4, 5)
    assert helpful_share(plain, told(1, 2, 3, 4, 4), target) == SHARE
    assert helpful_share(plain, told(1, 1, 1, 4, 9), target) == 0  # the medians fall, the means rise
    assert helpful_share(plain, told(1, 2, 3.1, 4, 4), target) == 0  # the means fall, the medians rise
    assert helpful_share(plain, plain, target) == 0


def test_each_window_is_that_of_the_person_of_its_part() -> None:
    some = [recording(name, 1.0, k) for k, name in enumerate(("b", "a", "b"))]
    parts = [Part(segment=s, begin=0, end=len(s)) for s in some]
    found = windows(parts, start=150, stride=40)
    people = people_of(found, parts)
    assert people.tolist() == ["b"] * 4 + ["a"] * 4 + ["b"] * 4
    assert set(fit_people(rows(found), people)) == {"a", "b"}
    assert not len(people_of(windows([], start=1, stride=1), []))
