"""Who gets in over AMQP, and for how long, as Proton's own client sees it."""

import asyncio

import pytest
from proton import ConnectionException, Message
from proton.utils import LinkDetached

from islet.access.sas import new_key
from islet.store.hub_policies import Which, renew_key
from tests.gateways.amqp_peer import (
    ACCEPTED,
    COMMANDS,
    EVENTS,
    REJECTED,
    SEND,
    TWIN,
    AmqpPeer,
    admitted,
    gone,
    threaded,
)
from tests.gateways.door import HUB, NOW_S, NOW_US, Door, device_token, reading


async def test_without_a_good_token_no_link_is_attached(door: Door, amqp: int) -> None:
    device, other = door.add_device(), door.add_device("cgm-2")
    told: list[tuple[str, str, str]] = []
    door.authenticator.turned_away = lambda *attempt: told.append(attempt)
    async with admitted(amqp) as peer:
        with pytest.raises(LinkDetached, match=r"unauthorized.*no token that is good for this device now was put"):
            await peer.sender(EVENTS)
        for bad in (device_token(device, key=new_key()), device_token(device, expires_s=NOW_S - 1), "no token"):
            assert await peer.put_token(bad) == 401
        assert told == [("connection", name, "127.0.0.1") for name in ("cgm-1", "", "", "")]
        assert await peer.put_token(device_token(other)) == 200
        for address in (EVENTS, COMMANDS, TWIN, "/devices/cgm-1/methods/devicebound", SEND):
            with pytest.raises(LinkDetached, match="unauthorized"):
                await peer.sender(address)
        for address in (SEND, "/messages/servicebound/feedback"):
            with pytest.raises(LinkDetached):
                await peer.receiver(address)
        with pytest.raises(LinkDetached, match="not-found"):
            await peer.sender("/messages")
        assert await peer.send("/devices/cgm-2/messages/events", reading()) == ACCEPTED


@pytest.mark.parametrize("policy", ["service", "registryRead", "device"])
async def test_only_who_may_send_commands_does(door: Door, amqp: int, policy: str) -> None:
    device = door.add_device()
    async with admitted(amqp, door.policy_token(policy)) as peer:
        if policy != "service":
            with pytest.raises(LinkDetached, match="unauthorized"):
                await peer.sender(SEND)
            return
        assert await peer.send(SEND, b"buzz", address=COMMANDS) == ACCEPTED
        assert await peer.send(SEND, b"buzz", address="/devices/nobody/messages/devicebound") == REJECTED
        assert await peer.send(SEND, b"buzz", address="/devices") == REJECTED
        assert await peer.send(SEND, b"b" * (256 * 1024 + 1), address=COMMANDS) == REJECTED
    (letter,) = await door.exchange.take_one(door.address(device))
    assert letter.command.body == b"buzz"


async def test_sasl_plain_brings_a_token_of_a_device_or_a_policy(door: Door, amqp: int) -> None:
    device = door.add_device()
    plain = {"allowed_mechs": "PLAIN", "user": f"cgm-1@sas.{HUB}"}
    async with admitted(amqp, **plain, password=device_token(device)) as peer:
        assert await peer.send(EVENTS, reading()) == ACCEPTED
    async with admitted(amqp, **plain, password=door.policy_token("service")) as peer:
        assert await peer.send(SEND, b"buzz", address=COMMANDS) == ACCEPTED
    with pytest.raises(ConnectionException):
        await AmqpPeer.connected(amqp, **plain, password=device_token(device, key=new_key()))


async def test_a_connection_ends_with_its_token_and_not_with_one_that_was_renewed() -> None:
    now_us = NOW_US
    async with Door.opened(wall_now=lambda: now_us) as door:
        port = await door.amqp.listen("127.0.0.1", 0)
        first, second = door.add_device(), door.add_device("cgm-2")
        async with (
            admitted(port, device_token(first, expires_s=NOW_S + 60)) as ends,
            admitted(port, device_token(second, expires_s=NOW_S + 60)) as stays,
        ):
            await ends.sender(EVENTS)
            sender = await stays.sender("/devices/cgm-2/messages/events")
            assert await stays.put_token(device_token(second)) == 200
            now_us = (NOW_S + 60) * 1_000_000 - 100_000  # a tenth of a second before the end
            await door.amqp.refresh()
            assert door.exchange.presence.online() == {"cgm-1", "cgm-2"}
            now_us += 100_000
            await gone(ends)
            await threaded(sender.send, Message(body=reading(), inferred=True))
            assert door.exchange.presence.online() == {"cgm-2"}
        await door.amqp.stop()


async def test_a_device_that_may_no_longer_is_disconnected_within_a_second(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        await peer.sender(EVENTS)
        door.change_device("cgm-1", enabled=False)
        await gone(peer)


async def test_a_service_whose_key_was_renewed_is_disconnected_within_a_second(door: Door, amqp: int) -> None:
    door.add_device()
    async with admitted(amqp, door.policy_token("service")) as peer:
        await peer.receiver("/messages/servicebound/feedback")
        renew_key(door.registry, "service", Which.SECONDARY, by="test", at_us=0)
        await asyncio.sleep(0.7)  # a look at the registry, at which nothing is amiss
        assert await peer.send(SEND, b"buzz", address=COMMANDS) == ACCEPTED
        renew_key(door.registry, "service", Which.PRIMARY, by="test", at_us=0)
        await gone(peer)
    async with admitted(amqp) as peer:
        assert await peer.put_token(door.policy_token("service")) == 200
