"""Which of the things that people said they did still holds: corrections and withdrawals, in any order.

A care event is known by its device and its id. Of all that was said under one id, what has the highest rank counts: a later
revision outdoes an earlier one, and a withdrawal what has its own revision. Nothing depends on the order in which that
arrives, nor on how often.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from msgspec import UNSET

from islet.model.codec import encode_event
from islet.model.events import AnyCareEvent, AnyEvent, CareEvent, Withdrawal

MADE: Final = "="
"""What an id begins with that was made of what the event says."""


def care_event_id(event: AnyCareEvent) -> str:
    """The sender's id, or one that is the same for whatever says the same.

    >>> from datetime import UTC, datetime
    >>> from islet.model.events import Note
    >>> care_event_id(Note(time=datetime(2026, 11, 21, tzinfo=UTC), text="ill"))
    '=6433564dc48cf92ff751646e4c59dc73'
    """
    if event.id is not UNSET:
        return event.id
    return MADE + blake2b(encode_event(event), digest_size=16).hexdigest()


def care_event_key(device: str, event: AnyCareEvent) -> int:
    """A signed 64-bit number that stands for device and id among a patient's care events."""
    return care_id_key(device, care_event_id(event))


def care_id_key(device: str, id: str) -> int:
    """The same of an event that has that id."""
    return int.from_bytes(blake2b(f"{device}\0{id}".encode(), digest_size=8).digest(), "little", signed=True)


def holding(told: Iterable[tuple[str, AnyEvent]]) -> list[AnyEvent]:
    """Of events, each with its device, those that hold, in their order. What is no care event always does."""
    told, highest = list(told), dict[tuple[str, str], int]()
    for device, one in told:
        if isinstance(one, CareEvent):
            of = device, care_event_id(one)
            highest[of] = max(rank(one), highest.get(of, 0))
    return [
        one
        for device, one in told
        if not isinstance(one, CareEvent)
        or (rank(one) == highest[device, care_event_id(one)] and not isinstance(one, Withdrawal))
    ]


def rank(event: AnyCareEvent) -> int:
    """What is compared of what has one id: 2 * revision, and 1 more of a withdrawal."""
    return 2 * event.revision + isinstance(event, Withdrawal)
