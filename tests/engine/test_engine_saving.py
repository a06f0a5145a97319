"""A state that is saved while the engine goes on is the one of when the saving began; half of one is none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event

import pytest

from islet.engine import saving as module
from islet.engine import state as states
from islet.engine.memory import Room
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.engine.saving import SNAPSHOT, Saving
from islet.engine.shard import Shard
from islet.engine.snapshot import copied, load
from islet.log.base import Append, Commit, CursorMove
from islet.log.memory import MemoryLog
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from tests.engine.streams import EVERYTHING, LATENESS_MIN, Engine, Point, batch
from tests.engine.test_engine_shard import received

PLAN = plan(load_rules())
LIMITS = {"lateness_us": LATENESS_MIN * MINUTE_US}
OFFSETS = {Topic.GLUCOSE_READINGS: [3]}


class Gate:
    """A writer that can be held up, or die, at a commit of a state."""

    def __init__(self, log: MemoryLog) -> None:
        self.log, self.open, self.left, self.sizes = log, Event(), 10**9, list[int]()
        self.open.set()

    def commit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        self.open.wait()
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is full")
        self.sizes.append(sum(len(blob or b"") for blob in (states or {}).values()))
        self.log.commit([Commit(received_at_us=0, appends=appends, cursors=cursors, states=states or {})])


def shard() -> Shard:
    return Shard(PLAN, references(PLAN, NO_LAYERS, []), **LIMITS)


def read(one: Shard, people: int, *minutes: int) -> None:
    for minute in minutes:
        points = [Point(minute, 60 + (7 * n + minute) % 200, patient=f"p{n}") for n in range(people)]
        one.take_in({Topic.GLUCOSE_READINGS: received(batch(points))})


def loaded(log: MemoryLog) -> Shard:
    found = Saving(log, Gate(log)).load()
    assert found is not None
    assert found[0] == OFFSETS
    one = shard()
    assert one.load(found[1])
    return one


@contextmanager
def saving(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Saving, Gate]]:
    """In the background, in small parts."""
    monkeypatch.setattr(module, "_SMALL_BYTES", 0)
    monkeypatch.setattr(module, "_PART_BYTES", 1_000)
    log = MemoryLog(partitions=1)
    gate = Gate(log)
    one = Saving(log, gate)
    try:
        yield one, gate
    finally:
        gate.open.set()
        one.close()


def test_what_is_saved_in_the_background_is_the_state_of_when_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    with saving(monkeypatch) as (one, gate):
        runs, stays = shard(), shard()
        for each in (runs, stays):
            read(each, 900, 0, 5, 10)
        while not one.is_ready(runs):  # memory for the copy is found
            pass
        gate.open.clear()
        one.begin(OFFSETS, runs)
        assert one.running
        assert not one.is_ready(runs)
        read(runs, 2_000, 15, 20, 25)  # more people: every table grows
        gate.open.set()
        assert one.finish() > 5_000
        assert len(gate.sizes) > 3
        assert loaded(gate.log).dump() == stays.dump()


def test_a_state_that_was_saved_in_part_is_not_there_and_the_one_before_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with saving(monkeypatch) as (one, gate):
        runs, before = shard(), shard()
        for each in (runs, before):
            read(each, 900, 0, 5)
        one.begin(OFFSETS, runs)
        one.finish()
        commits = len(gate.sizes)
        for left in range(commits):
            read(runs, 900, 10 + 5 * left)
            gate.left = left
            one.begin(OFFSETS, runs)
            with pytest.raises(OSError, match="disk"):
                one.finish()
            assert loaded(gate.log).dump() == before.dump()
        gate.left = 10**9
        one.begin(OFFSETS, runs)
        one.finish()
        assert loaded(gate.log).dump() == runs.dump()


def test_parts_of_a_larger_state_do_not_stay_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = shard(), shard()
    read(large, 2_000, 0, 5)
    names = []
    for those in ((large, small, small, small), (small, small)):
        with saving(monkeypatch) as (one, gate):
            for each in those:
                one.begin(OFFSETS, each)
                one.finish()
            assert loaded(gate.log).dump() == small.dump()
            names.append({name for name in gate.log._states if name.startswith(SNAPSHOT)})
    assert names[0] == names[1]


def test_a_state_in_the_midst_of_being_tidied_goes_on_after_a_save(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_WORTH_IT", 10**9)
    monkeypatch.setattr(states, "_AT_ONCE", 50)
    engine, again = Engine(reference=EVERYTHING), Engine(reference=EVERYTHING)
    in_the_midst = 0
    for minute in range(0, 100, 5):
        points = [Point(minute + n / 900, 40 + (n * minute) % 200, patient=f"p{n}") for n in range(900)]
        for some in (points[:500], points[500:]):
            engine.read(*some)
            again.read(*some)
            in_the_midst += bool(again.state._tidied)
            again.state = load(copied(again.state, Room()).pieces(), lateness_us=again.state.lateness_us)
    assert in_the_midst > 5
    assert again.said == engine.said


def test_a_small_state_that_could_not_be_saved_is_not_waited_for() -> None:
    """Else the engine would stand still for ever after a disk that was full, or a broker that was away, for a moment."""
    log, one = MemoryLog(partitions=1), shard()
    read(one, 3, 0, 5)
    gate = Gate(log)
    saving = Saving(log, gate)
    gate.left = 0
    with pytest.raises(OSError, match="full"):
        saving.begin(OFFSETS, one)
    assert not saving.running
    gate.left = 9
    saving.begin(OFFSETS, one)
    assert saving.finish() > 0
    assert loaded(log).patients == 3
    saving.close()
