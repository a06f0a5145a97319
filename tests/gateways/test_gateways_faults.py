"""Faults of its own connection that a device asks for; and that nobody is heard where they are not allowed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from proton import ProtonException
from proton.utils import LinkDetached

from islet.decode.faults import Fault, asked_fault
from islet.model.topics import Topic
from tests.gateways.amqp_peer import ACCEPTED, EVENTS, REJECTED, AmqpPeer, admitted, threaded
from tests.gateways.door import PATIENCE_S, Door, device_token, telemetry

KIND, DELAY, DURATION = (f"AzIoTHub_FaultOperation{name}" for name in ("Type", "DelayInSecs", "DurationInSecs"))


@pytest.fixture
async def faulty() -> AsyncIterator[Door]:
    async with Door.opened(fault_injection=True) as door:
        yield door


@contextlib.asynccontextmanager
async def device(door: Door) -> AsyncIterator[AmqpPeer]:
    port = await door.amqp.listen("127.0.0.1", 0)
    try:
        async with admitted(port, device_token(door.add_device())) as peer:
            yield peer
    finally:
        await door.amqp.stop()


async def test_where_they_are_not_allowed_the_message_is_one_like_any_other(door: Door) -> None:
    async with device(door) as peer:
        assert await peer.send(EVENTS, b"x", properties={KIND: "KillTcp"}) == ACCEPTED
        assert await peer.send(EVENTS, b"y") == ACCEPTED
    assert len(door.rows(Topic.DEAD_LETTERS)) == 2


@pytest.mark.parametrize("kind", ["KillTcp", "ShutDownAmqp", "KillAmqpConnection"])
async def test_a_connection_ends_as_its_device_has_asked(faulty: Door, kind: str) -> None:
    async with device(faulty) as peer:
        link = await peer.receiver("/devices/cgm-1/messages/devicebound")
        assert await peer.send(EVENTS, b"x", properties={KIND: kind, DELAY: 0.2}) == ACCEPTED
        with pytest.raises(ProtonException):
            await threaded(link.receive, PATIENCE_S)
    assert faulty.rows(Topic.DEAD_LETTERS) == []


async def test_a_session_ends_as_its_device_has_asked(faulty: Door) -> None:
    async with device(faulty) as peer:
        link = await peer.receiver("/devices/cgm-1/messages/devicebound")
        assert await peer.send(EVENTS, b"x", properties={KIND: "KillAmqpSession", DELAY: 0.2}) == ACCEPTED
        with pytest.raises(ProtonException):
            await threaded(link.receive, 1.0)
        assert link.link.session.remote_condition.name == "amqp:link:detach-forced"


async def test_only_the_link_that_was_named_ends(faulty: Door) -> None:
    async with device(faulty) as peer:
        link = await peer.receiver("/devices/cgm-1/messages/devicebound")
        assert await peer.send(EVENTS, b"x", properties={KIND: "KillAmqpC2DLink", DELAY: 0.2}) == ACCEPTED
        with pytest.raises(LinkDetached, match="detach-forced"):
            await threaded(link.receive, PATIENCE_S)
        assert await peer.send(EVENTS, b"y") == ACCEPTED


@pytest.mark.parametrize("kind", ["InvokeThrottling", "InvokeMaxMessageQuota", "InvokeAuthError"])
async def test_telemetry_is_refused_for_as_long_as_was_asked(faulty: Door, kind: str) -> None:
    async with device(faulty) as peer:
        assert await peer.send(EVENTS, b"x", properties={KIND: kind, DURATION: 0.3}) == ACCEPTED
        assert await peer.send(EVENTS, b"y") == REJECTED
        async with asyncio.timeout(PATIENCE_S):
            while await peer.send(EVENTS, b"z") == REJECTED:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("allowed", [True, False])
async def test_over_mqtt_the_socket_ends(allowed: bool) -> None:
    async with Door.opened(fault_injection=allowed) as door:
        known = door.add_device()
        peer = await door.connected(known)
        peer.send(telemetry(known, b"x", 1, f"{KIND}=KillTcp"))
        assert await peer.receive() is not None
        peer.send(telemetry(known, b"y", 2))
        assert (await peer.receive() is None) is allowed


def test_numbers_that_are_none_are_no_delay_and_the_longest_is_ten_minutes() -> None:
    for text, seconds in (("2.5", 2.5), ("x", 0.0), ("-1", 0.0), ("nan", 0.0), ("inf", 600.0), ("", 0.0)):
        assert asked_fault({KIND: "KillTcp", DELAY: text}) == Fault("KillTcp", "", seconds, 0.0)
    assert asked_fault({DELAY: "1"}) is None
