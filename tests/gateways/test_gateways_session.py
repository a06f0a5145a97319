"""What an MQTT client gets from services over real sockets: commands, twins, methods, kept subscriptions."""

import asyncio
import json
from random import Random
from typing import Any

import pytest

from islet.decode.iothub import parse_properties
from islet.decode.iothub_twins import ServiceTwin
from islet.decode.mqtt_packets import (
    Connack,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from islet.gateways.mqtt_session import COMMAND_WINDOW
from islet.gateways.presence import MOST_MODULES, NoAnswer, NotOnline
from islet.gateways.turnstile import LONGEST_REFUSAL_S, Turnstile
from islet.model.people import Device
from islet.store.devices_base import Command, Module, Outcome
from tests.gateways.door import NOW_S, NOW_US, Door, Peer, hello

COMMANDS = "devices/cgm-1/messages/devicebound/#"
TWIN = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"


async def subscribed(door: Door, device: Device, *filters: str, **options: Any) -> Peer:
    peer = await door.connected(device, **options)
    peer.send(Subscribe(1, tuple((text, 1) for text in filters)))
    assert await peer.receive() == Suback(1, (1,) * len(filters))
    return peer


async def command(peer: Peer) -> Publish:
    packet = await peer.receive()
    assert isinstance(packet, Publish) and packet.topic.startswith(COMMANDS[:-1])
    return packet


def rid_of(call: Packet | None) -> str:
    """What an answer to a method call has to bring back."""
    assert isinstance(call, Publish)
    return call.topic.partition("?$rid=")[2]


async def quiet(peer: Peer) -> bool:
    """Whether nothing was under way to the peer when the server answered its ping."""
    peer.send(Pingreq())
    return await peer.receive() == Pingresp()


async def settled(door: Door) -> None:
    """Return once the store has done what it was asked before."""
    await door.exchange.write(lambda: None)


async def test_a_command_that_was_sent_while_the_device_was_away_waits_for_it(door: Door) -> None:
    device = door.add_device()
    properties = {"$.mid": "m 1", "kind": "a/b&c=d", "empty": ""}
    await door.exchange.send(door.address(device), Command(body=b"buzz", properties=properties, ack="full"))
    peer = await subscribed(door, device, COMMANDS)
    got = await command(peer)
    assert (got.payload, got.qos, got.dup) == (b"buzz", 1, False)
    bag = parse_properties(got.topic[len(COMMANDS) - 1 :])
    assert bag == {
        **properties,
        "$.to": "/devices/cgm-1/messages/deviceBound",
        "$.exp": "2026-11-21T09:03:00.950000Z",
        "iothub-ack": "full",
    }
    peer.send(Puback(got.packet_id))
    assert await quiet(peer)
    await settled(door)
    assert door.devices.pending_commands() == {}
    feedback = door.devices.take_feedback(NOW_US)
    assert feedback is not None and feedback.records[0].outcome is Outcome.SUCCESS


async def test_a_connected_device_gets_commands_at_once_in_order_and_as_many_as_its_window_takes(door: Door) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, COMMANDS)
    for number in range(COMMAND_WINDOW + 3):
        await door.exchange.send(door.address(device), Command(body=str(number).encode()))
    got = [await command(peer) for _ in range(COMMAND_WINDOW)]
    assert [packet.payload for packet in got] == [str(number).encode() for number in range(COMMAND_WINDOW)]
    assert len({packet.packet_id for packet in got}) == COMMAND_WINDOW
    await settled(door)
    assert await quiet(peer)
    peer.send(*(Puback(packet.packet_id) for packet in got))
    rest = [await command(peer) for _ in range(3)]
    assert [int(packet.payload) for packet in rest] == [16, 17, 18]


async def test_a_command_that_was_not_acknowledged_comes_again_on_the_next_connection(door: Door) -> None:
    """Also when the new connection throws the old one out."""
    device = door.add_device()
    first = await subscribed(door, device, COMMANDS)
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    assert not (await command(first)).dup
    second = await door.connected(device)
    again = await command(second)
    assert (again.payload, again.dup) == (b"buzz", True)
    second.hang_up()
    third = await door.connected(device)
    last = await command(third)
    third.send(Puback(last.packet_id))
    assert await quiet(third)
    await settled(door)
    assert door.devices.pending_commands() == {}


async def test_a_puback_for_what_came_with_qos_0_is_passed_over(door: Door) -> None:
    """The SDK for Java 1.34 sends it for each answer about the twin, and each method."""
    peer = await subscribed(door, door.add_device(), COMMANDS, "$iothub/twin/res/#")
    for number in (1, 2):
        peer.send(Publish(f"$iothub/twin/GET/?$rid={number}", b""), Puback(number))
        answer = await peer.receive()
        assert isinstance(answer, Publish) and answer.topic == f"$iothub/twin/res/200/?$rid={number}"
    assert await quiet(peer)


