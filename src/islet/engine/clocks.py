"""Devices whose clock is wrong: their readings are dead letters, and somebody has to set the clock.

A follower of the dead letters. The first one that is dated ahead of our clock (or before 1990) opens a technical alert
for the device's patient; it ends when the device's readings are taken again, or when nothing wrongly dated came for
an hour. The alert is dated by our clock, as the device's cannot be believed.
"""

from dataclasses import dataclass
from typing import Final

from islet.engine.saving import Commits
from islet.errors import OffsetExpired
from islet.log.base import Append, CursorMove, Log, Slice
from islet.model.alerts import AlertChange, Severity
from islet.model.codec import change_documents
from islet.model.time import HOUR_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.store.base import Store

CONSUMER: Final = "clocks"
RULE: Final = "device_clock"

_TOPIC: Final = Topic.DEAD_LETTERS
_REASONS: Final = frozenset({"future", "past"})
_LOOK_EVERY_US: Final = 30 * SECOND_US
_FORGET_US: Final = HOUR_US


@dataclass(slots=True)
class _Wrong:
    """A running alert: since when, which device, and its last dead letter."""

    onset_us: int
    device: str
    latest_us: int


class ClockWatch:
    """Belongs to one thread. Starts from the alerts that are active in the store."""

    def __init__(self, log: Log, store: Store, commit: Commits, now: Now) -> None:
        self._log, self._store, self._commit, self._now = log, store, commit, now
        self._seen = 0
        self._looked_us = now()
        self._positions = list(log.cursor(CONSUMER, _TOPIC))
        running = [a for a in store.alerts(active_only=True, limit=10_000) if a.rule == RULE and a.active]
        self._wrong = {a.patient: _Wrong(a.onset_us, a.device, now()) for a in running}

    def run_once(self, timeout_s: float) -> int:
        """Take in new dead letters, and look who is well again; how many letters. Waits for some up to `timeout_s`."""
        rows = sum(self._take_in(partition) for partition in range(self._log.partitions))
        if rows == 0:
            self._seen = self._log.wait(self._seen, timeout_s)
        if self._wrong and self._now() - self._looked_us >= _LOOK_EVERY_US:
            self._look_who_is_well()
        return rows

    def _take_in(self, partition: int) -> int:
        piece = self._read(partition)
        if piece is None:
            return 0
        self._positions[partition] = piece.next_offset
        changes = self._opened(piece)
        move = CursorMove(consumer=CONSUMER, topic=_TOPIC, partition=partition, offset=piece.next_offset)
        self._commit.commit(appends=_append(changes), cursors=[move])
        return piece.batch.num_rows

    def _read(self, partition: int) -> Slice | None:
        try:
            return self._log.read(_TOPIC, partition, self._positions[partition])
        except OffsetExpired as error:
            return self._log.read(_TOPIC, partition, error.begin)

    def _opened(self, piece: Slice) -> list[AlertChange]:
        changes = []
        columns = (piece.batch.column(name).to_pylist() for name in ("patient", "device", "type", "time_us"))
        for patient, device, reason, time_us in zip(*columns, strict=True):
            if reason not in _REASONS or not patient:
                continue
            known = self._wrong.get(patient)
            if known is None:
                self._wrong[patient] = _Wrong(time_us, device, time_us)
                changes.append(_change("opened", patient, time_us, time_us, device))
            else:
                known.latest_us = max(known.latest_us, time_us)
        return changes

    def _look_who_is_well(self) -> None:
        self._looked_us = now_us = self._now()
        latest = {one.patient: one for one in self._store.latest(list(self._wrong))}
        changes = []
        for patient, wrong in list(self._wrong.items()):
            reading = latest.get(patient)
            taken = reading is not None and reading.device == wrong.device and reading.time_us > wrong.latest_us
            if taken or now_us - wrong.latest_us >= _FORGET_US:
                changes.append(_change("cleared", patient, wrong.onset_us, now_us, wrong.device))
                del self._wrong[patient]
        if changes:
            self._commit.commit(appends=_append(changes))


def _change(kind: str, patient: str, onset_us: int, at_us: int, device: str) -> AlertChange:
    return AlertChange(
        change="opened" if kind == "opened" else "cleared",
        rule=RULE,
        patient=patient,
        onset_us=onset_us,
        at_us=at_us,
        severity=Severity.TECHNICAL,
        device=device,
    )


def _append(changes: list[AlertChange]) -> list[Append]:
    return [Append(topic=Topic.ALERTS, batch=change_documents(changes))] if changes else []
