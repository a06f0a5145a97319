"""Readings that came too late for the engine: their stretch is looked at again, out of the store, as history.

A phone that was offline for hours sends what it kept; the engine has gone on and revises nothing that old. This
follower of the log finds such readings, waits until no more of them come, and has the rules evaluated over the whole
stretch, once the engine has said what it has to say of them. What that finds and nobody has said yet becomes
retrospective alerts, which page nobody; what was said at the time stays as it was. Doing it twice says nothing new, so a
crash anywhere only costs the work again: the cursor stays before the first reading that has not been dealt with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from islet.engine.saving import Commits
from islet.engine.titles import WITHOUT_FILE
from islet.errors import OffsetExpired
from islet.log.base import Append, CursorMove, Log, Slice
from islet.model.alerts import PATTERN_CHANGE, Alert, AlertChange, Severity
from islet.model.batch import int64_column
from islet.model.codec import change_documents
from islet.model.time import DAY_US, MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.store.base import Store

CONSUMER: Final = "backfill"

_TOPIC: Final = Topic.GLUCOSE_READINGS
_SETTLE_US: Final = 10 * SECOND_US
"""A stretch is evaluated when nothing was added to it for so long …"""
_LONGEST_WAIT_US: Final = 5 * MINUTE_US
"""… or when it has waited so long."""
_RUN_IN_US: Final = DAY_US
"""Evaluation begins so long before the stretch, for windows and running episodes to be as they were."""
_RUN_OUT_US: Final = 7 * DAY_US
"""It ends so long after the stretch, for episodes to end: what is years newer than an old file is not looked at again."""
_AT_ONCE: Final = 10
"""Stretches a call: each takes some hundredth of a second, and a stop is heard between calls."""
_SAVE_EVERY_US: Final = 10 * SECOND_US
_MOST_ALERTS: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """What a rule finds in a stretch of history; `end_us` None: it had not ended at the stretch's end."""

    rule: str
    severity: Severity
    onset_us: int
    end_us: int | None
    device: str
    glucose_tenths: int | None


Evaluated = Callable[[], Sequence[int]]
"""Per partition, before which reading the engine has said everything."""

Evaluate = Callable[[str, int, int], Sequence[Episode]]
"""All episodes of a patient's rules over their readings in [from_us, to_us)."""


@dataclass(slots=True)
class _Stretch:
    """Late readings of one patient that wait: their times, and where in the log they are; where the alerts ended when the
    engine had said what it says of them."""

    from_us: int
    to_us: int
    partition: int
    first_offset: int
    next_offset: int
    since_us: int
    latest_us: int
    alerts_end: Sequence[int] | None = None

    def is_due(self, now_us: int) -> bool:
        return now_us - self.latest_us >= _SETTLE_US or now_us - self.since_us >= _LONGEST_WAIT_US


