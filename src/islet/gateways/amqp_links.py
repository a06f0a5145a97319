"""Both directions of an AMQP link, as a server has them: messages in with an outcome, messages out by credit."""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from proton import Condition, Delivery, Link, Message, Receiver, Sender

from islet.errors import BadInput
from islet.gateways.amqp_messages import decode_message

MOST_MESSAGE_BYTES: Final = 256 * 1024 + 64 * 1024  # IoT Hub's message, and room for properties
WINDOW: Final = 256
"""Messages that one link may have under way; its peer gets no more credit."""

FORCED: Final = "amqp:link:detach-forced"
"""The condition after which the SDK for Node comes again by itself; it knows none that would fit better."""

Told = Callable[[int | None], None]
"""Told once how a message that was sent ended: a state of `Delivery`, None when the link has gone before."""


class Line(Protocol):
    """What links need of their connection."""

    choked: bool
    """Whether the peer does not read what was written already."""

    def wake(self) -> None:
        """There is something to write."""

    def hold(self) -> None:
        """Do not read from the peer until `let_go` was called as often: too much waits for the log."""

    def let_go(self) -> None: ...


class Incoming:
    """A link on which the peer sends. A subclass takes each message and ends it, once, in any order."""

    def __init__(self, link: Receiver, line: Line) -> None:
        self.link, self.line = link, line
        self.closed = False

    def opened(self) -> None:
        self.link.max_message_size = MOST_MESSAGE_BYTES
        self.link.flow(WINDOW)

    def take(self, message: Message, delivery: Delivery) -> None:
        """Raises BadInput for a message that is rejected."""
        raise NotImplementedError

    def take_bytes(self, data: bytes, delivery: Delivery) -> None:
        """The same, before it is decoded."""
        self.take(decode_message(data), delivery)

    def moved(self, delivery: Delivery) -> None:
        """Bytes came, or the peer has settled."""
        if delivery.aborted:
            delivery.settle()
            self.link.flow(1)
            return
        if delivery.pending > MOST_MESSAGE_BYTES:
            self.refuse("amqp:link:message-size-exceeded", f"expected at most {MOST_MESSAGE_BYTES} bytes")
            return
        if not delivery.readable or delivery.partial:
            return
        data = self.link.recv(delivery.pending) if delivery.pending else b""
        self.link.advance()
        try:
            self.take_bytes(data or b"", delivery)
        except BadInput as error:
            self.end(delivery, Delivery.REJECTED, Condition("amqp:decode-error", str(error)))

    def end(self, delivery: Delivery, state: int, condition: Condition | None = None) -> None:
        """Tell the peer how a message ended; it may send another one."""
        if self.closed:
            return
        if condition is not None:
            delivery.local.condition = condition
        delivery.update(state)
        delivery.settle()
        self.link.flow(1)
        self.line.wake()

    def flowed(self) -> None: ...

    def refuse(self, name: str, description: str) -> None:
        """Close the link, and say why."""
        end_link(self.link, name, description)
        self.closed = True
        self.line.wake()

    def ended(self) -> None:
        """The link is closed, or its connection."""
        self.closed = True


class Outgoing:
    """A link on which the peer receives, as much as it has given credit for; the rest waits here."""

    def __init__(self, link: Sender, line: Line) -> None:
        self.link, self.line = link, line
        self.closed = False
        self.on_credit: Callable[[], None] = lambda: None
        self._waiting: deque[tuple[Message, Told | None]] = deque()
        self._told: dict[str, Told] = {}
        self._sent = 0

    def opened(self) -> None: ...

    @property
    def room(self) -> int:
        """How many messages more would go out at once."""
        return 0 if self.closed else max(self.link.credit - len(self._waiting), 0)

    def send(self, message: Message, told: Told | None = None) -> None:
        """Without `told` the peer need not answer."""
        if self.closed:
            if told is not None:
                told(None)
            return
        self._waiting.append((message, told))
        self.flowed()

    def flowed(self) -> None:
        """There may be more credit."""
        while self._waiting and self.link.credit > 0:
            message, told = self._waiting.popleft()
            self._sent += 1
            tag = str(self._sent)
            delivery = self.link.delivery(tag)
            self.link.stream(message.encode())
            self.link.advance()
            if told is None:
                delivery.settle()
            else:
                self._told[tag] = told
            self.line.wake()
        if not self._waiting:
            self.on_credit()

    def moved(self, delivery: Delivery) -> None:
        """The peer has said how a message ended."""
        state = delivery.remote_state
        if not delivery.settled and state not in _FINAL:
            return
        told = self._told.pop(delivery.tag, None)
        delivery.settle()
        if told is not None:
            told(int(state) if state in _FINAL else int(Delivery.ACCEPTED))

    def refuse(self, name: str, description: str) -> None:
        """Close the link, and say why."""
        end_link(self.link, name, description)
        self.ended()
        self.line.wake()

    def ended(self) -> None:
        """The link is closed, or its connection: what was not answered is told so."""
        if self.closed:
            return
        self.closed = True
        left = [told for _, told in self._waiting if told is not None] + list(self._told.values())
        self._waiting.clear()
        self._told.clear()
        for told in left:
            told(None)


def end_link(link: Link, name: str, description: str, info: dict[object, object] | None = None) -> None:
    """Close it from our side with a condition."""
    link.condition = Condition(name, description, info)
    link.close()


_FINAL: Final = (Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED)
