"""The engine inside the platform: a loop over the log, whose outputs and offsets become durable together.

Crash anywhere: the log holds either both the alert changes and the offsets they came from, or neither. After a
restart the state is the last snapshot plus the readings up to the committed offsets, whose changes are known already
and are not said again; the instant of the tick they were based on is kept beside them, so what ticks said is known too.

A few entries at a time are evaluated while they are being committed (`follow`), and what they lead to is durable with
them: one sync, not two. Many, or those that come while the engine is busy, are read from the log.

The offsets of entries of which nothing was to be said may wait: taken in again, they say nothing again.

Nothing is said about silence before every reading that the log held when the tick was due has been read: after an
outage the backlog comes first, and an engine that cannot keep up says nothing rather than paging the whole clinic.
Nor in the first moments after a start (`silence_grace_s`): devices have to find the way back.
"""

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec
import pyarrow as pa
import structlog

from islet.engine.adopted import ADOPTED, Changes, Differing, Rulebook, Then, differing, is_same
from islet.engine.following import Following
from islet.engine.memory import prefault
from islet.engine.outcome import Counters, Said
from islet.engine.saving import Saving, Writer
from islet.engine.shard import TOPICS, Shard, Taken
from islet.errors import LogDamaged
from islet.log.base import Append, Commit, CursorMove, Log, Slice
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.settings import Settings

_log = structlog.get_logger("islet.engine")

CONSUMER: Final = "engine"
LAST_TICK: Final = "engine_tick"
"""State blob: the instant that the last thing said was based on."""

_INSTANT: Final = struct.Struct("<q")
_CURSORS_WAIT_US: Final = SECOND_US
_MEANWHILE_S: Final = 0.25
_REST_S: Final = 0.04
_MOST_MEANWHILE: Final = 16
"""So many steps follow each other before the time, the rules and the next snapshot are looked after."""
_MOST_AT_ONCE: Final = 2_000
"""Of more entries, the next ones can be committed while these are evaluated."""

ObserveLatency = Callable[[float], None]
"""Told, for each change that an entry caused, the seconds from the entry's receipt until the change was durable."""


