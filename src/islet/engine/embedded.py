"""The engine inside the platform: a loop over the log, whose outputs and offsets become durable together.

Crash anywhere: the log holds either both the alert changes and the offsets they came from, or neither. After a
restart the state is the last snapshot plus the readings up to the committed offsets, whose changes are known already
and are not said again; the instant of the tick they were based on is kept beside them, so what ticks said is known too.

The offsets of entries of which nothing was to be said may wait: taken in again, they say nothing again.

Nothing is said about silence before every reading that the log held when the tick was due has been read: after an
outage the backlog comes first, and an engine that cannot keep up says nothing rather than paging the whole clinic.
Nor in the first moments after a start (`silence_grace_s`): devices have to find the way back.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Final, Protocol

import msgspec
import pyarrow as pa
import structlog

from islet.engine.memory import prefault
from islet.engine.reference import Reference
from islet.engine.rules import Plan
from islet.engine.said import KINDS
from islet.engine.saving import Commits, Saving
from islet.engine.shard import TOPICS, Shard, Taken
from islet.errors import LogDamaged, OffsetExpired
from islet.log.base import Append, CursorMove, Log
from islet.log.partitioning import joined
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.settings import Settings

_log = structlog.get_logger("islet.engine")

CONSUMER: Final = "engine"
LAST_TICK: Final = "engine_tick"
"""State blob: the instant that the last thing said was based on."""

_INSTANT: Final = struct.Struct("<q")
_CURSORS_WAIT_US: Final = SECOND_US

ObserveLatency = Callable[[float], None]
"""Told, for each change that an entry caused, the seconds from the entry's receipt until the change was durable."""


