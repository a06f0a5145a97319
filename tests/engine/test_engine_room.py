"""Where a step has no room left, for changes or in the pool, it makes more and says the same."""

from random import Random

import pytest

from islet.engine.state import EngineState
from tests.engine.slow import expected_episodes
from tests.engine.streams import EVERYTHING, Engine, Point


def _seconds(count: int, patient: str = "p1") -> list[Point]:
    """A reading a second that is low every other time."""
    return [Point(k / 60, 40.0 if k % 2 else 100.0, patient=patient) for k in range(count)]


def test_one_series_says_more_at_once_than_there_is_room_for_at_first() -> None:
    points = _seconds(200)
    engine = Engine(reference=EVERYTHING)
    engine.read(*points)
    assert len(engine.said) > 256
    assert engine.episodes() == expected_episodes(points)


def test_many_series_say_more_at_once_than_there_is_room_for_at_first() -> None:
    engine = Engine(reference=EVERYTHING)
    before = [Point(0, 100, patient=f"p{n}") for n in range(700)]
    now = [Point(5, 40 if n % 7 else 90, patient=f"p{n}") for n in range(700)]
    engine.read(*before)
    engine.read(*now)
    assert engine.episodes() == expected_episodes([*before, *now])


def test_a_pool_that_grows_within_a_step_says_what_a_large_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(7)
    minutes = [(5 * k, n) for k in range(4) for n in range(400)]
    points = [Point(minute, rng.randint(40, 300), f"cgm{rng.randint(0, 2)}", f"p{n}") for minute, n in minutes]
    late = sorted(points, key=lambda point: point.minute + rng.choice((0.0, 0.0, 6.0, 11.0)))
    large = Engine(reference=EVERYTHING)
    large.read(*late)
    monkeypatch.setattr(EngineState, "make_room", lambda state, rows: None)
    monkeypatch.setattr(EngineState, "_make_room", lambda state, words: None)
    small = Engine(reference=EVERYTHING)
    assert len(small.state.pool) < 100
    small.read(*late)
    small.tick(60.0)
    large.tick(60.0)
    assert small.said == large.said
    assert small.episodes() == large.episodes() == expected_episodes(points, 60.0)
