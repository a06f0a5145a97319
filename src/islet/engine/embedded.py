"""The engine inside the platform: a loop over the log, whose outputs and offsets become durable together.

Crash anywhere: the log holds either both the alert changes and the offsets they came from, or neither. After a
restart the state is the last snapshot plus the readings up to the committed offsets, whose changes are known already
and are not said again; the instant of the tick they were based on is kept beside them, so what ticks said is known too.

Nothing is said about silence before every reading that the log held when the tick was due has been read: after an
outage the backlog comes first, and an engine that cannot keep up says nothing rather than paging the whole clinic.
Nor in the first moments after a start (`silence_grace_s`): devices have to find the way back.
"""

import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from islet.engine.episodes import KINDS
from islet.engine.rules import Plan, Reference
from islet.engine.snapshot import dump, load
from islet.engine.step import EngineState, Output, step, tick, warm_up
from islet.errors import LogDamaged, OffsetExpired
from islet.log.base import Append, CursorMove, Log
from islet.log.partitioning import joined
from islet.model.batch import int64_column
from islet.model.people import Patient
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.settings import Settings

_log = structlog.get_logger("islet.engine")

CONSUMER: Final = "engine"
SNAPSHOT: Final = "engine"
"""State blob: offsets, then the engine's state."""
LAST_TICK: Final = "engine_tick"
"""State blob: the instant that the last thing said was based on."""

_GATHER_S: Final = 0.004
"""A round costs about the same for one reading as for a hundred, so when they trickle in, some gather first."""
_TRICKLE_ROWS: Final = 1_000
"""A round of more is a backlog, which is read without a pause."""

_INSTANT: Final = struct.Struct("<q")
_TOPIC: Final = Topic.GLUCOSE_READINGS

ObserveLatency = Callable[[float], None]
"""Told, for each change that a reading caused, the seconds from the reading's receipt until the change was durable."""


