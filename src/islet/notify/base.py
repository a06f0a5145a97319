"""What every channel does. One contract test (`tests/notify/test_notify_contract.py`) holds for all of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol


class Kind(StrEnum):
    """What a message says of its alert."""

    OPENED = "opened"
    REPEATED = "repeated"
    CLEARED = "cleared"
    RETRACTED = "retracted"
    ACKNOWLEDGED = "acknowledged"
    SUPERSEDED = "superseded"
    TEST = "test"
    ENGINE_SILENT = "engine_silent"
    ENGINE_BACK = "engine_back"


ANNOUNCEMENTS: Final = frozenset({Kind.OPENED, Kind.REPEATED, Kind.TEST, Kind.ENGINE_SILENT, Kind.ENGINE_BACK})
"""They must be noticed: always a new message. All others tell what became of one of these."""
ENDS: Final = frozenset({Kind.CLEARED, Kind.RETRACTED})
CHANGES: Final = frozenset({Kind.ACKNOWLEDGED, Kind.SUPERSEDED})
"""Only worth showing inside the message they are about; they go to CHANGING channels."""
CHANGING: Final = frozenset({"telegram", "webpush"})
"""Channels that can change a message which they have delivered; others get a new one when the alert ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one recipient is told about one alert.

    `id` is the idempotency key: a message that is sent again after a crash has the same one, so that a channel
    which knows such keys can drop the second. Title and text hold no name and no glucose value, unless this recipient
    has consent to see them.
    """

    id: str
    alert: str
    title: str
    text: str
    kind: Kind = Kind.OPENED
    urgent: bool = False
    replaces: str = ""
    """The receipt of the message that this one tells the outcome of; a channel that can change messages changes it."""
    token: str = ""
    """Who has it may acknowledge this one alert as this recipient; "" where there is nothing to acknowledge."""
    acknowledge_url: str = ""
    """Where a POST acknowledges; it holds the token. "" where the platform has no public address."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel has taken it; `receipt` is the channel's own id of the message, "" where it gives none."""

    receipt: str = ""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not now. `seconds` is how long the channel asked for (then nothing else is sent to this recipient either);
    0 leaves it to the outbox."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Never: trying again would not help. `reason` is shown on the operations page."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Never, and not this address again: the other side has ended it. The contact is disabled."""

    reason: str


Outcome = Delivered | RetryAfter | Failed | Gone


class Notifier(Protocol):
    """One recipient on one channel."""

    @property
    def name(self) -> str:
        """The channel's name, as in the menu."""

    @property
    def recipient(self) -> str:
        """Who is reached, as the channel knows them (a chat's id); with `name` it stays the same over restarts.
        Never a secret: it is shown on the operations page."""

    def send(self, message: Message, now_us: int) -> Outcome:
        """Try once to deliver; `now_us` is the wall's clock.

        Called from one thread at a time, not always the same. Must come back within seconds: it keeps its own
        timeouts. Must not raise for anything the other side does; must not sleep, retry or log the message.
        Reasons hold no secret and nothing of the message.
        """
