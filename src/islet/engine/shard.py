"""All streams of some patients: entries of the log in, changes of alerts out.

A stream (glucose, pulse, battery …) is a state, a plan and a reference of its own; this keeps them side by side, so that
a driver (embedded, Spark) has one thing to feed, to save and to load. Pure, like `step`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.memory import Room
from islet.engine.quantities import GLUCOSE, QUANTITIES, context, values
from islet.engine.reference import PatientReference, Reference
from islet.engine.rules import Plan
from islet.engine.snapshot import StateCopy, copied, load
from islet.engine.state import EngineState
from islet.engine.step import Output, step, tick, warm_up
from islet.engine.tables import FORECASTS
from islet.errors import LogDamaged
from islet.model.batch import int64_column
from islet.model.time import DAY_US
from islet.model.topics import Topic

TOPICS: Final = (Topic.GLUCOSE_READINGS, Topic.VITALS, Topic.DEVICE_READINGS, Topic.CARE_EVENTS)
"""What a shard takes in."""

_LONG_AGO_US: Final = 366 * DAY_US
"""What was older when it came is out of somebody's files: a meter keeps values for months."""

_NOBODY: Final = Reference(otherwise=PatientReference(mask=0))


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of entries, or a look at the time, gave: an output for each stream that had anything to do."""

    outputs: Sequence[Output]
    received_us: Sequence[NDArray[np.int64]] = ()
    """Per output, when the entries behind its changes were received; nothing for those that the time caused."""
    long_ago: int = 0
    """Entries that were more than a year old when they came: history, and nobody's alarm."""

    @property
    def says_nothing(self) -> bool:
        return not any(len(output.said) for output in self.outputs)

    def documents(self) -> pa.RecordBatch:
        """The changes (n,) as rows for the alerts topic; only where there are any."""
        batches = [output.said.documents() for output in self.outputs if len(output.said)]
        return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


