"""What the outbox tests share: alert changes in a log, a channel that is a list, and an outbox on a disk."""

import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal

from islet.log.base import Append, Commit
from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_change
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.notify.base import Delivered, Message, Notifier, Outcome
from islet.notify.outbox import Outbox
from islet.notify.texts import Wording, texts_in

KEY = bytes(range(32))
NOW = 1_790_000_000_000_000


class ListChannel:
    """A channel whose other side is a list; it answers from a script, then takes everything."""

    name = "list"

    def __init__(self, recipient: str = "nurse", script: Sequence[Outcome | Exception] = ()) -> None:
        self.recipient = recipient
        self.script = list(script)
        self.tried: list[Message] = []
        self.received: list[Message] = []

    def send(self, message: Message, now_us: int) -> Outcome:
        self.tried.append(message)
        outcome = self.script.pop(0) if self.script else Delivered("r")
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, Delivered):
            self.received.append(message)
        return outcome

    def kinds(self) -> list[str]:
        """For each message received: opened, ended or withdrawn."""
        words = {"has ended": "ended", "is withdrawn": "withdrawn"}
        return [next((w for s, w in words.items() if s in m.text), "opened") for m in self.received]


class HangingChannel(ListChannel):
    """Does not come back from `send` before it is let go."""

    def __init__(self, recipient: str) -> None:
        super().__init__(recipient)
        self.let_go = threading.Event()

    def send(self, message: Message, now_us: int) -> Outcome:
        self.let_go.wait(30)
        return super().send(message, now_us)


def change(
    kind: Literal["opened", "cleared", "retracted", "acknowledged"],
    *,
    rule: str = "urgent_low",
    patient: str = "p-1",
    onset_us: int = NOW,
    at_us: int | None = None,
    severity: Severity = Severity.URGENT,
    replaced_by: str = "",
) -> AlertChange:
    return AlertChange(
        change=kind,
        rule=rule,
        patient=patient,
        onset_us=onset_us,
        at_us=onset_us if at_us is None else at_us,
        severity=severity,
        replaced_by=replaced_by,
    )


def append(log: MemoryLog, *changes: AlertChange) -> None:
    """Commit the changes to ALERTS as the engine does."""
    rows = [DocumentRow(c.patient, "", c.at_us, c.change, encode_change(c).decode()) for c in changes]
    log.commit([Commit(received_at_us=NOW, appends=[Append(topic=Topic.ALERTS, batch=documents_batch(rows))])])


def outbox(
    path: Path, *notifiers: Notifier, give_up_h: float = 24.0, patience_s: float = 5.0, texts: Wording | None = None
) -> Outbox:
    return Outbox(
        path / "store.db",
        KEY,
        notifiers,
        page_max_age_min=30.0,
        notify_give_up_h=give_up_h,
        rng=Random(1),
        wording=lambda language: texts or texts_in(),
        patience_s=patience_s,
    )


def old(minutes: float) -> int:
    """An instant that long before NOW."""
    return NOW - round(minutes * MINUTE_US)
