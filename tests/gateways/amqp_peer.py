"""A peer that speaks AMQP 1.0 with Proton's own client, in a thread; and bytes of its engine, to be spoiled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self, TypeVar

import pytest
from proton import Connection, ConnectionException, Delivery, Message, ProtonException, Transport
from proton.utils import BlockingConnection, LinkDetached

from tests.gateways.door import PATIENCE_S

EVENTS = "/devices/cgm-1/messages/events"
COMMANDS = "/devices/cgm-1/messages/devicebound"
TWIN = "/devices/cgm-1/twin"
SEND = "/messages/devicebound"
Result = TypeVar("Result")


async def threaded(act: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    return await asyncio.to_thread(act, *arguments, **named)


class AmqpPeer:
    """A connection; its links block a thread of their own until they are answered."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @classmethod
    async def connected(cls, port: int, **options: Any) -> Self:
        """Raises what Proton does where it is not let in."""
        given = {"allowed_mechs": "ANONYMOUS", "allow_insecure_mechs": True, "reconnect": False, **options}
        return cls(await threaded(BlockingConnection, f"amqp://127.0.0.1:{port}", timeout=3 * PATIENCE_S, **given))

    async def put_token(self, token: str, audience: str = "") -> int:
        """The status that it is answered with."""
        sender, receiver = await self.sender("$cbs"), await self.receiver("$cbs")
        request = Message(body=token, id="1", reply_to="cbs")
        request.properties = {"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": audience}
        await threaded(sender.send, request)
        answer = await threaded(receiver.receive, PATIENCE_S)
        assert answer.correlation_id == "1"
        for link in (sender, receiver):
            await threaded(link.close)
        return int(answer.properties["status-code"])

    async def sender(self, address: str) -> Any:
        return await threaded(self.connection.create_sender, address)

    async def receiver(self, address: str, credit: int = 10) -> Any:
        return await threaded(self.connection.create_receiver, address, credit)

    async def send(self, address: str, body: bytes, /, **fields: Any) -> int:
        """How one message ended."""
        sender = await self.sender(address)
        delivery = await threaded(sender.send, Message(body=body, inferred=True, **fields), error_states=())
        await threaded(sender.close)
        return int(delivery.remote_state)

    async def send_raw(self, address: str, encoded: bytes) -> int:
        """How a message that is these bytes ended."""
        sender = await self.sender(address)
        delivery = await threaded(sender.send, RawMessage(encoded), error_states=())
        await threaded(sender.close)
        return int(delivery.remote_state)

    async def close(self) -> None:
        await threaded(self.connection.close)


@contextlib.asynccontextmanager
async def admitted(port: int, token: str = "", **options: Any) -> AsyncIterator[AmqpPeer]:
    """A connection with a token put (where there is one)."""
    peer = await AmqpPeer.connected(port, **options)
    try:
        if token:
            assert await peer.put_token(token) == 200
        yield peer
    finally:
        with contextlib.suppress(ProtonException):
            await peer.close()


class RawMessage(Message):  # type: ignore[misc]  # Proton's annotations are not read
    """A message whose bytes are given."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self._encoded = encoded

    def encode(self) -> bytes:
        return self._encoded


def batch(*messages: Message) -> bytes:
    """What SDKs send with the format 0x80013700: each message in a data section of one."""
    encoded = [message.encode() for message in messages]
    return b"".join(b"\x00\x53\x75\xb0" + len(one).to_bytes(4, "big") + one for one in encoded)


ACCEPTED, REJECTED, RELEASED = int(Delivery.ACCEPTED), int(Delivery.REJECTED), int(Delivery.RELEASED)


def opening_bytes(addresses: list[str], credit: int = 10) -> bytes:
    """What a client without SASL writes that opens both links of each address."""
    transport, connection = Transport(), Connection()
    transport.bind(connection)
    connection.container, connection.hostname = "fuzz", "hub"
    connection.open()
    session = connection.session()
    session.open()
    for address in addresses:
        for link in (session.sender(f"s{address}"), session.receiver(f"r{address}")):
            link.target.address = link.source.address = address
            link.open()
            if link.is_receiver:
                link.flow(credit)
    data = b""
    while (pending := transport.pending()) > 0:
        data += transport.peek(pending)
        transport.pop(pending)
    return data


def transfer_bytes(links: int, messages: int, first: int = 0) -> bytes:
    """Messages on the links by turns, without a look at credit, as Proton would not send them."""
    body = Message(body=b"{}", inferred=True, correlation_id="1").encode()
    data = b""
    for number in range(first, first + messages):
        # handle, delivery-id, delivery-tag, message-format, settled
        fields = bytes((0x52, 2 * (number % links), 0x52, number, 0xA0, 1, number, 0x43, 0x42))
        frame = b"\x02\x00\x00\x00" + b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 5)) + fields + body
        data += (len(frame) + 4).to_bytes(4, "big") + frame
    return data


def sasl_plain(response: bytes) -> bytes:
    """What a client writes first that comes with a name and a token."""
    fields = b"\xa3\x05PLAIN" + b"\xb0" + len(response).to_bytes(4, "big") + response
    body = b"\x00\x53\x41\xd0" + (len(fields) + 4).to_bytes(4, "big") + (2).to_bytes(4, "big") + fields
    return b"AMQP\x03\x01\x00\x00" + (len(body) + 8).to_bytes(4, "big") + b"\x02\x01\x00\x00" + body


async def gone(peer: AmqpPeer) -> None:
    """Wait until the peer's connection is closed by the server."""

    def wait() -> None:
        peer.connection.wait(lambda: False, timeout=PATIENCE_S)

    with pytest.raises((ConnectionException, LinkDetached)):
        await threaded(wait)