class Shard:
    """The streams of some patients. `plan` and `references` (by stream) are replaced as a whole by `adopt`."""

    def __init__(self, plan: Plan, references: Mapping[str, Reference], *, lateness_us: int, grace_us: int = 0) -> None:
        self._limits = {"lateness_us": lateness_us, "grace_us": grace_us}
        self._states: dict[str, EngineState] = {}
        self._stepped: list[EngineState] = []
        self.adopt(plan, references)

    def adopt(self, plan: Plan, references: Mapping[str, Reference]) -> None:
        """Work by these from now on. Alerts of rules that are no more end with the next tick."""
        self.plan, self.references = plan, references
        self._others = {QUANTITIES[one.quantity] for one in plan.streams.values()} - {Topic.GLUCOSE_READINGS}
        for quantity, one in plan.streams.items():
            state = self._states.setdefault(quantity, EngineState(**self._limits))
            state.adopt(one, references.get(quantity, _NOBODY))

    def take_in(self, entries: Mapping[Topic, pa.RecordBatch]) -> Taken:
        """Entries by topic, in log order, as the log gives them (received_at_us included)."""
        entries, long_ago = _of_late(entries)
        outputs: list[Output] = []
        received: list[NDArray[np.int64]] = []
        self._stepped.clear()
        acts = entries.get(Topic.CARE_EVENTS)
        given = context(acts) if acts is not None else None
        found = self._values(entries)
        for name, stream in self.plan.streams.items():
            batch = found.get(stream.quantity)
            said = given if name in (GLUCOSE, FORECASTS) else None
            if batch is None and said is None:
                continue
            self._stepped.append(self._states[name])
            output = step(self._states[name], batch, self.references.get(name, _NOBODY), stream, said)
            outputs.append(output)
            if len(output.said):
                rows = output.said.rows
                received.append(output.received_us[rows[rows >= 0]])
        return Taken(outputs=outputs, received_us=received, long_ago=long_ago)

    def _values(self, entries: Mapping[Topic, pa.RecordBatch]) -> dict[str, pa.RecordBatch | None]:
        """The values of each stream that has any; glucose also where only people did something."""
        found: dict[str, pa.RecordBatch | None] = {}
        if Topic.GLUCOSE_READINGS in entries or Topic.CARE_EVENTS in entries:
            found[GLUCOSE] = entries.get(Topic.GLUCOSE_READINGS)
        for topic in self._others.intersection(entries):
            found |= values(entries[topic])
        return found

    def tick(self, now_us: int) -> Taken:
        """Look at the time: silences open, and alerts of rules that are no more end."""
        outputs = [
            tick(self._states[quantity], now_us, self.references.get(quantity, _NOBODY), stream)
            for quantity, stream in self.plan.streams.items()
        ]
        return Taken(outputs=outputs)

    @property
    def erased(self) -> frozenset[str]:
        """The patients who are to be forgotten."""
        return self.references.get(GLUCOSE, _NOBODY).erased

    @property
    def now_us(self) -> int:
        """The instant of the last tick."""
        return max([state.now_us for state in self._states.values()])

    @property
    def patients(self) -> int:
        """How many patients have had a reading of glucose."""
        return len(self._states[GLUCOSE].patients)

    @property
    def nbytes(self) -> int:
        """Memory that the streams use."""
        return sum(state.nbytes for state in self._states.values())

    def growth(self) -> Iterator[NDArray[np.uint32]]:
        """Memory that the streams of the last step will need soon, to be made ready; once for each part."""
        for state in self._stepped:
            part = state.growth()
            if part is not None:
                yield part

    def forget_erased(self) -> None:
        """Keep nothing of them that entries from before the erasure have brought."""
        for state in self._states.values():
            state.forget_erased()

    def copied(self, room: Room) -> "ShardCopy":
        """The streams between two steps, to be saved while the shard goes on."""
        return ShardCopy(_digest(self.plan), {name: copied(state, room) for name, state in self._states.items()})

    def dump(self) -> list[bytes]:
        """The streams between two steps, tidied: the same for the same entries."""
        for state in self._states.values():
            state.tidy()
        return list(self.copied(Room()).pieces())

    def load(self, pieces: Iterable[bytes]) -> bool:
        """Go on from what was saved; streams that it does not have begin with nothing. Whether the rules are still
        the same: then the references are those of then, until `adopt`.

        Raises LogDamaged for bytes that are not of this version.
        """
        pieces = iter(pieces)
        try:
            head = msgspec.msgpack.decode(next(pieces), type=_Head)
        except (msgspec.MsgspecError, StopIteration) as error:
            raise LogDamaged(f"the engine's snapshot does not decode: {type(error).__name__}") from None
        self._states |= {name: load(pieces, **self._limits) for name in head.streams}
        same = head.rules == _digest(self.plan)
        if same:
            self.references = {quantity: state.reference for quantity, state in self._states.items()}
        self.adopt(self.plan, self.references)
        return same

    def warm_up(self) -> None:
        """Have the kernels compiled, or read from their cache, before the first entry needs them."""
        for stream in (GLUCOSE, FORECASTS):
            if stream in self.plan.streams:
                warm_up(self.plan.streams[stream])


def _of_late(entries: Mapping[Topic, pa.RecordBatch]) -> tuple[dict[Topic, pa.RecordBatch], int]:
    """Those that were not too old when they came, and how many others there are."""
    found, long_ago = {}, 0
    for topic, batch in entries.items():
        recent = int64_column(batch, "received_at_us") - int64_column(batch, "time_us") <= _LONG_AGO_US
        count = int(np.count_nonzero(recent))
        long_ago += batch.num_rows - count
        if count:
            found[topic] = batch if count == batch.num_rows else batch.filter(pa.array(recent))
    return found, long_ago


class ShardCopy(NamedTuple):
    """A shard as it was between two steps."""

    rules: str
    streams: Mapping[str, StateCopy]

    @property
    def nbytes(self) -> int:
        """Of memory that was copied."""
        return sum(state.nbytes for state in self.streams.values())

    def pieces(self) -> Iterator[bytes]:
        """The copy as bytes."""
        yield msgspec.msgpack.encode(_Head(rules=self.rules, streams=list(self.streams)))
        for state in self.streams.values():
            yield from state.pieces()


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    rules: str
    streams: list[str]


def _digest(plan: Plan) -> str:
    """The same for the same rules."""
    texts = "\0".join(rule.sql for one in plan.streams.values() for rule in one.rules)
    if plan.foreteller is not None:
        texts += "\0" + plan.foreteller.name
    return blake2b(texts.encode(), digest_size=16).hexdigest()
