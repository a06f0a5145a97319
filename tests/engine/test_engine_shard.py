"""A shard that was saved and loaded goes on as if it had not been: no stream and no care event is forgotten."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numba import typeof as _typeof

from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.engine.shard import Shard, Taken
from islet.engine.snapshot import dump, load
from islet.engine.state import EngineState
from islet.log.partitioning import with_received
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import AnyEvent, Exercise, Insulin, Vital
from islet.model.time import MINUTE_US, from_us
from islet.model.topics import Topic

PLAN = plan(load_rules())
GLUCOSE = PLAN.streams["glucose_mg_dl"]
typeof: Any = _typeof  # Numba has no types
LIMITS = {"lateness_us": 15 * MINUTE_US}


def shard() -> Shard:
    one = Shard(PLAN, references(PLAN, NO_LAYERS, []), **LIMITS)
    one.tick(0)
    return one


def received(batch: pa.RecordBatch) -> pa.RecordBatch:
    return with_received(batch, np.zeros(batch.num_rows, np.int64))


def read(one: Shard, *points: tuple[int, int]) -> Taken:
    rows = [ReadingRow("anna", "cgm", minute * MINUTE_US, 10 * value, value, 0, 0, 0) for minute, value in points]
    return one.take_in({Topic.GLUCOSE_READINGS: received(readings_batch(rows))})


def did(one: Shard, event: AnyEvent, minute: int) -> None:
    row = DocumentRow("anna", "phone", minute * MINUTE_US, "any", encode_event(event).decode())
    one.take_in({Topic.CARE_EVENTS: received(documents_batch([row]))})


def opened(taken: Taken) -> set[str]:
    return {change.rule for output in taken.outputs for change in output.changes}


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(
    ("rule", "event", "falls"),
    [
        ("falling_with_insulin", Insulin(time=from_us(5 * MINUTE_US), dose_u=6, kind="bolus"), (120, 110, 100, 90)),
        ("low_after_exercise", Exercise(time=from_us(5 * MINUTE_US), duration_min=45), (90, 85, 82, 79)),
    ],
)
def test_what_a_person_did_before_a_save_counts_after_it(
    rule: str, event: AnyEvent, falls: tuple[int, ...], saved: bool
) -> None:
    one = shard()
    read(one, (0, 130), (5, 130))
    did(one, event, 5)
    if saved:
        other = shard()
        assert other.load(one.dump())
        one = other
    said = set[str]()
    for place, value in enumerate(falls):
        said |= opened(read(one, (60 + 5 * place, value)))
    assert rule in said


def of_each(who: str, minute: int) -> dict[Topic, pa.RecordBatch]:
    """A low, a pulse and a dose."""
    time = from_us(minute * MINUTE_US)
    told: tuple[tuple[Topic, AnyEvent], ...] = (
        (Topic.VITALS, Vital(time=time, pulse_bpm=200)),
        (Topic.CARE_EVENTS, Insulin(time=time, dose_u=6, kind="bolus")),
    )
    rows = {topic: DocumentRow(who, "x", minute * MINUTE_US, "x", encode_event(one).decode()) for topic, one in told}
    low = readings_batch([ReadingRow(who, "cgm", minute * MINUTE_US, 600, 60, 0, 0, 0)])
    return {Topic.GLUCOSE_READINGS: low, **{topic: documents_batch([row]) for topic, row in rows.items()}}


def test_what_was_more_than_a_year_old_when_it_came_changes_nothing_and_is_counted() -> None:
    one = shard()
    read(one, (0, 130), (5, 130))
    before = one.dump()
    old, new = of_each("carl", -366 * 24 * 60 - 1), of_each("anna", 10)
    taken = one.take_in({topic: received(batch) for topic, batch in old.items()})
    assert (taken.long_ago, taken.says_nothing, one.dump()) == (3, True, before)
    both = {topic: pa.Table.from_batches([old[topic], new[topic]]).combine_chunks().to_batches()[0] for topic in old}
    taken = one.take_in({topic: received(batch) for topic, batch in both.items()})
    assert (taken.long_ago, {change.patient for output in taken.outputs for change in output.changes}) == (3, {"anna"})
    assert {"low", "pulse_high"} <= opened(taken)


def test_a_shard_that_is_saved_twice_is_saved_alike() -> None:
    one = shard()
    read(one, (0, 130), (5, 130))
    did(one, Insulin(time=from_us(5 * MINUTE_US), dose_u=6, kind="bolus"), 5)
    again = shard()
    again.load(one.dump())
    assert again.dump() == one.dump()


def test_a_loaded_state_looks_to_the_kernels_like_the_one_that_was_saved() -> None:
    one = EngineState(**LIMITS)
    one.adopt(GLUCOSE, references(PLAN, NO_LAYERS, [])["glucose_mg_dl"])
    other = load(dump(one), **LIMITS)
    other.adopt(GLUCOSE, other.reference)
    for name in ("series", "pool", "heap", "bounds", "profiles"):
        assert typeof(getattr(other, name)) == typeof(getattr(one, name)), f"{name}: a compiler would run first"
