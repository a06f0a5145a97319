"""What somebody at the AMQP door costs who has shown no credential: little memory, and their own connection."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from proton import Message

from islet.gateways import amqp_connection
from tests.gateways.amqp_peer import EVENTS, AmqpPeer, admitted, gone
from tests.gateways.door import PATIENCE_S, Door, device_token

CBS = "$cbs"
SENT_BYTES = 60_000_000
HELD_BYTES = 20_000_000


@pytest.fixture
async def amqp(door: Door) -> AsyncIterator[int]:
    """The port of the door's AMQP listener."""
    yield await door.amqp.listen("127.0.0.1", 0)
    await door.amqp.stop()


def described(code: int, *fields: bytes) -> bytes:
    """A performative, or an end of a link (OASIS AMQP 1.0, part 2)."""
    body = b"".join(fields)
    return b"\x00\x53" + bytes([code, 0xD0]) + number(len(body) + 4) + number(len(fields)) + body


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def uint(value: int) -> bytes:
    return b"\x70" + number(value)


def string(value: str) -> bytes:
    return b"\xa1" + bytes([len(value)]) + value.encode()


def frame(performative: bytes, payload: bytes = b"") -> bytes:
    body = b"\x02\x00\x00\x00" + performative + payload
    return number(len(body) + 4) + body


OPENING = (
    b"AMQP\x00\x01\x00\x00"
    + frame(described(0x10, string("stranger"), string("hub"), uint(65_536)))
    + frame(described(0x11, b"\x40", uint(0), uint(2**31 - 1), uint(2**31 - 1)))
)


def attach(handle: int, address: str, *, receives: bool = False) -> bytes:
    ends = described(0x28, string(address)) + b"", described(0x29, string(address))
    role = b"\x41" if receives else b"\x42"
    return frame(
        described(0x12, string(f"l{handle}"), uint(handle), role, b"\x40", b"\x40", *ends, b"\x40", b"\x40", uint(0))
    )


def transfer(handle: int, id: int, payload: bytes, *, more: bool = False) -> bytes:
    tag = b"\xa0\x04" + number(id)
    return frame(described(0x14, uint(handle), uint(id), tag, b"\x43", b"\x41", b"\x41" if more else b"\x42"), payload)


def tokens_with_long_ids() -> Iterator[bytes]:
    message = Message(body="SharedAccessSignature sr=a&sig=b&se=1", id="i" * 15_000)
    message.properties = {"operation": "put-token"}
    encoded = message.encode()
    return (transfer(0, id, encoded) for id in range(SENT_BYTES // len(encoded)))


def one_message_without_end() -> Iterator[bytes]:
    return (transfer(0, 0, b"x" * 60_000, more=True) for _ in range(SENT_BYTES // 60_000))


def half_a_message_on_each_of_many_links() -> Iterator[bytes]:
    for id in range(SENT_BYTES // 240_000):
        yield attach(id + 2, CBS) + b"".join(transfer(id + 2, id, b"x" * 60_000, more=True) for _ in range(4))


def many_links_that_are_refused() -> Iterator[bytes]:
    return (b"".join(attach(first + handle, EVENTS) for handle in range(100)) for first in range(2, 20_000, 100))


@pytest.mark.parametrize(
    ("address", "flood"),
    [
        (CBS, tokens_with_long_ids),
        (CBS, one_message_without_end),
        (EVENTS, one_message_without_end),
        (CBS, half_a_message_on_each_of_many_links),
        (CBS, many_links_that_are_refused),
    ],
)
async def test_a_flood_of_a_stranger_fills_no_memory_and_others_go_on(
    door: Door, amqp: int, address: str, flood: Callable[[], Iterator[bytes]]
) -> None:
    async with admitted(amqp, device_token(door.add_device())) as steady:
        reader, writer = await asyncio.open_connection("127.0.0.1", amqp)
        writer.write(OPENING + attach(0, address) + attach(1, address, receives=True))
        await _quiet(reader, 0.05)  # its session is open by then
        before = _resident()
        with contextlib.suppress(ConnectionError):
            for count, piece in enumerate(flood()):
                writer.write(piece)
                await writer.drain()
                if count % 64 == 0:
                    await _quiet(reader)
        held = _resident() - before
        assert await steady.put_token(device_token(door.registry.devices()[0])) == 200
        writer.transport.abort()
    assert held < HELD_BYTES


async def test_who_shows_no_credential_has_to_go(door: Door, amqp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_connection, "CREDENTIAL_WITHIN_S", 0.3)
    async with admitted(amqp, device_token(door.add_device())) as known:
        stranger = await AmqpPeer.connected(amqp)
        await asyncio.wait_for(gone(stranger), PATIENCE_S)
        assert await known.put_token(device_token(door.registry.devices()[0])) == 200


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _quiet(reader: asyncio.StreamReader, for_s: float = 0.002) -> None:
    """Read what has come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            while await reader.read(65_536):
                pass
