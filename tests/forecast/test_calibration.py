"""Margins and lines of risks on noise of which the truth is known; blends; reliability."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from islet.forecast import fit
from islet.forecast.blend import blend, errors, figures
from islet.forecast.calibration import calibration_error, coverage, margins, reliability
from islet.forecast.fit import People
from islet.forecast.grid import Segment
from islet.forecast.model import Model
from islet.forecast.network import QUANTILES, Array
from islet.forecast.risk import INPUTS, chances, fit_lines
from islet.forecast.train import Recipe, Rows
from tests.forecast.conftest import recording


def test_margins_make_true_the_intervals_of_a_model_that_is_too_sure(model: Model) -> None:
    """Noise three times as wide as the network believes: 90 % of it has to be inside afterwards, on rows not used."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 12, (6000, model.lines.shape[0] - 1)).astype(np.float32)
    plain, _ = model.moves(x, plain=True)
    moves = plain[:, :, 2] + rng.normal(0, 30, (6000, 12)).astype(np.float32)
    before = coverage(plain[3000:], moves[3000:])
    sure = replace(model, margins=margins(plain[:3000], x[:3000], moves[:3000]))
    after = coverage(sure.moves(x[3000:])[0], moves[3000:])
    assert before[90] < 0.8
    assert abs(after[90] - 0.9) < 0.01
    assert abs(after[50] - 0.5) < 0.015


def test_nobody_is_calibrated_on_by_what_a_network_says_that_has_learnt_from_them(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[set[str]] = []
    given: list[int] = []
    members, calibrate = fit._members, fit.calibrated

    def members_of(some: Sequence[Segment], *more: Any) -> fit.Members:
        learnt.append({s.person for s in some})
        return members(some, *more)

    def calibrated(model: Model, unseen: Sequence[tuple[Model, Rows, Array]]) -> Model:
        given.extend(len(own) for _, own, _ in unseen)
        assert all(not np.array_equal(one.ridge, model.ridge) for one, _, _ in unseen)
        return calibrate(model, unseen)

    monkeypatch.setattr(fit, "_members", members_of)
    monkeypatch.setattr(fit, "calibrated", calibrated)
    fit.fit_model(people, Recipe(hidden=(4, 4), epochs=0.1, batch=64), 3, stride=40)
    everybody = {s.person for s in people.learn}
    assert learnt[-1] == everybody and not everybody & {s.person for s in people.judge}
    unseen = [everybody - some for some in learnt[:-1]]
    assert len(unseen) == fit.FOLDS and sorted(p for some in unseen for p in some) == sorted(everybody)
    assert given == [len(fit.live_windows([s for s in people.learn if s.person in some], 3)) for some in unseen]


def test_sources_of_one_person_each_are_divided_like_one_source() -> None:
    groups = fit.divide([recording(f"table {k}/1", 0.2, k) for k in range(10)], 1)
    assert (len(groups.learn), len(groups.judge)) == (8, 2)
    assert sorted(fit._folds(groups.learn, 1).values()) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_margins_leave_the_median_alone(model: Model) -> None:
    x = np.random.default_rng(6).normal(0, 12, (300, model.lines.shape[0] - 1)).astype(np.float32)
    found = margins(model.moves(x, plain=True)[0], x, np.full((300, 12), 50, np.float32))
    assert (found[:, QUANTILES.index(0.5)] == 0).all()


def _asked(logits: np.ndarray) -> np.ndarray:
    found = np.zeros((len(logits), 1, INPUTS), np.float32)
    found[:, 0, 0], found[:, 0, -1] = logits, 1
    return found


def test_lines_turn_logits_that_are_too_bold_into_true_probabilities() -> None:
    rng = np.random.default_rng(7)
    true = rng.normal(-2, 1, 40_000)
    did = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)[:, None]
    did[:100] = np.nan
    (line,) = fit_lines(_asked(3 * true + 1), did)
    assert abs(line[0] - 1 / 3) < 0.02
    assert abs(line[-1] + 1 / 3) < 0.05


def test_a_risk_that_never_came_stays_above_nought() -> None:
    found = _asked(np.full(500, -9.0))
    (chance,) = chances(fit_lines(found, np.zeros((500, 1), np.float32)), found[:1])
    assert 0 < chance[0] < 0.01


def test_calibration_error_is_the_mean_distance_and_sees_a_planted_one() -> None:
    said = np.repeat(np.array([0.05, 0.45], np.float32), 1000)
    came = np.concatenate([np.arange(1000) < 50, np.arange(1000) < 450]).astype(np.float32)
    assert calibration_error(reliability(said, came)) < 1e-6
    assert abs(calibration_error(reliability(said + np.float32(0.04), came)) - 0.04) < 1e-6


def test_a_blend_takes_what_is_right_and_none_of_what_only_adds_noise() -> None:
    rng = np.random.default_rng(8)
    target = rng.normal(120, 30, (500, 12)).astype(np.float32)
    right = target + rng.normal(0, 1, target.shape).astype(np.float32)
    wrong = target + rng.normal(0, 60, target.shape).astype(np.float32)
    shares = blend({"right": right, "wrong": wrong}, target, wrong)
    assert shares == {"right": 1.0, "wrong": 0.0}


def test_figures_are_the_mean_and_the_median_over_windows() -> None:
    target = np.zeros((3, 12), np.float32)
    told = np.repeat(np.array([[1], [2], [6]], np.float32), 12, axis=1)
    assert figures(errors(told, target)).tolist() == [41 / 3, 3, 4, 2]


def test_lines_of_inputs_that_all_say_the_same_are_found_all_the_same() -> None:
    """Newton's steps alone run away here: the inputs hardly differ, and the risk is rare."""
    rng = np.random.default_rng(9)
    true = rng.normal(-5, 3, 20_000)
    found = np.repeat(true[:, None, None], INPUTS, axis=2).astype(np.float32)
    found[:, :, -1] = 1
    did = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)[:, None]
    said = chances(fit_lines(found, did), found)
    assert calibration_error(reliability(said[:, 0], did[:, 0])) < 0.01
    assert ((said - did) ** 2).mean() < 0.8 * did.mean() * (1 - did.mean())
