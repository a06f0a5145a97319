"""What a client of MQTT 5 gets from services: subscriptions, commands, twin, methods; sessions and registration."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from islet.access.sas import make_token
from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt5_packets import (
    Connack5,
    Connect5,
    Disconnect5,
    Puback5,
    Publish5,
    Suback5,
    Subscribe5,
    Unsuback5,
    Unsubscribe5,
)
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import Pingreq, Pingresp, Publish
from islet.gateways.mqtt5_connection import FOR_EVER
from islet.store.devices_base import Command, Outcome
from tests.gateways.door import ID_SCOPE, NOW_S, NOW_US, Door, hello5, reading
from tests.gateways.peer5 import (
    COMMANDS,
    METHODS,
    TWIN,
    ending,
    sent,
    settled,
    subscribed,
)


async def test_filters_are_granted_one_by_one(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    wanted = ((TWIN, 0), ("#", 0), (COMMANDS, 2), (f"$share/g/{COMMANDS}", 1))
    peer.send(Subscribe5(1, wanted))
    answer = await peer.receive()
    assert isinstance(answer, Suback5)
    assert answer.codes == (0, Code.FILTER, 1, Code.SHARED)
    assert "topic filters" in (answer.properties.reason or "")
    peer.send(Unsubscribe5(2, (TWIN, "#")))
    assert await peer.receive() == Unsuback5(2, (0, Code.NO_SUBSCRIPTION))


async def test_options_of_a_subscription_are_taken(door: Door) -> None:
    """No local, retain as published, retain handling 2: here they make no difference."""
    peer = await door.connected5(door.add_device())
    text = TWIN.encode()
    for options in (0x04, 0x08, 0x10, 0x20, 0x2C):
        body = b"\x00\x01\x00" + len(text).to_bytes(2, "big") + text + bytes((options,))
        peer.send_bytes(bytes((0x82, len(body))) + body)
        assert await peer.receive() == Suback5(1, (0,))


async def test_a_command_has_its_properties_twice_and_the_identifier_of_its_subscription(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected5(device)
    peer.send(Subscribe5(1, ((COMMANDS, 1),), Properties(subscription_identifiers=(268_435_455,))))
    assert await peer.receive() == Suback5(1, (1,))
    own = {"$.mid": "m 1", "$.cid": "c", "$.ct": "a/b", "$.ce": "UTF-8", "kind": "x", "nul": "\0"}
    own["response-topic"] = "r/t"
    await door.exchange.send(door.address(device), Command(body=b"buzz", properties=own, ack="full"))
    got = await peer.receive()
    assert isinstance(got, Publish5)
    assert (got.payload, got.qos, got.dup, got.retain) == (b"buzz", 1, False, False)
    assert got.topic.startswith(COMMANDS[:-1]) and "kind=x" in got.topic and "nul=%00" in got.topic
    assert got.properties == Properties(
        payload_format=1,
        message_expiry_s=3600,
        content_type="a/b",
        response_topic="r/t",
        correlation_data=b"c",
        subscription_identifiers=(268_435_455,),
        user=(
            ("$.to", "/devices/cgm-1/messages/deviceBound"),
            ("iothub-ack", "full"),
            ("$.mid", "m 1"),
            ("kind", "x"),
        ),
    )
    peer.send(Puback5(got.packet_id))
    peer.send(Pingreq())
    assert await peer.receive() == Pingresp()
    await settled(door)
    feedback = door.devices.take_feedback(NOW_US)
    assert feedback is not None and feedback.records[0].outcome is Outcome.SUCCESS


@pytest.mark.parametrize("is_too_large", [False, True])
async def test_a_command_that_the_device_refuses_or_cannot_take_is_rejected_and_does_not_come_again(
    door: Door, is_too_large: bool
) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, COMMANDS, properties=Properties(maximum_packet_bytes=500))
    await door.exchange.send(door.address(device), Command(body=bytes(400 if is_too_large else 1), ack="full"))
    if not is_too_large:
        got = await peer.receive()
        assert isinstance(got, Publish5)
        peer.send(Puback5(got.packet_id, 0x83))
    await door.exchange.send(door.address(device), Command(body=b"next"))
    after = await peer.receive()
    assert isinstance(after, Publish5) and after.payload == b"next"
    await settled(door)
    feedback = door.devices.take_feedback(NOW_US)
    assert feedback is not None and feedback.records[0].outcome is Outcome.REJECTED


async def test_no_more_commands_are_under_way_than_the_device_takes(door: Door) -> None:
    device = door.add_device()
    for number in range(5):
        await door.exchange.send(door.address(device), Command(body=str(number).encode()))
    peer = await subscribed(door, device, COMMANDS, properties=Properties(receive_maximum=2))
    got = [await peer.receive(), await peer.receive()]
    await settled(door)
    peer.send(Pingreq())
    assert await peer.receive() == Pingresp()
    assert all(isinstance(one, Publish5) for one in got)
    peer.send(*(Puback5(one.packet_id) for one in got if isinstance(one, Publish5)))
    more = [await peer.receive(), await peer.receive()]
    assert [one.payload for one in more if isinstance(one, Publish5)] == [b"2", b"3"]


async def test_a_session_is_kept_for_who_asks_for_it_and_until_they_do_not_any_more(door: Door) -> None:
    device = door.add_device()
    address = door.address(device)
    hour = Properties(session_expiry_s=3600)
    peer = await subscribed(door, device, COMMANDS, properties=hour)
    assert peer.welcome.session_expiry_s == FOR_EVER
    peer.send(Disconnect5())
    assert await peer.receive() is None
    await door.exchange.send(address, Command(body=b"buzz"))
    back = await door.connected5(device, present=True, properties=hour)
    got = await back.receive()
    assert isinstance(got, Publish5) and got.payload == b"buzz"
    back.send(Puback5(got.packet_id), Disconnect5(0, Properties(session_expiry_s=0)))
    assert await back.receive() is None
    await settled(door)
    assert door.devices.session(address) is None
    await door.connected5(device)


async def test_without_an_expiry_a_session_goes_on_but_ends_with_the_connection(door: Door) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, COMMANDS, properties=Properties(session_expiry_s=FOR_EVER))
    assert peer.welcome.session_expiry_s is None
    peer.hang_up()
    last = await door.connected5(device, present=True)
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    assert isinstance(await last.receive(), Publish5)
    last.hang_up()
    await settled(door)
    await door.connected5(device)
    assert door.devices.session(door.address(device)) is None


async def test_an_empty_client_id_is_assigned_by_the_user_name_and_begins_anew(door: Door) -> None:
    device = door.add_device()
    older = await subscribed(door, device, COMMANDS, properties=Properties(session_expiry_s=FOR_EVER))
    peer = await door.peer5()
    peer.send(structs.replace(hello5(device), client_id=""), sent(reading(), 1))
    answer = await peer.receive()
    assert isinstance(answer, Connack5) and not answer.session_present
    assert answer.properties.assigned_client_id == "cgm-1"
    assert await peer.receive() == Puback5(1)
    assert (await ending(older))[0] == Code.TAKEN_OVER


async def test_twin_and_methods_are_as_with_3_1_1(door: Door) -> None:
    device = door.add_device()
    peer = await subscribed(door, device, TWIN, METHODS)
    peer.send(Publish5("$iothub/twin/PATCH/properties/reported/?$rid=a", b'{"battery":80}'))
    assert await peer.receive() == Publish5("$iothub/twin/res/204/?$rid=a&$version=2", b"")
    calling = asyncio.create_task(door.exchange.invoke(door.address(device), "m", b"{}", answer_s=5.0))
    call = await peer.receive()
    assert isinstance(call, Publish5)
    rid = call.topic.partition("?$rid=")[2]
    peer.send(Publish5(f"$iothub/methods/res/207/?$rid={rid}", b'"done"', 1, 3))
    assert await peer.receive() == Puback5(3)
    assert await calling == (207, b'"done"')


async def test_a_device_registers_itself_and_is_told_what_it_may_not(door: Door, http: Any) -> None:
    attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": None}}
    body = {"registrationId": "pump-1", "attestation": attestation}
    key = (await http.put("/enrollments/pump-1", json=body)).json()["attestation"]["symmetricKey"]["primaryKey"]
    place = f"{ID_SCOPE}/registrations/pump-1"
    peer = await door.peer5()
    connect = Connect5(
        client_id="",
        username=f"{place}/api-version=2019-03-31",
        password=make_token(place, key, NOW_S + 60, "registration").encode(),
        properties=Properties(session_expiry_s=60),
    )
    peer.send(connect)
    answer = await peer.receive()
    assert isinstance(answer, Connack5) and answer.code == 0
    assert (answer.properties.assigned_client_id, answer.properties.session_expiry_s) == ("pump-1", 0)
    peer.send(Subscribe5(1, (("$dps/registrations/res/#", 1),)), sent(reading(), 2))
    assert await peer.receive() == Suback5(1, (1,))
    ack = await peer.receive()
    assert isinstance(ack, Puback5) and ack.code == Code.TOPIC
    peer.send(sent(b"{}", 3, "$dps/registrations/PUT/iotdps-register/?$rid=1"))
    assert await peer.receive() == Puback5(3)
    told = await peer.receive()
    assert isinstance(told, Publish) and told.topic.startswith("$dps/registrations/res/202/?$rid=1")
    assert door.registry.device("pump-1") is not None