async def test_with_qos_0_a_command_is_told_once(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(Subscribe(1, ((COMMANDS, 0),)))
    assert await peer.receive() == Suback(1, (0,))
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    assert (await command(peer)).qos == 0
    await settled(door)
    assert door.devices.pending_commands() == {}


async def test_subscriptions_are_kept_for_those_who_want_it(door: Door) -> None:
    device = door.add_device()
    peer = await door.peer()
    peer.send(hello(device))
    assert await peer.receive() == Connack(0)
    peer.send(Subscribe(1, ((COMMANDS, 1), (TWIN, 0))), Unsubscribe(2, (TWIN,)))
    assert [await peer.receive(), await peer.receive()] == [Suback(1, (1, 0)), Unsuback(2)]
    peer.hang_up()
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    back = await door.peer()
    back.send(hello(device))
    assert await back.receive() == Connack(0, True)
    assert (await command(back)).payload == b"buzz"
    assert door.devices.session(door.address(device)) == ((COMMANDS, 1),)


async def test_a_clean_session_begins_with_nothing_and_leaves_nothing(door: Door) -> None:
    device = door.add_device()
    await subscribed(door, device, COMMANDS)
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    clean = await door.peer()
    clean.send(hello(device, clean_session=True))
    assert await clean.receive() == Connack(0)
    await settled(door)
    assert await quiet(clean)
    assert door.devices.session(door.address(device)) is None
    clean.send(Subscribe(1, ((COMMANDS, 1),)))
    assert await clean.receive() == Suback(1, (1,))
    assert (await command(clean)).payload == b"buzz"
    clean.hang_up()
    last = await door.peer()
    last.send(hello(device))
    assert await last.receive() == Connack(0)


async def test_a_twin_is_reported_read_and_its_desired_half_is_told(door: Door) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, TWIN, DESIRED)
    peer.send(Publish("$iothub/twin/PATCH/properties/reported/?$rid=a", b'{"battery":80}'))
    assert await peer.receive() == Publish("$iothub/twin/res/204/?$rid=a&$version=2", b"")
    wanted = ServiceTwin(desired={"every_s": 60}, tags={"ward": 4})
    await door.exchange.change_twin(door.address(device), wanted)
    told = await peer.receive()
    assert isinstance(told, Publish) and told.topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
    assert json.loads(told.payload) == {"every_s": 60, "$version": 2}
    peer.send(Publish("$iothub/twin/GET/?$rid=b", b" "))
    twin = await peer.receive()
    assert isinstance(twin, Publish) and twin.topic == "$iothub/twin/res/200/?$rid=b"
    assert json.loads(twin.payload) == {
        "desired": {"every_s": 60, "$version": 2},
        "reported": {"battery": 80, "$version": 2},
    }
    await door.exchange.change_twin(door.address(device), ServiceTwin(tags={"ward": 5}))
    assert await quiet(peer)


async def test_a_read_behind_a_report_sees_it(door: Door) -> None:
    peer = await subscribed(door, door.add_device(), TWIN)
    for number in range(100):
        report = Publish("$iothub/twin/PATCH/properties/reported/?$rid=a", json.dumps({"n": number}).encode())
        peer.send(report, Publish("$iothub/twin/GET/?$rid=b", b""))
    for number in range(100):
        assert isinstance(await peer.receive(), Publish)
        twin = await peer.receive()
        assert isinstance(twin, Publish) and json.loads(twin.payload)["reported"]["n"] == number


@pytest.mark.parametrize("body", [b"", b"?", b"[]", b'{"$version":3}', b'{"a":{"b c":1}}'])
async def test_a_report_that_is_none_is_400_and_changes_nothing(door: Door, body: bytes) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, TWIN)
    peer.send(Publish("$iothub/twin/PATCH/properties/reported/?$rid=a", body, 1, 9))
    answers = [await peer.receive(), await peer.receive()]
    assert Puback(9) in answers and Publish("$iothub/twin/res/400/?$rid=a", b"") in answers
    assert door.devices.twins() == {}


async def test_a_method_is_called_and_answered(door: Door) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, METHODS)
    calling = asyncio.create_task(
        door.exchange.invoke(door.address(device), "measure now", b'{"in_s":5}', answer_s=5.0)
    )
    call = await peer.receive()
    assert isinstance(call, Publish)
    rid = rid_of(call)
    assert (call.topic, call.payload, call.qos) == (
        f"$iothub/methods/POST/measure%20now/?$rid={rid}",
        b'{"in_s":5}',
        0,
    )
    peer.send(Publish(f"$iothub/methods/res/207/?$rid={rid}", b'"done"', 1, 3))
    assert await peer.receive() == Puback(3)
    assert await calling == (207, b'"done"')
    peer.send(Publish(f"$iothub/methods/res/207/?$rid={rid}", b'"again"'))
    assert await quiet(peer)


