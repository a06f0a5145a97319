"""Clients that wait for little: for a frame, or for no more than what is there now."""

import asyncio
from typing import Any

import pytest

from islet.store.devices_base import Command
from tests.gateways.amqp_peer import ACCEPTED, AmqpPeer, admitted, threaded
from tests.gateways.door import PATIENCE_S, Door, device_token, reading

EVENTS = "/devices/cgm-1/messages/events"
MAILBOX = "/devices/cgm-1/messages/devicebound"
FEEDBACK = "/messages/servicebound/feedback"


async def drained(peer: AmqpPeer, address: str, credit: int = 5) -> list[bytes]:
    """What a receiver gets that wants what is there now, until it is told that this was all."""
    receiver: Any = await peer.receiver(address, 0)

    def ask() -> list[bytes]:
        receiver.link.drain(credit)
        peer.connection.wait(lambda: receiver.link.credit == 0, timeout=PATIENCE_S)
        found = []
        while receiver.fetcher.has_message:
            message = receiver.fetcher.pop()  # its body is a view of it
            found.append(bytes(message.body))
            receiver.accept()
        return found

    found = await threaded(ask)
    await threaded(receiver.close)
    return found


async def test_a_receiver_that_drains_gets_what_is_there_and_waits_for_no_more(door: Door, amqp: int) -> None:
    device = door.add_device()
    for body in (b"one", b"two"):
        await door.exchange.send(door.address(device), Command(body=body, ack="full"))
    async with admitted(amqp, device_token(device)) as peer:
        assert await drained(peer, MAILBOX) == [b"one", b"two"]
        assert await drained(peer, MAILBOX) == []
    async with admitted(amqp, door.policy_token("iothubowner")) as service:
        feedback = await drained(service, FEEDBACK)
        assert b"".join(feedback).count(b'"statusCode":"Success"') == 2
        assert await drained(service, FEEDBACK) == []


@pytest.mark.parametrize("patience_s", [0.5, 2.0])
async def test_a_peer_that_waits_only_so_long_for_a_frame_gets_one(door: Door, amqp: int, patience_s: float) -> None:
    async with admitted(amqp, device_token(door.add_device()), heartbeat=patience_s) as peer:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 3 * patience_s
        await threaded(peer.connection.wait, lambda: loop.time() > until_s, timeout=PATIENCE_S)
        assert await peer.send(EVENTS, reading()) == ACCEPTED
