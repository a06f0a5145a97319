"""An erased patient is forgotten by the engine: their words leave its memory, and others notice nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.engine.parameters import NO_LAYERS
from islet.engine.pool import BEGIN, END, UNIT
from islet.engine.reference import Reference
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.engine.shard import Shard
from islet.engine.state import EngineState
from islet.log.partitioning import with_received
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import Insulin
from islet.model.time import HOUR_US, MINUTE_US, from_us
from islet.model.topics import Topic

PLAN = plan(load_rules())
Point = tuple[str, int, int]
"""Who, at which minute, mg/dL."""


def shard(erased: tuple[str, ...] = ()) -> Shard:
    one = Shard(PLAN, reference(erased), lateness_us=15 * MINUTE_US)
    one.tick(0)
    return one


def reference(erased: tuple[str, ...] = ()) -> dict[str, Reference]:
    return references(PLAN, NO_LAYERS, [], erased=erased)


def read(one: Shard, points: list[Point]) -> list[str]:
    """Take readings in; what is said, as text."""
    rows = [
        ReadingRow(who, f"cgm-{who}", minute * MINUTE_US, 10 * value, value, 0, 0, 0) for who, minute, value in points
    ]
    batch = readings_batch(rows)
    taken = one.take_in({Topic.GLUCOSE_READINGS: with_received(batch, np.zeros(batch.num_rows, np.int64))})
    return said(taken)


def said(taken: object) -> list[str]:
    return [str(change) for output in taken.outputs for change in output.changes]  # type: ignore[attr-defined]


def dose(one: Shard, who: str, minute: int) -> None:
    event = Insulin(time=from_us(minute * MINUTE_US), dose_u=6, kind="bolus")
    batch = documents_batch([DocumentRow(who, "phone", minute * MINUTE_US, "insulin", encode_event(event).decode())])
    one.take_in({Topic.CARE_EVENTS: with_received(batch, np.zeros(1, np.int64))})


def memory(one: Shard) -> dict[str, bytes]:
    """Per stream, what lies in the pool."""
    found = {}
    for name, state in one._states.items():
        state.tidy()
        heap = state.heap
        found[name] = state.pool[UNIT * int(heap[BEGIN]) : UNIT * int(heap[END])].tobytes()
    return found


days = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.integers(0, 90), st.sampled_from([45, 60, 110, 260])),
    min_size=1,
    max_size=60,
)


@given(days, days)
@pytest.mark.hypothesis
def test_others_are_told_what_they_would_have_been_told(before: list[Point], after: list[Point]) -> None:
    one, other = shard(), shard()
    read(one, before)
    read(other, [point for point in before if point[0] != "eve"])
    one.adopt(PLAN, reference(("eve",)))
    assert memory(one) == memory(other)
    later = [(who, minute + 30, value) for who, minute, value in after if who != "eve"]
    assert read(one, later) == read(other, later)
    assert said(one.tick(4 * HOUR_US)) == said(other.tick(4 * HOUR_US))


def test_whatever_is_known_of_them_is_forgotten_and_nothing_said_any_more() -> None:
    one = shard()
    assert read(one, [("eve", minute, 45) for minute in range(0, 30, 5)])
    dose(one, "eve", 20)
    one.adopt(PLAN, reference(("eve",)))
    assert {len(words) for words in memory(one).values()} == {len(words) for words in memory(shard()).values()}
    assert read(one, [("eve", 40, 45)]) == said(one.tick(9 * HOUR_US)) == []
    assert _is_blank(one._states["glucose_mg_dl"]) is False  # what still comes is forgotten before it is saved
    saved = one.dump()
    assert _is_blank(one._states["glucose_mg_dl"])
    again = shard(("eve",))
    again.load(saved)
    assert memory(again) == memory(one)


def test_a_saved_engine_has_forgotten_too() -> None:
    one = shard()
    read(one, [("eve", minute, 45) for minute in range(0, 30, 5)])
    old = one.dump()
    one.adopt(PLAN, reference(("eve",)))
    for saved in (old, one.dump()):  # from before a crash, and after
        again = shard(("eve",))
        again.load(saved)
        again.adopt(PLAN, reference(("eve",)))
        assert memory(again) == memory(one)
        assert said(again.tick(9 * HOUR_US)) == []


def _is_blank(state: EngineState) -> bool:
    series = state.series[: len(state.patients)]
    return not (series["run"].any() or series["episodes"].any() or series["context"].any())
