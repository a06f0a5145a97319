"""Both directions of an AMQP link, as a server has them: messages in with an outcome, messages out by credit."""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from proton import Condition, Delivery, Link, Message, Receiver, Sender

from islet.errors import BadInput
from islet.gateways import server
from islet.gateways.amqp_messages import decode_message
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.registering import Registrar
from islet.store.device_files import DeviceFiles

MOST_MESSAGE_BYTES: Final = 256 * 1024 + 64 * 1024  # IoT Hub's message, and room for properties
WINDOW: Final = 256
"""Messages that one link may have under way; its peer gets no more credit."""

MOST_WAITING_BYTES: Final = 1024 * 1024
"""What may wait for a peer that gives no credit, on one link: answers that it has asked for, and calls."""

MOST_HALF_BYTES: Final = 16 * 1024 * 1024
"""Of messages that are not whole yet, on all links of a session."""

FORCED: Final = "amqp:link:detach-forced"
"""The condition after which the SDK for Node comes again by itself; it knows none that would fit better."""

TOO_LARGE: Final = "amqp:link:message-size-exceeded"
"""What SDKs know as a message that is too large, and do not send again."""

Told = Callable[[int | None], None]
"""Told once how a message that was sent ended: a state of `Delivery`, None when the link has gone before."""


class Server(server.Server[server.C_contra], Protocol[server.C_contra]):
    """What a connection needs of the server."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def event_hub(self) -> EventHub | None: ...
    @property
    def device_files(self) -> DeviceFiles | None: ...
    @property
    def registrar(self) -> Registrar | None: ...
    @property
    def fault_injection(self) -> bool: ...


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

    most_bytes = MOST_MESSAGE_BYTES

    def __init__(self, link: Receiver, line: Line) -> None:
        self.link, self.line = link, line
        self.closed = False

    def opened(self) -> None:
        self.link.max_message_size = self.most_bytes
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
        if delivery.pending > self.most_bytes:
            self.refuse(TOO_LARGE, f"expected at most {self.most_bytes} bytes")
            drop(delivery)
            return
        if delivery.partial and self.link.session.incoming_bytes > MOST_HALF_BYTES:
            self.refuse("amqp:resource-limit-exceeded", f"expected at most {MOST_HALF_BYTES} bytes that are not whole")
            drop(delivery)
            return
        if not delivery.readable or delivery.partial:
            return
        data = self.link.recv(delivery.pending) if delivery.pending else b""
        self.link.advance()
        try:
            self.take_bytes(data or b"", delivery)
        except BadInput as error:
            name = TOO_LARGE if error.reason == "size" else "amqp:decode-error"
            self.end(delivery, Delivery.REJECTED, Condition(name, str(error)))

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
    """A link on which the peer receives, as much as it has given credit for; the rest waits here.

    Whoever sets `on_credit`, because there may be more elsewhere, calls `nothing_more` when there is not.
    """

    def __init__(self, link: Sender, line: Line) -> None:
        self.link, self.line = link, line
        self.closed = False
        self.on_credit: Callable[[], None] = self.nothing_more
        self._waiting: deque[tuple[bytes, Told | None]] = deque()
        self._waiting_bytes = 0
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
        encoded = message.encode()
        self._waiting.append((encoded, told))
        self._waiting_bytes += _COST_BYTES + len(encoded)
        self.flowed()
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.refuse("amqp:resource-limit-exceeded", "expected credit for what was asked for")

    def flowed(self) -> None:
        """There may be more credit."""
        while self._waiting and self.link.credit > 0:
            encoded, told = self._waiting.popleft()
            self._waiting_bytes -= _COST_BYTES + len(encoded)
            self._sent += 1
            tag = str(self._sent)
            delivery = self.link.delivery(tag)
            self.link.stream(encoded)
            self.link.advance()
            if told is not None and self.link.snd_settle_mode != Link.SND_SETTLED:
                self._told[tag] = told
            else:
                delivery.settle()
                if told is not None:  # the peer has asked not to be asked
                    told(int(Delivery.ACCEPTED))
            self.line.wake()
        if not self._waiting:
            self.on_credit()

    def nothing_more(self) -> None:
        """A peer that wants what is there now, and will wait for nothing (AMQP 1.0, 2.6.7), is told that this was all."""
        if not self.closed and self.link.drain_mode and self.link.credit > 0 and not self._waiting:
            self.link.drained()
            self.line.wake()

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
        self._waiting_bytes = 0
        self._told.clear()
        for told in left:
            told(None)


def drop(delivery: Delivery) -> None:
    """Keep nothing of a message that comes over a link which is refused or closed; its peer may not know yet."""
    if delivery.pending:
        delivery.link.recv(delivery.pending)
    if not delivery.partial:
        delivery.settle()


def accept_link(link: Link) -> None:
    """Open it as the peer has it."""
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    settle_as_asked(link)
    link.open()


def settle_as_asked(link: Link) -> None:
    """Answer with the peer's modes of settling: clients in Go end a link that is answered with others."""
    link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode


def end_link(link: Link, name: str, description: str, info: dict[object, object] | None = None) -> None:
    """Close it from our side with a condition."""
    link.condition = Condition(name, description, info)
    link.close()


_COST_BYTES: Final = 500
"""Of a message that waits, beside its own."""

_FINAL: Final = (Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED)