class InForce(Protocol):
    """The rules that are in force: `islet.engine.rulebook.Rules`."""

    @property
    def plan(self) -> Plan: ...

    @property
    def references(self) -> Mapping[str, Reference]: ...


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

    def add(self, taken: Taken) -> None:
        for output in taken.outputs:
            for name in ("readings", "evaluations", "duplicates", "conflicts", "history", "overflows"):
                setattr(self, name, getattr(self, name) + getattr(output, name))
            for kind in KINDS:
                setattr(self, kind, getattr(self, kind) + output.said.count(kind))

    def counts(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


class EmbeddedEngine:
    """One engine over all partitions. One thread calls it; `counters` may be read from others.

    After an exception of `run_once` (the disk is full, say) the next call recovers from the log first.
    """

    def __init__(
        self,
        log: Log,
        commit: Commits,
        rules: Callable[[], InForce],
        settings: Settings,
        now: Now,
        *,
        observe: ObserveLatency | None = None,
    ) -> None:
        """`rules` is asked at every round and should give the same object until something changes."""
        self._log, self._commit, self._rules, self._now, self._observe = log, commit, rules, now, observe
        self._limits = {
            "lateness_us": int(settings.lateness_min * MINUTE_US),
            "grace_us": int(settings.silence_grace_s * SECOND_US),
        }
        self._tick_us = int(settings.engine_tick_s * SECOND_US)
        self._snapshot_us = int(settings.engine_snapshot_s * SECOND_US)
        self._saving = Saving(log, commit)
        self._prefaulting = ThreadPoolExecutor(1, thread_name_prefix="engine-memory")
        self._seen = 0
        self._recovered = False
        self._more = True  # entries were there at the last reading that are not read yet
        self._offsets: dict[Topic, list[int]] = {}
        self._durable: dict[Topic, list[int]] = {}  # the cursors
        self._durable_us = self._durable_tick_us = 0  # when they were moved; the tick beside them
        self._tick_due: tuple[int, dict[Topic, tuple[int, ...]]] | None = None
        self._last_tick_us = self._last_snapshot_us = 0
        self.counters = Counters()

    def recover(self) -> None:
        """The state as it was when the last outputs became durable. `run_once` does it when it is needed."""
        self._in_force = self._rules()
        self._shard = Shard(self._in_force.plan, self._in_force.references, **self._limits)
        self._shard.warm_up()
        self._offsets = {topic: list(self._log.begin(topic)) for topic in TOPICS}
        same_rules = self._load_snapshot()
        self._replay(silent=same_rules)
        self._durable = {topic: list(self._log.cursor(CONSUMER, topic)) for topic in TOPICS}
        blob = self._log.state(LAST_TICK)
        if blob is not None:
            self._durable_tick_us = _INSTANT.unpack(blob)[0]
            self._shard.tick(self._durable_tick_us)
        self._tick_due = None
        self._last_tick_us = self._now() + self._limits["grace_us"] - self._tick_us  # devices have to find us first
        self._last_snapshot_us = self._now()
        self._more = self._recovered = True

    def run_once(self, timeout_s: float) -> int:
        """Wait for entries, at most that long, take them in, and say what follows; how many there were."""
        if not self._recovered:
            self.recover()
        self._recovered = False
        self._adopt()
        rows = self._take_in() if self._more else 0
        if rows == 0:
            self._seen = self._log.wait(self._seen, timeout_s)
            self._adopt()  # what changed during the wait holds for the entries that ended it
            rows = self._take_in()
        self._tick()
        if self._now() - self._last_snapshot_us >= self._snapshot_us and not self._saving.running:
            self._begin_snapshot()
        self._recovered = True
        return rows

    def snapshot(self) -> None:
        """Make the state durable, so that a restart has little to replay."""
        self._begin_snapshot()
        self.counters.snapshot_bytes = self._saving.finish()

    def _begin_snapshot(self) -> None:
        """The same while the engine goes on; what became of it is asked at the next one."""
        self.counters.snapshot_bytes = self._saving.finish() or self.counters.snapshot_bytes
        self._saving.begin(self._offsets, self._shard)
        self._last_snapshot_us = self._now()
        self.counters.snapshots += 1

    def close(self) -> None:
        """A last snapshot. The log and the writer stay open; they belong to others."""
        try:
            if self._recovered:
                self.snapshot()
                self._recovered = False
        finally:
            self._saving.close()
            self._prefaulting.shutdown()

    def lag(self) -> int:
        """How many entries in the log the engine has not taken in."""
        reached = {topic: self._offsets.get(topic) or self._log.cursor(CONSUMER, topic) for topic in TOPICS}
        return sum(
            end - offset
            for topic, offsets in reached.items()
            for end, offset in zip(self._log.end(topic), offsets, strict=True)
        )

    def _load_snapshot(self) -> bool:
        """State and offsets as saved; without a snapshot that can be read, the log's begin stays: then everything that
        the log still has is taken in again. Whether it was made by the rules of now."""
        try:
            saved = self._saving.load()
            if saved is None:
                return True
            offsets, pieces = saved
            same_rules = self._shard.load(pieces)
        except (LogDamaged, msgspec.MsgspecError) as error:
            _log.error("snapshot_unreadable", error=str(error))
            self._shard = Shard(self._in_force.plan, self._in_force.references, **self._limits)
            return True
        self._offsets |= {topic: of for topic, of in offsets.items() if topic in TOPICS}
        if same_rules:
            self._in_force = _Then(self._in_force.plan, self._shard.references)
        return same_rules

    def _replay(self, *, silent: bool) -> None:
        """Take in what lies between the snapshot and the committed cursors. What follows from it was said already,
        unless other rules said it: then it is said again, and what was known is known by its id."""
        ends = {topic: self._log.cursor(CONSUMER, topic) for topic in TOPICS}
        while True:
            entries = self._read(ends)
            if not entries:
                return
            taken = self._shard.take_in(entries)
            if not silent and not taken.says_nothing:
                self._commit.commit(appends=[Append(topic=Topic.ALERTS, batch=taken.documents())])

    def _adopt(self) -> None:
        """Work by changed rules only after a snapshot, so that a replay meets each entry with its own."""
        now = self._rules()
        before = self._in_force
        if now is before or (now.plan is before.plan and now.references == before.references):
            return
        self._in_force = now
        self._shard.adopt(now.plan, now.references)
        self.snapshot()

    def _take_in(self) -> int:
        """One slice of each partition of each topic, in one step; outputs and offsets in one commit."""
        entries = self._read()
        if not entries:
            self._commit_cursors()
            return 0
        taken = self._shard.take_in(entries)
        self.counters.add(taken)
        for part in self._shard.growth():
            self._prefaulting.submit(prefault, part)
        if not taken.says_nothing:
            self._say(taken)
            self._observed(taken)
        elif self._now() - self._durable_us >= _CURSORS_WAIT_US:
            self._commit_cursors()
        return sum(batch.num_rows for batch in entries.values())

    def _read(self, ends: Mapping[Topic, Sequence[int]] | None = None) -> dict[Topic, pa.RecordBatch]:
        """The next slice of each partition, by topic, and the offsets behind them; not beyond `ends`."""
        found = {}
        self._more = False
        for topic, offsets in self._offsets.items():
            stop = self._log.end(topic) if ends is None else ends[topic]
            if all(offset >= end for offset, end in zip(offsets, stop, strict=True)):
                continue  # most topics, most of the time
            pieces = [
                piece
                for partition, end in enumerate(stop)
                if (piece := self._slice(topic, partition, None if ends is None else end)) is not None
            ]
            if pieces:
                found[topic] = joined(pieces)
                self._more |= any(offset < end for offset, end in zip(offsets, stop, strict=True))
        return found

    def _slice(self, topic: Topic, partition: int, end: int | None) -> pa.RecordBatch | None:
        offsets = self._offsets[topic]
        if end is not None and offsets[partition] >= end:
            return None
        try:
            piece = self._log.read(topic, partition, offsets[partition])
        except OffsetExpired as error:
            offsets[partition] = error.begin
            if end is not None and error.begin >= end:
                return None
            piece = self._log.read(topic, partition, error.begin)
        if piece is None:
            return None
        batch = piece.batch if end is None else piece.batch.slice(0, end - piece.offset)
        offsets[partition] = piece.offset + batch.num_rows
        return batch

    def _say(self, taken: Taken) -> None:
        """What was said, as documents, and with it the offsets and the instant of the last tick: what is said depends
        on the entries and on that instant alone."""
        append = Append(topic=Topic.ALERTS, batch=taken.documents())
        now_us = self._shard.now_us
        states = {} if now_us == self._durable_tick_us else {LAST_TICK: _INSTANT.pack(now_us)}
        self._commit.commit(appends=[append], cursors=self._moves(), states=states, urgent=True)
        self._durable_tick_us = now_us
        self._moved()

    def _commit_cursors(self) -> None:
        moves = self._moves()
        if moves:
            self._commit.commit(cursors=moves)
            self._moved()

    def _moves(self) -> list[CursorMove]:
        """Of the cursors that are behind."""
        return [
            CursorMove(consumer=CONSUMER, topic=topic, partition=partition, offset=offset)
            for topic, offsets in self._offsets.items()
            for partition, offset in enumerate(offsets)
            if offset != self._durable[topic][partition]
        ]

    def _moved(self) -> None:
        self._durable = {topic: list(offsets) for topic, offsets in self._offsets.items()}
        self._durable_us = self._now()

    def _observed(self, taken: Taken) -> None:
        if self._observe is not None:
            now_us = self._now()
            for received_us in taken.received_us:
                for instant_us in received_us.tolist():
                    self._observe((now_us - instant_us) / SECOND_US)

    def _tick(self) -> None:
        """A tick falls due with the clock and is done when everything that the log held then has been read."""
        now_us = self._now()
        if self._tick_due is None and now_us - self._last_tick_us >= self._tick_us:
            self._tick_due = (now_us, {topic: self._log.end(topic) for topic in TOPICS})
        if self._tick_due is None or self._is_behind(self._tick_due[1]):
            return
        self._last_tick_us, self._tick_due = self._tick_due[0], None
        taken = self._shard.tick(self._last_tick_us)
        if not taken.says_nothing:
            self.counters.add(taken)
            self._say(taken)

    def _is_behind(self, ends: Mapping[Topic, Sequence[int]]) -> bool:
        return any(
            offset < end
            for topic, offsets in self._offsets.items()
            for offset, end in zip(offsets, ends[topic], strict=True)
        )


class _Then:
    """The rules as they were when a snapshot was made."""

    def __init__(self, plan: Plan, references: Mapping[str, Reference]) -> None:
        self.plan, self.references = plan, references
