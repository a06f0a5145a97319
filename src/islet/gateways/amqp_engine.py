"""Proton's engine for one connection, as a server uses it: bytes in, events, bytes out."""

from collections.abc import Callable, Iterator
from typing import Final

from proton import Collector, Connection, Event, Transport

from islet.decode.amqp_frames import Completer, Opening
from islet.errors import ProtocolError
from islet.gateways.amqp_links import end_link

IDLE_S: Final = 240.0
"""IoT Hub's: a peer that sends nothing, not even an empty frame, for so long is gone."""

_MOST_OFTEN_S: Final = 0.1
_MOST_FRAME: Final = 64 * 1024
_MOST_CHANNELS: Final = 16


class Engine:
    """`take` is given each event as soon as it is there; it may cause others."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._transport = Transport(Transport.SERVER)
        self._transport.max_frame_size = _MOST_FRAME
        self._transport.channel_max = _MOST_CHANNELS - 1
        self._transport.idle_timeout = IDLE_S
        self._connection, self._events = Connection(), Collector()
        self._connection.collect(self._events)
        self._transport.bind(self._connection)
        self._opening, self._completer = Opening(), Completer()

    def feed(self, data: bytes) -> None:
        """What came in. Raises ProtocolError, and what Proton does for what is no AMQP."""
        data = self._opening.feed(data)
        while data:
            capacity = self._transport.capacity()
            if capacity < 0:  # it takes no more: closed, or in error
                return
            if not capacity:
                raise ProtocolError("AMQP: expected frames of at most 64 KiB")
            self._transport.push(data[:capacity])
            data = data[capacity:]
            self.dispatch()

    def dispatch(self) -> None:
        """Give out the events that are there."""
        while (event := self._events.peek()) is not None:
            self._take(event)
            self._events.pop()

    def output(self) -> Iterator[bytes]:
        """What is to be written."""
        while (pending := self._transport.pending()) > 0:
            yield self._completer.feed(bytes(self._transport.peek(pending) or b""))
            self._transport.pop(pending)

    @property
    def over(self) -> bool:
        """Whether nothing will ever be written again."""
        return bool(self._transport.pending() < 0)

    def tick(self, now_s: float) -> float:
        """Empty frames in time, and an end where none came; `now_s` is a clock that only goes forward. Within how many
        seconds it has to be called again: sooner where the peer has said that it waits less long [AMQP 2.4.5]."""
        due_s = self._transport.tick(now_s)
        return min(max(due_s - now_s, _MOST_OFTEN_S), IDLE_S / 8) if due_s else IDLE_S / 8

    def open(self, name: str) -> None:
        """Let the peer in."""
        self._connection.container = name
        self._connection.open()

    def close(self, condition: tuple[str, str] | None = None) -> None:
        """Say that it is over, and why."""
        if condition is None:
            self._connection.close()
        else:
            end_link(self._connection, *condition)

    def free(self) -> None:
        """Links, sessions and deliveries may not be touched from here on."""
        self._transport.unbind()
        self._connection.free()
