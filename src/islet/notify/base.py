"""What every channel does. One contract test (`tests/notify/test_notify_contract.py`) holds for all of them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one recipient is told about one alert.

    `id` is the idempotency key: a message that is sent again after a crash has the same one, so that a channel
    which knows such keys can drop the second. Title and text hold no name and no glucose value.
    """

    id: str
    alert: str
    title: str
    text: str


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


Outcome = Delivered | RetryAfter | Failed


class Notifier(Protocol):
    """One recipient on one channel."""

    @property
    def name(self) -> str:
        """The channel's name, as in the menu."""

    @property
    def recipient(self) -> str:
        """Who is reached, as the channel knows them (a chat's id); with `name` it stays the same over restarts."""

    def send(self, message: Message, now_us: int) -> Outcome:
        """Try once to deliver.

        Called from one thread at a time, not always the same. Must come back within seconds: it keeps its own
        timeouts. Must not raise for anything the other side does; must not sleep, retry or log the message.
        Reasons hold no secret and nothing of the message.
        """