class BackfillFollower:
    """Belongs to one thread."""

    def __init__(
        self,
        log: Log,
        store: Store,
        commit: Commits,
        evaluate: Evaluate,
        now: Now,
        *,
        lateness_us: int,
        evaluated: Evaluated | None = None,
    ) -> None:
        """Without `evaluated` (another machine's engine) the engine is believed to be done when a stretch is due."""
        self._evaluated = evaluated
        self._log, self._store, self._commit, self._evaluate, self._now = log, store, commit, evaluate, now
        self._lateness_us = lateness_us
        self._seen = 0
        self._positions = list(log.cursor(CONSUMER, _TOPIC))
        self._saved = list(self._positions)
        self._saved_at_us = now()
        self._waiting: dict[str, _Stretch] = {}
        self.stretches = 0
        """How many stretches were evaluated."""
        self.found = 0
        """How many retrospective alerts were opened."""

    def run_once(self, timeout_s: float) -> int:
        """Read what is new, evaluate some of what is due; how many entries were read. Where there is nothing to do it
        waits for entries, up to `timeout_s`."""
        rows = self._read()
        due = self._due()
        if rows == 0 and not due:
            self._seen = self._log.wait(self._seen, timeout_s)
            rows = self._read()
        for patient in due[:_AT_ONCE]:
            self._look_again(patient, self._waiting.pop(patient))
        self._save()
        return rows

    def counts(self) -> dict[str, int]:
        return {"stretches": self.stretches, "found": self.found, "waiting": len(self._waiting)}

    def _read(self) -> int:
        rows = 0
        for partition in range(self._log.partitions):
            try:
                piece = self._log.read(_TOPIC, partition, self._positions[partition])
            except OffsetExpired as error:
                self._positions[partition] = error.begin
                piece = self._log.read(_TOPIC, partition, error.begin)
            if piece is not None:
                self._note(piece)
                self._positions[partition] = piece.next_offset
                rows += piece.batch.num_rows
        return rows

    def _note(self, piece: Slice) -> None:
        """Keep in mind who has readings in the slice that were old when they came."""
        times_us = int64_column(piece.batch, "time_us")
        old = np.flatnonzero(int64_column(piece.batch, "received_at_us") - times_us > self._lateness_us)
        if len(old) == 0:
            return
        now_us = self._now()
        patients = piece.batch.column("patient").take(old).to_pylist()
        for row, patient in zip(old.tolist(), patients, strict=True):
            self._wait_for(str(patient), int(times_us[row]), piece.partition, piece.offset + row, now_us)

    def _wait_for(self, patient: str, time_us: int, partition: int, offset: int, now_us: int) -> None:
        one = self._waiting.get(patient)
        if one is None:
            self._waiting[patient] = _Stretch(time_us, time_us, partition, offset, offset + 1, now_us, now_us)
            return
        one.from_us, one.to_us = min(one.from_us, time_us), max(one.to_us, time_us)
        one.next_offset, one.latest_us, one.alerts_end = offset + 1, now_us, None

    def _due(self) -> list[str]:
        """Whose stretch is complete, and in the store, with what the engine has said of it."""
        now_us = self._now()
        due = {patient: one for patient, one in self._waiting.items() if one.is_due(now_us)}
        if not due:
            return []
        evaluated = self._evaluated() if self._evaluated is not None else None
        alerts_end = self._log.end(Topic.ALERTS)
        for one in due.values():
            if one.alerts_end is None and (evaluated is None or evaluated[one.partition] >= one.next_offset):
                one.alerts_end = alerts_end
        readings, alerts = (self._store.applied(topic, self._log.partitions) for topic in (_TOPIC, Topic.ALERTS))
        return [
            patient
            for patient, one in due.items()
            if one.alerts_end is not None
            and readings[one.partition] >= one.next_offset
            and all(applied >= end for applied, end in zip(alerts, one.alerts_end, strict=True))
        ]

    def _look_again(self, patient: str, stretch: _Stretch) -> None:
        newest = self._store.latest([patient])
        if not newest or stretch.from_us >= newest[0].time_us - self._lateness_us:
            return  # old when it came, but nothing newer is known: the engine has evaluated it
        begin_us = stretch.from_us - _RUN_IN_US
        end_us = min(newest[0].time_us, stretch.to_us + _RUN_OUT_US)
        episodes = self._evaluate(patient, begin_us, end_us + 1)
        known = [
            alert
            for alert in self._store.alerts([patient], limit=_MOST_ALERTS)
            if alert.rule not in WITHOUT_FILE and (alert.cleared_us is None or alert.cleared_us >= stretch.from_us)
            if not (alert.retrospective and (alert.cleared_us or alert.onset_us) > end_us)
        ]
        last_us = min(newest[0].time_us - self._lateness_us, end_us)
        inside = [e for e in episodes if e.onset_us <= last_us and (e.end_us or last_us) >= stretch.from_us]
        changes = differences(patient, inside, known, from_us=stretch.from_us)
        self.stretches += 1
        if changes:
            self.found += sum(change.change == "opened" for change in changes)
            self._commit.commit(appends=[Append(topic=Topic.ALERTS, batch=change_documents(changes))])

    def _save(self) -> None:
        """Move the cursor, now and then: up to the first reading that waits."""
        now_us = self._now()
        if now_us - self._saved_at_us < _SAVE_EVERY_US:
            return
        self._saved_at_us = now_us
        done = list(self._positions)
        for one in self._waiting.values():
            done[one.partition] = min(done[one.partition], one.first_offset)
        moves = [
            CursorMove(consumer=CONSUMER, topic=_TOPIC, partition=partition, offset=offset)
            for partition, offset in enumerate(done)
            if offset != self._saved[partition]
        ]
        if moves:
            self._commit.commit(cursors=moves)
            self._saved = done


def differences(
    patient: str, episodes: Sequence[Episode], known: Sequence[Alert], *, from_us: int
) -> list[AlertChange]:
    """What has to be said so that the retrospective alerts are the episodes that touch no alert of the time itself.

    `known`: the patient's alerts, not retracted. Retrospective ones that end before `from_us`, and
    those of nightly jobs, are left alone.
    """
    said_then = [alert for alert in known if not alert.retrospective]
    said_later = {(one.rule, one.onset_us): one for one in known if one.retrospective and one.rule != PATTERN_CHANGE}
    wanted = {(e.rule, e.onset_us): e for e in episodes if e.end_us is not None and not _touches_any(e, said_then)}
    changes: list[AlertChange] = []
    for key, episode in wanted.items():
        alert = said_later.get(key)
        if alert is None:
            changes.append(_change("opened", patient, episode, episode.onset_us))
        if alert is None or alert.cleared_us != episode.end_us:
            changes.append(_change("cleared", patient, episode, episode.end_us or episode.onset_us))
    for key, alert in said_later.items():
        if key not in wanted and (alert.cleared_us is None or alert.cleared_us >= from_us):
            changes.append(
                AlertChange(
                    change="retracted",
                    rule=alert.rule,
                    patient=patient,
                    onset_us=alert.onset_us,
                    at_us=alert.onset_us,
                    severity=alert.severity,
                    retrospective=True,
                )
            )
    return changes


def _touches_any(episode: Episode, alerts: Sequence[Alert]) -> bool:
    """Whether an alert of the same rule shares an instant with the episode."""
    return any(
        alert.rule == episode.rule
        and (episode.end_us is None or alert.onset_us <= episode.end_us)
        and (alert.cleared_us is None or alert.cleared_us >= episode.onset_us)
        for alert in alerts
    )


def _change(kind: str, patient: str, episode: Episode, at_us: int) -> AlertChange:
    opened = kind == "opened"
    return AlertChange(
        change="opened" if opened else "cleared",
        rule=episode.rule,
        patient=patient,
        onset_us=episode.onset_us,
        at_us=at_us,
        severity=episode.severity,
        device=episode.device if opened else "",
        glucose_tenths=episode.glucose_tenths if opened else None,
        retrospective=True,
    )
