"""Tidying the pool a few series at a time changes nothing that is said, wherever the new blocks come from."""

from random import Random

import numpy as np
import pytest

from islet.engine import state as module
from islet.engine.memory import aligned, forget
from islet.engine.pool import BEGIN, END, FROM, UPTO
from islet.engine.snapshot import dump
from islet.engine.state import EngineState
from tests.engine.streams import EVERYTHING, Engine, Point

PEOPLE = 3_000


def _days(seed: int, rounds: int) -> list[list[Point]]:
    """Steps of readings of many people, some late, some by another device, at changing rates."""
    rng = Random(seed)
    steps = []
    for number in range(rounds):
        points = []
        for person in range(PEOPLE):
            if rng.random() < 0.1:
                continue
            minute = 5 * number + rng.random() - rng.choice((0, 0, 0, 6, 12))
            points.append(Point(minute, rng.randint(40, 300), f"cgm{rng.randint(0, 3)}", f"p{person}"))
        steps += [points[k : k + 700] for k in range(0, len(points), 700)]
    return steps


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A round of tidying begins as soon as anything is given back; where the rounds' new blocks came to lie."""
    ways: list[str] = []
    monkeypatch.setattr(module, "_WORTH_IT", 10**9)
    go_on = EngineState.go_on_tidying

    def noted(state: EngineState, count: int) -> None:
        begin, upto = int(state.heap[FROM]), int(state.heap[UPTO])
        go_on(state, 400)
        if not state._tidied:
            before, behind = state.heap[BEGIN] < begin, state.heap[END] > upto
            ways.append("both sides" if before and behind else "before" if before else "behind")

    monkeypatch.setattr(EngineState, "go_on_tidying", noted)
    return ways


@pytest.mark.parametrize("seed", [1, 2])
def test_a_pool_that_is_always_being_tidied_says_what_one_says_that_never_is(always: list[str], seed: int) -> None:
    steps = _days(seed, 12)
    tidied, plain = Engine(reference=EVERYTHING), Engine(reference=EVERYTHING)
    for points in steps:
        tidied.read(*points)
    assert {"behind", "before"} <= set(always)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WORTH_IT", 0)
        for points in steps:
            plain.read(*points)
    assert tidied.said == plain.said
    assert dump(tidied.state) == dump(plain.state)


def test_new_blocks_that_do_not_fit_before_what_is_moved_go_on_behind_it(always: list[str]) -> None:
    """In the midst of a round everybody's runs become much longer than there is room for at the pool's begin."""
    steps = []
    tidied, plain = Engine(reference=EVERYTHING), Engine(reference=EVERYTHING)
    for points in _days(3, 20):
        tidied.read(*points)
        steps.append(points)
        if tidied.state._tidied and tidied.state.heap[BEGIN] < tidied.state.heap[FROM]:
            break
    much = [Point(100 + k / 60, 100 + k % 50, "cgm0", f"p{person}") for person in range(PEOPLE) for k in range(30)]
    for points in (much, *([Point(101 + k, 100, "cgm0", "p1")] for k in range(8))):
        tidied.read(*points)
        steps.append(points)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WORTH_IT", 0)
        for points in steps:
            plain.read(*points)
    assert "both sides" in always
    assert tidied.said == plain.said
    assert dump(tidied.state) == dump(plain.state)


def test_the_pool_stays_within_a_multiple_of_what_is_needed() -> None:
    engine = Engine(reference=EVERYTHING)
    for points in _days(4, 20):
        engine.read(*points)
        used = engine.state.nbytes
    engine.state.tidy()
    assert used < 2.5 * engine.state.nbytes


def test_memory_that_is_given_back_reads_as_zeros_or_as_it_was_and_what_lies_beside_it_stays() -> None:
    words = aligned(100_000, np.dtype(np.uint32))
    words[:] = 7
    forget(words, 10, 90_000)
    assert set(words.tolist()) <= {0, 7}
    assert (words[:10] == 7).all()
    assert (words[90_000:] == 7).all()
