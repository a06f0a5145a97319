"""Events on their way to the front door."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from islet.model.codec import encode_event
from islet.model.events import AnyEvent

_TOGETHER: Final = 16  # events under way at once


class Sender(Protocol):
    """A device's connection to the front door."""

    async def publish(self, payload: bytes, /) -> None:
        """Return once the event is in the log, however long that takes."""


async def forward(sender: Sender, events: Sequence[AnyEvent]) -> None:
    """Return once all of them are in the log. They are sent in order, but for a few that are under way together."""
    for begin in range(0, len(events), _TOGETHER):
        together = events[begin : begin + _TOGETHER]
        await asyncio.gather(*(sender.publish(encode_event(event)) for event in together))