class Commits(Protocol):
    """What the engine needs of `islet.log.group_commit.GroupCommit`."""

    def commit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Block until all of it is durable."""


@dataclass(kw_only=True, slots=True)
class Counters:
    """What the engine has done since it started (replay after a restart not counted)."""

    readings: int = 0
    evaluations: int = 0
    duplicates: int = 0
    conflicts: int = 0
    history: int = 0
    overflows: int = 0
    opened: int = 0
    cleared: int = 0
    retracted: int = 0
    snapshots: int = 0
    snapshot_bytes: int = 0

    def add(self, output: Output) -> None:
        for name in ("readings", "evaluations", "duplicates", "conflicts", "history", "overflows"):
            setattr(self, name, getattr(self, name) + getattr(output, name))
        for kind in KINDS:
            setattr(self, kind, getattr(self, kind) + output.said.count(kind))

    def counts(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def reference_for(patients: Iterable[Patient], plan: Plan) -> Reference:
    """Which rules look at which patient, by their tags."""
    return plan.reference({patient.id: patient.tags for patient in patients})


class EmbeddedEngine:
    """One engine over all partitions. One thread calls it; `counters` may be read from others.

    After an exception of `run_once` (the disk is full, say) the next call recovers from the log first.
    """

    def __init__(
        self,
        log: Log,
        commit: Commits,
        plan: Plan,
        reference: Callable[[], Reference],
        settings: Settings,
        now: Now,
        *,
        observe: ObserveLatency | None = None,
    ) -> None:
        """`reference` is asked at every round and should give the same object until something changes."""
        self._log, self._commit, self._plan, self._now, self._observe = log, commit, plan, now, observe
        self._current_reference = reference
        self._ring_readings = settings.ring_readings
        self._lateness_us = int(settings.lateness_min * MINUTE_US)
        self._grace_us = int(settings.silence_grace_s * SECOND_US)
        self._tick_us = int(settings.engine_tick_s * SECOND_US)
        self._snapshot_us = int(settings.engine_snapshot_s * SECOND_US)
        self._seen = 0
        self._recovered = False
        self._trickling = False
        self._pause = threading.Event()  # is never set
        self._tick_due: tuple[int, tuple[int, ...]] | None = None
        self._last_tick_us = self._last_snapshot_us = 0
        self.counters = Counters()

    def recover(self) -> None:
        """The state as it was when the last outputs became durable. `run_once` does it when it is needed."""
        warm_up(self._plan)
        self._state, self._offsets = self._from_snapshot()
        for partition, end in enumerate(self._log.cursor(CONSUMER, _TOPIC)):
            self._replay(partition, end)
        blob = self._log.state(LAST_TICK)
        if blob is not None:
            tick(self._state, _INSTANT.unpack(blob)[0], self._reference, self._plan)
        self._tick_due = None
        self._last_tick_us = self._now() + self._grace_us - self._tick_us  # devices have to find us again first
        self._last_snapshot_us = self._now()
        self._recovered = True

    def run_once(self, timeout_s: float) -> int:
        """Wait for readings, at most that long, take them in, and say what follows; how many there were."""
        if not self._recovered:
            self.recover()
        self._recovered = False
        self._adopt_reference()
        if self._trickling and timeout_s > 0:
            self._pause.wait(min(_GATHER_S, timeout_s))
        rows = self._take_in()
        if rows == 0:
            self._seen = self._log.wait(self._seen, timeout_s)
            rows = self._take_in()
        self._trickling = 0 < rows < _TRICKLE_ROWS
        self._tick()
        if self._now() - self._last_snapshot_us >= self._snapshot_us:
            self.snapshot()
        self._recovered = True
        return rows

    def snapshot(self) -> None:
        """Make the state durable, so that a restart has little to replay."""
        blob = struct.pack(f"<H{len(self._offsets)}q", len(self._offsets), *self._offsets) + dump(self._state)
        self._commit.commit(states={SNAPSHOT: blob})
        self._last_snapshot_us = self._now()
        self.counters.snapshots += 1
        self.counters.snapshot_bytes = len(blob)

    def close(self) -> None:
        """A last snapshot. The log and the writer stay open; they belong to others."""
        if self._recovered:
            self.snapshot()
            self._recovered = False

    def lag(self) -> int:
        """How many readings in the log the engine has not taken in."""
        cursors = self._log.cursor(CONSUMER, _TOPIC)
        return sum(end - cursor for end, cursor in zip(self._log.end(_TOPIC), cursors, strict=True))

    def _from_snapshot(self) -> tuple[EngineState, list[int]]:
        """State and offsets as saved, by the plan of now; without a snapshot that can be read, an empty state and the
        log's begin: then everything that the log still has is taken in again."""
        blob = self._log.state(SNAPSHOT)
        if blob is not None:
            try:
                return self._loaded(blob)
            except LogDamaged as error:
                _log.error("snapshot_unreadable", error=str(error))
        state = EngineState(**self._limits())
        self._reference = self._current_reference()
        state.adopt(self._plan, self._reference)
        return state, list(self._log.begin(_TOPIC))

    def _loaded(self, blob: bytes) -> tuple[EngineState, list[int]]:
        try:
            (count,) = struct.unpack_from("<H", blob)
            offsets = list(struct.unpack_from(f"<{count}q", blob, 2))
        except struct.error:
            raise LogDamaged("the engine's snapshot is too short") from None
        state = load(blob[2 + 8 * count :], **self._limits())
        same_rules = state.rule_names == tuple(rule.name for rule in self._plan.rules)
        self._reference = state.reference if same_rules else self._current_reference()
        state.adopt(self._plan, self._reference)
        return state, offsets

    def _limits(self) -> dict[str, int]:
        return {
            "ring_readings": self._ring_readings,
            "lateness_us": self._lateness_us,
            "grace_us": self._grace_us,
        }

    def _replay(self, partition: int, end: int) -> None:
        """Take in what lies between the snapshot and the committed cursor. What follows from it was said already."""
        while self._offsets[partition] < end:
            try:
                piece = self._log.read(_TOPIC, partition, self._offsets[partition])
            except OffsetExpired as error:
                self._offsets[partition] = error.begin
                continue
            if piece is None:
                return
            batch = piece.batch.slice(0, end - piece.offset)
            step(self._state, batch, self._reference, self._plan)
            self._offsets[partition] = piece.offset + batch.num_rows

    def _adopt_reference(self) -> None:
        """Work by a changed reference only after a snapshot, so that a replay meets each reading with its own."""
        reference = self._current_reference()
        if reference is self._reference or reference == self._reference:
            return
        self._reference = reference
        self._state.adopt(self._plan, reference)
        self.snapshot()

    def _take_in(self) -> int:
        """One slice of each partition, in one step; outputs and offsets in one commit."""
        pieces, moves = list[pa.RecordBatch](), list[CursorMove]()
        for partition in range(self._log.partitions):
            piece = self._read(partition)
            if piece is not None:
                pieces.append(piece)
                self._offsets[partition] += piece.num_rows
                moves.append(self._move(partition))
        if not pieces:
            return 0
        readings = joined(pieces)
        output = step(self._state, readings, self._reference, self._plan)
        self.counters.add(output)
        appends, states = self._spoken(output)
        self._commit.commit(appends=appends, cursors=moves, states=states)
        if output.said:
            self._observed(int64_column(readings, "received_at_us")[output.said.rows])
        return readings.num_rows

    def _spoken(self, output: Output) -> tuple[list[Append], dict[str, bytes]]:
        """What was said, as documents, and with it the instant of the last tick: what is said depends on the readings
        and on that instant alone."""
        if not output.said:
            return [], {}
        append = Append(topic=Topic.ALERTS, batch=output.said.documents())
        return [append], {LAST_TICK: _INSTANT.pack(self._state.now_us)}

    def _read(self, partition: int) -> pa.RecordBatch | None:
        try:
            piece = self._log.read(_TOPIC, partition, self._offsets[partition])
        except OffsetExpired as error:
            self._offsets[partition] = error.begin
            piece = self._log.read(_TOPIC, partition, error.begin)
        return None if piece is None else piece.batch

    def _move(self, partition: int) -> CursorMove:
        return CursorMove(consumer=CONSUMER, topic=_TOPIC, partition=partition, offset=self._offsets[partition])

    def _observed(self, received_us: NDArray[np.int64]) -> None:
        if self._observe is not None:
            now_us = self._now()
            for instant_us in received_us.tolist():
                self._observe((now_us - instant_us) / SECOND_US)

    def _tick(self) -> None:
        """A tick falls due with the clock and is done when everything that the log held then has been read."""
        now_us = self._now()
        if self._tick_due is None and now_us - self._last_tick_us >= self._tick_us:
            self._tick_due = (now_us, self._log.end(_TOPIC))
        if self._tick_due is None or any(o < e for o, e in zip(self._offsets, self._tick_due[1], strict=True)):
            return
        self._last_tick_us, self._tick_due = self._tick_due[0], None
        output = tick(self._state, self._last_tick_us, self._reference, self._plan)
        if output.said:
            self.counters.add(output)
            appends, states = self._spoken(output)
            self._commit.commit(appends=appends, states=states)