async def test_a_method_of_one_who_is_not_there_or_does_not_answer_fails(door: Door) -> None:
    device = door.add_device()
    address = door.address(device)
    with pytest.raises(NotOnline):
        await door.exchange.invoke(address, "m", b"null", answer_s=5.0)
    peer = await subscribed(door, device, COMMANDS)
    with pytest.raises(NotOnline):
        await door.exchange.invoke(address, "m", b"null", answer_s=5.0, connect_s=0.01)
    peer.send(Subscribe(2, ((METHODS, 0),)))
    assert await peer.receive() == Suback(2, (0,))
    with pytest.raises(NoAnswer):
        await door.exchange.invoke(address, "m", b"null", answer_s=0.02)
    late = rid_of(await peer.receive())
    peer.send(Publish(f"$iothub/methods/res/200/?$rid={late}", b"1"))  # nobody minds
    calling = asyncio.create_task(door.exchange.invoke(address, "m", b"null", answer_s=5.0))
    assert isinstance(await peer.receive(), Publish)
    peer.hang_up()
    with pytest.raises(NoAnswer):
        await calling


async def test_a_caller_may_wait_for_the_device_to_connect(door: Door) -> None:
    device = door.add_device()
    calling = asyncio.create_task(door.exchange.invoke(door.address(device), "m", b"null", answer_s=5.0, connect_s=5.0))
    peer = await subscribed(door, device, METHODS)
    peer.send(Publish(f"$iothub/methods/res/200/?$rid={rid_of(await peer.receive())}", b"1"))
    assert await calling == (200, b"1")


async def test_a_registered_module_has_keys_and_a_twin_of_its_own(door: Door) -> None:
    device = door.add_device()
    other = door.add_device("cgm-2")
    module = Module(
        device="cgm-1",
        id="m1",
        generation_id="9",
        primary_key=other.primary_key,
        secondary_key=other.secondary_key,
    )
    door.devices.create_module(module)
    stranger = await door.peer()
    stranger.send(hello(device, module="m1"))
    assert await stranger.receive() == Connack(5)
    peer = await door.connected(device, module="m1", key=module.primary_key)
    peer.send(Subscribe(1, ((TWIN, 0),)), Publish("$iothub/twin/PATCH/properties/reported/?$rid=a", b'{"a":1}'))
    answers = [await peer.receive(), await peer.receive()]
    assert Publish("$iothub/twin/res/204/?$rid=a&$version=2", b"") in answers
    assert door.devices.twin(door.address(device)).version == 1


async def test_a_device_is_connected_as_so_many_modules_and_no_more(door: Door) -> None:
    device = door.add_device()
    peers = [await door.connected(device, module=f"m{number}") for number in range(MOST_MODULES)]
    late = await door.peer()
    late.send(hello(device, module="late"))
    assert await late.receive() == Connack(5)
    again = await door.connected(device, module="m0")  # as before, its newer connection wins
    assert await peers[0].receive() is None
    await door.connected(device)
    again.send(Disconnect())
    assert await again.receive() is None
    await door.connected(device, module="late")


async def test_a_flood_of_twin_requests_is_held_back_and_all_are_answered(door: Door) -> None:
    peer = await subscribed(door, door.add_device(), TWIN)
    peer.send(*(Publish(f"$iothub/twin/GET/?$rid={number}", b"") for number in range(1000)))
    answers: list[Packet | None] = [await peer.receive() for _ in range(1000)]
    assert [packet.topic for packet in answers if isinstance(packet, Publish)] == [
        f"$iothub/twin/res/200/?$rid={number}" for number in range(1000)
    ]


async def test_when_everybody_comes_at_once_some_are_told_to_come_later_at_different_times() -> None:
    turnstile = Turnstile(Random(1), per_s=0.0, at_once=2.0)
    assert [turnstile.refusal_s(0.0) for _ in range(2)] == [None, None]
    waits = [turnstile.refusal_s(0.0) for _ in range(100)]
    assert len({*waits}) == 100
    assert all(wait is not None and 0 <= wait <= LONGEST_REFUSAL_S for wait in waits)
    slow = Turnstile(Random(1), per_s=10.0, at_once=1.0)
    assert slow.refusal_s(1.0) is None and slow.refusal_s(1.05) is not None
    assert slow.refusal_s(1.2) is None

    class Soon(Random):
        def uniform(self, a: float, b: float) -> float:
            return 0.01

    async with Door.opened(turnstile=Turnstile(Soon(), per_s=0.0, at_once=1.0)) as door:
        device = door.add_device()
        inside = await door.connected(device)
        outside = await door.peer()
        outside.send(hello(device, expires_s=NOW_S + 60))
        assert (await outside.receive(), await outside.receive()) == (Connack(3), None)
        assert await quiet(inside)
