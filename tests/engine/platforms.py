"""The engine's driver over a log in memory, which may crash at any commit, with rules and people."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

from islet.engine.adopted import InForce
from islet.engine.embedded import EmbeddedEngine
from islet.engine.parameters import NO_LAYERS
from islet.engine.reference import Reference
from islet.engine.references import references
from islet.engine.rules import Plan, Rule, plan
from islet.log.base import Append, CursorMove
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.alerts import Alert, AlertChange, fold
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import decode_change, encode_event
from islet.model.events import AnyEvent
from islet.model.people import Patient
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.settings import Settings
from tests.engine.streams import RULES, Point, batch, episodes

SETTINGS = Settings(engine_snapshot_s=1e6, silence_grace_s=0)  # no snapshot unless asked for
PLAN = plan(RULES)


class Rules(NamedTuple):
    """What is in force."""

    plan: Plan
    references: Mapping[str, Reference]


def in_force(patients: Sequence[Patient], rules: Sequence[Rule] = RULES) -> Rules:
    """The rules as shipped, for these patients."""
    made = PLAN if rules is RULES else plan(rules)
    return Rules(made, references(made, NO_LAYERS, patients))


EVERYBODY = in_force([Patient(id=name, tags=("simulated",)) for name in ("p1", "p2", "p3")])


class Crash(Exception):
    """The process died here."""


class Writer:
    """The real writer, which may die before or after its n-th commit."""

    def __init__(self, group: GroupCommit) -> None:
        self.group = group
        self.crash_at: int | None = None
        self.after = False

    def commit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        self.later(appends, cursors, states, urgent=urgent).result()

    def later(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> Future[None]:
        if self.crash_at is not None:
            self.crash_at -= 1
        dies = self.crash_at == 0
        if dies and not self.after:
            raise Crash
        outcome = self.group.later(appends, cursors, states, urgent=urgent)
        if dies:
            outcome.result()
            raise Crash
        return outcome


class Platform:
    """A log in memory, its writer, a clock that is set by hand, and an engine that can be started again."""

    def __init__(self, group: GroupCommit, log: MemoryLog, clock: list[int], beside: bool) -> None:
        """`beside`: the engine is asked within each commit, as on the platform; else it only reads the log."""
        self.log, self.clock, self.beside = log, clock, beside
        self.writer = Writer(group)
        self.rules: InForce = EVERYBODY
        self.settings = SETTINGS
        self.latencies_s: list[float] = []
        self.start()

    def start(self) -> None:
        self.engine = EmbeddedEngine(
            self.log,
            self.writer,
            self,
            self.settings,
            lambda: self.clock[0],
            observe=self.latencies_s.append,
        )
        if self.beside:
            self.writer.group.accompany(self.engine)

    def current(self) -> InForce:
        return self.rules

    def is_current(self, rules: InForce) -> bool:
        return rules is self.rules

    def send(self, *points: Point) -> None:
        self.writer.group.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=batch(points))])

    def run(self, minute: float) -> None:
        """Set the clock and let the engine do what there is to do; it is started again after each crash."""
        self.clock[0] = max(self.clock[0], round(minute * MINUTE_US))
        while True:
            try:
                if self.engine.run_once(0.0) == 0:
                    return
            except Crash:
                self.start()

    def tell(self, topic: Topic, minute: float, *events: AnyEvent, patient: str = "p1") -> None:
        """Events other than readings."""
        rows = [DocumentRow(patient, "phone", round(minute * MINUTE_US), "x", encode_event(e).decode()) for e in events]
        self.writer.group.commit([Append(topic=topic, batch=documents_batch(rows))])

    def said(self) -> list[AlertChange]:
        changes = []
        for partition in range(self.log.partitions):
            offset = self.log.begin(Topic.ALERTS)[partition]
            while (piece := self.log.read(Topic.ALERTS, partition, offset)) is not None:
                changes += [decode_change(str(body)) for body in piece.batch.column("body").to_pylist()]
                offset = piece.next_offset
        return changes

    def table(self, from_us: int = 0) -> dict[str, tuple[float, float | None]]:
        alerts: dict[str, Alert] = {}
        for change in self.said():
            alert = fold(alerts.get(change.id), change, 0)
            assert alert is not None
            alerts[change.id] = alert
        return episodes(alerts.values(), from_us)


@contextmanager
def platform(partitions: int = 3, *, beside: bool = False, log: MemoryLog | None = None) -> Iterator[Platform]:
    clock = [0]
    log = log or MemoryLog(partitions=partitions)
    group = GroupCommit(log, lambda: clock[0], within_s=0.0)
    try:
        yield Platform(group, log, clock, beside)
    finally:
        group.close()