class EmbeddedEngine:
    """One engine over all partitions. One thread calls it; `counters` may be read from others.

    After an exception of `run_once` (the disk is full, say) the next call recovers from the log first.
    """

    def __init__(
        self,
        log: Log,
        commit: Writer,
        rules: Rulebook,
        settings: Settings,
        now: Now,
        *,
        observe: ObserveLatency | None = None,
    ) -> None:
        self._log, self._commit, self._rules, self._now, self._observe = log, commit, rules, now, observe
        self._limits = {
            "lateness_us": int(settings.lateness_min * MINUTE_US),
            "grace_us": int(settings.silence_grace_s * SECOND_US),
        }
        self._tick_us = int(settings.engine_tick_s * SECOND_US)
        self._snapshot_us = int(settings.engine_snapshot_s * SECOND_US)
        self._saving = Saving(log, commit)
        self._prefaulting = ThreadPoolExecutor(1, thread_name_prefix="engine-memory")
        self._closing = threading.Event()
        self._seen = 0
        self._free = threading.Lock()  # of whoever works on the state
        self._recovered = False
        self._is_saved = False  # by these rules: a replay meets each entry with what was known when it was taken in
        self._joining: Said | None = None  # said within the commit that is under way
        self._may_join = True
        self._following = Following(log, self._cursor)
        self._said: tuple[Said, Future[None]] | None = None  # on its way to the disk
        self._durable: dict[Topic, list[int]] = {}  # the cursors
        self._durable_us = self._durable_tick_us = 0  # when they were moved; the tick beside them
        self._tick_due: tuple[int, dict[Topic, tuple[int, ...]]] | None = None
        self._last_tick_us = self._last_snapshot_us = 0
        self.counters = Counters()

    def recover(self) -> None:
        """The state as it was when the last outputs became durable. `run_once` does it when it is needed."""
        if self._said is not None:  # it may still become durable: then it is said
            self._said[1].exception()
        self._in_force = self._rules.current()
        self._shard = Shard(self._in_force.plan, self._in_force.references, **self._limits)
        self._shard.warm_up()
        self._following = Following(self._log, self._log.begin)
        self._changes, self._is_saved = Changes(self._log), False
        same_rules = self._load_snapshot()
        self._replay(Following(self._log, self._cursor).offsets, silent=same_rules)
        self._shard.forget_erased()
        self._durable = Following(self._log, self._cursor).offsets
        if (blob := self._log.state(LAST_TICK)) is not None:
            self._durable_tick_us = _INSTANT.unpack(blob)[0]
            if self._durable_tick_us > self._shard.now_us:  # else it was before what became known of patients since
                self._shard.tick(self._durable_tick_us)
        self._tick_due = self._said = None
        self._last_tick_us = self._now() + self._limits["grace_us"] - self._tick_us  # devices have to find us first
        self._last_snapshot_us = self._now()
        self._recovered = True

    def run_once(self, timeout_s: float) -> int:
        """Wait for entries, at most that long, take them in, and say what follows; how many were read from the log."""
        rows = self._round() if self._following.more else 0
        if rows == 0:
            self._seen = self._log.wait(self._seen, timeout_s)
            rows = self._round()
        return rows

    def _round(self) -> int:
        with self._free:
            if not self._recovered:
                self.recover()
            self._recovered = False
            self._adopt()
            rows = self._take_in() + self._go_on()
            self._tick()
            self._settle()
            if self._now() - self._last_snapshot_us >= self._snapshot_us and self._saving.is_ready(self._shard):
                self._begin_snapshot()
            self._recovered = True
        return rows

    def follow(self, slices: Sequence[Slice]) -> Commit | None:
        """What the engine says of entries that are being committed, to be committed with them. Nothing where it is
        busy, has not read what comes before them, or they are many: it reads them from the log then."""
        rows = sum(one.batch.num_rows for one in slices)
        if rows > _MOST_AT_ONCE or not self._may_join or not self._free.acquire(blocking=False):
            return None
        try:
            return self._join(slices)
        except Exception:
            _log.exception("engine_failed_beside_a_commit")  # and recovers from the log
            return None
        finally:
            if self._joining is None:
                self._free.release()

    def _join(self, slices: Sequence[Slice]) -> Commit | None:
        if not self._recovered or not self._rules.is_current(self._in_force):
            return None
        entries = self._following.take(slices)
        if not entries:
            return None
        self._recovered = False
        taken = self._step(entries)
        appends, moves, states = self._outcome(taken)
        self._joining = Said(taken, self._following.reached(), self._shard.now_us)  # last: after an error there is none
        return Commit(received_at_us=self._now(), appends=appends, cursors=moves, states=states)

    def settle(self, error: Exception | None) -> None:
        """A commit has ended. After one that failed, whatever the engine took in of it is forgotten, and entries are
        read from the log until a commit succeeds."""
        self._may_join = error is None
        said, self._joining = self._joining, None
        if said is None:
            return
        try:
            if error is None:
                self._is_durable(said, self._now())
                self._recovered = True
        finally:
            self._free.release()

    def snapshot(self) -> None:
        """Make the state durable, so that a restart has little to replay."""
        self._begin_snapshot()
        self.counters.snapshot_bytes = self._saving.finish()
        self._is_saved = True
        if self._changes.forget():
            self._commit.commit(states={ADOPTED: None})

    def _begin_snapshot(self) -> None:
        """The same while the engine goes on; what became of it is asked at the next one."""
        self.counters.snapshot_bytes = self._saving.finish() or self.counters.snapshot_bytes
        self._saving.begin(self._following.offsets, self._shard, self._changes.number)
        self._last_snapshot_us = self._now()
        self.counters.snapshots += 1

    def close(self) -> None:
        """A last snapshot. The log and the writer stay open; they belong to others."""
        with self._free:
            try:
                if self._recovered:
                    self.snapshot()
                    self._recovered = False
            finally:
                self._closing.set()
                self._saving.close()
                self._prefaulting.shutdown()

    def lag(self) -> int:
        """How many entries in the log the engine has not taken in."""
        return self._following.lag()

    def _cursor(self, topic: Topic) -> Sequence[int]:
        return self._log.cursor(CONSUMER, topic)

    def _load_snapshot(self) -> bool:
        """State and offsets as saved; without a snapshot that can be read, the log's begin stays: then everything that
        the log still has is taken in again. Whether it was made by the rules of now."""
        try:
            saved = self._saving.load()
            if saved is None:
                return True
            offsets, pieces, adopted = saved
            same_rules = self._shard.load(pieces)
        except (LogDamaged, msgspec.MsgspecError) as error:
            _log.warning("snapshot_not_used", reason=str(error), instead="what the log has is taken in again")
            self._shard = Shard(self._in_force.plan, self._in_force.references, **self._limits)
            return True
        self._following.offsets |= {topic: of for topic, of in offsets.items() if topic in TOPICS}
        if same_rules:
            self._is_saved = True
            self._adopt_again(adopted)
            self._in_force = Then(self._in_force.plan, self._shard.references)
        return same_rules

    def _adopt_again(self, number: int) -> None:
        """What became known of patients after the state was saved, each where it did."""
        for one in self._changes.from_(number):
            self._replay(self._following.offsets | one.offsets, silent=True)
            self._shard.tick(one.tick_us)
            try:
                self._shard.adopt(self._shard.plan, one.applied_to(self._shard.references))
            except ValueError as error:
                _log.warning("change_not_adopted", error=str(error))  # what is in force is adopted in the end
                return

    def _replay(self, ends: Mapping[Topic, Sequence[int]], *, silent: bool) -> None:
        """Take in what lies between the snapshot and these offsets, which are committed. What follows from it was said
        already, unless other rules said it: then it is said again, and what was known is known by its id."""
        while True:
            entries = self._following.read(ends)
            if not entries:
                return
            taken = self._shard.take_in(entries)
            if not silent and not taken.says_nothing:
                self._commit.commit(appends=[_append(taken)])

    def _adopt(self) -> None:
        """Work by changed rules only after a snapshot, so that a replay meets each entry with its own; or, where few
        patients became known otherwise, after that was kept."""
        now, before = self._rules.current(), self._in_force
        if now is before:
            return
        self._in_force = now
        same_plan = now.plan is before.plan
        if same_plan and is_same(before.references, now.references):
            return
        few = differing(before.references, now.references) if same_plan else None
        kept = few is not None and self._keep(few)
        self._shard.adopt(now.plan, now.references)
        if not kept:
            self.snapshot()

    def _keep(self, few: dict[str, Differing]) -> bool:
        """Whether the change is durable, with the offsets that it comes after; otherwise the state has to be saved."""
        self._settle()
        tick_us, reached = self._shard.now_us, self._following.reached()
        blob = self._changes.with_one(reached, tick_us, few, saved=self._saving.changes) if self._is_saved else None
        if blob is None:
            return False
        self._commit.commit(cursors=self._moves(), states={ADOPTED: blob, LAST_TICK: _INSTANT.pack(tick_us)})
        self._durable, self._durable_us, self._durable_tick_us = reached, self._now(), tick_us
        return True

    def _take_in(self) -> int:
        """One slice of each partition of each topic, in one step; outputs and offsets in one commit."""
        entries = self._following.read()
        if not entries:
            self._commit_cursors()
            return 0
        return self._follow(entries)

    def _follow(self, entries: Mapping[Topic, pa.RecordBatch]) -> int:
        taken = self._step(entries)
        if not taken.says_nothing:
            self._say(taken)
        elif self._now() - self._durable_us >= _CURSORS_WAIT_US:
            self._commit_cursors()
        return sum(batch.num_rows for batch in entries.values())

    def _step(self, entries: Mapping[Topic, pa.RecordBatch]) -> Taken:
        taken = self._shard.take_in(entries)
        self.counters.add(taken)
        for part in self._shard.growth():
            self._prefaulting.submit(prefault, part, self._rest)
        return taken

    def _rest(self) -> None:
        """Memory is found some milliseconds a large page: a core that is busy for a tenth of a second is one that alarms
        wait for."""
        self._closing.wait(_REST_S)

    def _go_on(self) -> int:
        """While what was said becomes durable, take in what others have committed meanwhile; how many rows."""
        rows = 0
        for _ in range(_MOST_MEANWHILE):
            if self._said is None or self._said[1].done():
                break
            self._seen = self._log.wait(self._seen, 0)
            entries = self._following.read()
            if not entries:
                self._seen = self._log.wait(self._seen, _MEANWHILE_S)
                entries = self._following.read()
            if not entries:  # it grew by what was said
                break
            rows += self._follow(entries)
        return rows

    def _say(self, taken: Taken) -> None:
        """It is on its way then, and what was said before is durable."""
        self._settle()
        appends, moves, states = self._outcome(taken)
        durable = self._commit.later(appends, moves, states, urgent=True)
        said = Said(taken, self._following.reached(), self._shard.now_us)
        self._said = (said, durable)
        durable.add_done_callback(lambda _: said.durable_at(self._now()))

    def _outcome(self, taken: Taken) -> tuple[list[Append], list[CursorMove], dict[str, bytes | None]]:
        """What was said, as documents, and with it the offsets and the instant of the last tick: what is said depends
        on the entries and on that instant alone."""
        appends = [] if taken.says_nothing else [_append(taken)]
        now_us = self._shard.now_us
        states: dict[str, bytes | None] = {} if now_us == self._durable_tick_us else {LAST_TICK: _INSTANT.pack(now_us)}
        return appends, self._moves(), states

    def _settle(self) -> None:
        """Wait until what was said last is durable. Raises why it is not."""
        underway, self._said = self._said, None
        if underway is not None:
            said, durable = underway
            durable.result()
            self._is_durable(said, said.durable_us or self._now())  # its callback may still be on its way

    def _is_durable(self, said: Said, durable_us: int) -> None:
        self._durable, self._durable_us, self._durable_tick_us = said.offsets, durable_us, said.tick_us
        if self._observe is not None:
            for waited_s in said.waited_s(durable_us):
                self._observe(waited_s)

    def _commit_cursors(self) -> None:
        self._settle()
        moves = self._moves()
        if moves:
            self._commit.commit(cursors=moves)
            self._durable = self._following.reached()
            self._durable_us = self._now()

    def _moves(self) -> list[CursorMove]:
        """Of the cursors that are behind."""
        return [
            CursorMove(consumer=CONSUMER, topic=topic, partition=partition, offset=offset)
            for topic, offsets in self._following.offsets.items()
            for partition, offset in enumerate(offsets)
            if offset != self._durable[topic][partition]
        ]

    def _tick(self) -> None:
        """A tick falls due with the clock and is done when everything that the log held then has been read."""
        now_us = self._now()
        if self._tick_due is None and now_us - self._last_tick_us >= self._tick_us:
            self._tick_due = (now_us, self._following.ends())
        if self._tick_due is None or self._following.is_behind(self._tick_due[1]):
            return
        self._last_tick_us, self._tick_due = self._tick_due[0], None
        taken = self._shard.tick(self._last_tick_us)
        if not taken.says_nothing:
            self.counters.add(taken)
            self._say(taken)


def _append(taken: Taken) -> Append:
    return Append(topic=Topic.ALERTS, batch=taken.documents(), is_whole=True)
