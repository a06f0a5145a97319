"""A sender gone wild fills what is kept of its patient to the brim, and nothing beyond it."""

import pyarrow as pa
import pytest

from islet.engine.context import MOST_EVENTS
from islet.engine.pool import UNIT
from islet.engine.series import MOST_READINGS
from islet.engine.snapshot import dump, load
from islet.engine.step import step
from islet.engine.told import MOST_EPISODES
from islet.errors import LogDamaged
from islet.model.time import HOUR_US, SECOND_US
from tests.engine.streams import EVERYTHING, SHIPPED, Engine, Point, batch

SOME_BEYOND = 60


def _kept(engine: Engine) -> int:
    return int(engine.state.memory.series["count"][0])


def test_a_run_holds_no_more_readings_than_it_can_be_unpacked_to() -> None:
    """A block for 4,096 of one word each has room for 6,140."""
    engine = Engine(reference=EVERYTHING, lateness_us=6 * HOUR_US)
    engine.read(*(Point(k / 60, 100) for k in range(MOST_READINGS + SOME_BEYOND)))
    assert _kept(engine) == MOST_READINGS
    engine.read(Point(MOST_READINGS / 60 - 0.5, 40, "other"))
    assert _kept(engine) <= MOST_READINGS


def test_a_snapshot_with_a_longer_run_is_refused() -> None:
    """Versions before this one let runs grow further."""
    engine = Engine(reference=EVERYTHING)
    engine.read(Point(1, 100))
    engine.state.memory.series["count"][0] = MOST_READINGS + 1
    with pytest.raises(LogDamaged, match="replay the log"):
        load(dump(engine.state), lateness_us=0)


def test_a_run_in_pairs_of_words_holds_no_more_either() -> None:
    engine = Engine(reference=EVERYTHING, lateness_us=6 * HOUR_US)
    engine.read(*(Point(k / 600, 100) for k in range(MOST_READINGS + SOME_BEYOND)))
    assert _kept(engine) == MOST_READINGS


def test_no_more_episodes_are_kept_than_there_is_a_block_for() -> None:
    """One reading at a time: then an episode is added to those that are there, which were all counted before."""
    engine = Engine(reference=EVERYTHING, lateness_us=6 * HOUR_US)
    flips = [Point(k / 600, 40.0 if k % 2 else 100.0) for k in range(MOST_EPISODES + 2 * SOME_BEYOND)]
    engine.read(*flips[:-SOME_BEYOND])
    for one in flips[-SOME_BEYOND:]:
        engine.read(one)
        memory = engine.state.memory
        assert memory.pool[int(memory.series["episodes"][0]) * UNIT] <= MOST_EPISODES


def test_no_more_of_what_a_person_did_is_kept_than_there_is_a_block_for() -> None:
    engine = Engine(reference=EVERYTHING, lateness_us=6 * HOUR_US)
    count = MOST_EVENTS + SOME_BEYOND
    meals = pa.record_batch(
        {
            "patient": ["p1"] * count,
            "time_us": pa.array([k * SECOND_US for k in range(count)], pa.int64()),
            "column": pa.array([0] * count, pa.int64()),
            "amount": pa.array(range(1, count + 1), pa.int64()),
            "key": pa.array(range(count), pa.int64()),
            "rank": pa.array([0] * count, pa.int64()),
        }
    )
    output = step(engine.state, batch([Point(30, 100)]), EVERYTHING, SHIPPED, meals)
    memory = engine.state.memory
    assert memory.pool[int(memory.series["context"][0]) * UNIT] == MOST_EVENTS
    assert output.overflows >= SOME_BEYOND
