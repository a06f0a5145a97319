"""MQTT 5 at the front door over real sockets: who is let in, what they are told, and why they are sent away."""

import pytest
from msgspec import structs

from islet.access.sas import new_key
from islet.decode.mqtt5 import MOST_ALIASES
from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt5_packets import (
    Connack5,
    Connect5,
    Disconnect5,
    Puback5,
    Subscribe5,
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import Connack, Packet, Pingreq, Pingresp, Puback, Publish
from islet.gateways.mqtt5_connection import FOR_EVER, LEAST_BYTES, LONGEST_KEEP_ALIVE_S, MOST_BYTES
from islet.model.people import Device
from tests.gateways.door import NOW_S, Door, hello, hello5, reading
from tests.gateways.peer5 import EVENTS, ending, refused, sent, settled


async def test_a_client_is_told_what_is_served(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    assert peer.welcome == Properties(
        maximum_qos=1,
        maximum_packet_bytes=MOST_BYTES,
        topic_alias_maximum=MOST_ALIASES,
        shared_available=0,
    )


@pytest.mark.parametrize(("asked_s", "told_s"), [(0, LONGEST_KEEP_ALIVE_S), (1178, None), (1179, 1178), (65_535, 1178)])
async def test_a_client_is_told_how_long_it_may_be_silent(door: Door, asked_s: int, told_s: int | None) -> None:
    peer = await door.connected5(door.add_device(), keep_alive_s=asked_s)
    assert peer.welcome.server_keep_alive_s == told_s


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (sent(b"", 1, topic_alias=MOST_ALIASES + 1), Code.ALIAS),
        (sent(b"", 1, "", topic_alias=2), Code.PROTOCOL_ERROR),
        (sent(b"", 1, ""), Code.PROTOCOL_ERROR),
        (b"\x32\x08\x00\x00\x00\x01\x03\x23\x00\x00", Code.ALIAS),  # alias 0
        (sent(b"", 0, "any/topic"), Code.TOPIC),
        (sent(b"", 0, "devices/cgm-2/messages/events/"), Code.TOPIC),
        (b"\x34\x06\x00\x01a\x00\x01\x00", Code.QOS),
        (b"\x62\x02\x00\x01", Code.MALFORMED),  # PUBREL
        (b"\xf0\x00", Code.PROTOCOL_ERROR),  # AUTH
        (b"\x30\x80\x80\x80\x01", Code.TOO_LARGE),
        (b"\x30\xff\xff\xff\xff\x01", Code.MALFORMED),
        (b"\x30\x05\x00\x01a\x7f\x01", Code.MALFORMED),  # properties longer than the packet
        (b"\x30\x08\x00\x01a\x04\x01\x01\x01\x01", Code.PROTOCOL_ERROR),  # twice
        (b"\x30\x06\x00\x01a\x02\x01\x02", Code.PROTOCOL_ERROR),  # payload format 2
        (b"\x30\x06\x00\x01a\x02\x24\x01", Code.MALFORMED),  # a property of CONNACK
        (hello5(Device(id="cgm-1", primary_key=new_key())), Code.PROTOCOL_ERROR),
        (hello(Device(id="cgm-1", primary_key=new_key())), Code.PROTOCOL_ERROR),
        (Connack5(0), Code.PROTOCOL_ERROR),
        (Disconnect5(0, Properties(session_expiry_s=5)), Code.PROTOCOL_ERROR),
        (Subscribe5(1, (("a", 0),), Properties(subscription_identifiers=(1, 2))), Code.PROTOCOL_ERROR),
    ],
)
async def test_a_violation_is_named_and_closes_that_connection_only(
    door: Door, packet: Packet | bytes, code: Code
) -> None:
    device, other = door.add_device(), door.add_device("cgm-9")
    peer, beside = await door.connected5(device), await door.connected(other)
    peer.send_bytes(packet if isinstance(packet, bytes) else encode5(packet))
    got, reason = await ending(peer)
    assert (got, bool(reason)) == (code, True)
    beside.send(Publish("devices/cgm-9/messages/events/", reading(), 1, 3))
    assert await beside.receive() == Puback(3)


async def test_bad_connects_are_refused_with_a_code_and_words(door: Door) -> None:
    device = door.add_device()
    good = hello5(device)
    unknown = "the token is not signed with a key that is known here"
    assert await refused(door, hello5(device, key=new_key())) == (Code.NOT_AUTHORISED, unknown)
    for change, code in (
        ({"properties": Properties(authentication_method="SCRAM-SHA-1")}, Code.METHOD),
        ({"properties": Properties(authentication_data=b"x")}, Code.PROTOCOL_ERROR),
        ({"will": Will5(topic=EVENTS, payload=b"", qos=2)}, Code.QOS),
        ({"will": Will5(topic="other", payload=b"")}, Code.NOT_AUTHORISED),
        ({"client_id": "/"}, Code.CLIENT_ID),
        ({"client_id": "cgm-2"}, Code.NOT_AUTHORISED),
        ({"username": None, "client_id": ""}, Code.NOT_AUTHORISED),
    ):
        got, reason = await refused(door, structs.replace(good, **change))
        assert (got, bool(reason)) == (code, True), change
    plain = encode5(Connect5(client_id="a"))
    assert plain == b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"
    with_receive_maximum_0 = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x01a"
    assert (await refused(door, with_receive_maximum_0))[0] == Code.PROTOCOL_ERROR
    beyond_the_packet = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x40\x00\x01a"
    assert (await refused(door, beyond_the_packet))[0] == Code.MALFORMED
    assert (door.mqtt.connected, door.mqtt.refused) == (0, 10)


async def test_the_newest_connection_wins_whichever_version_it_speaks(door: Door) -> None:
    device = door.add_device()
    first = await door.connected5(device)
    second = await door.connected(device)
    assert await ending(first) == (Code.TAKEN_OVER, "the device has connected again")
    await settled(door)
    third = await door.connected5(device, present=True, properties=Properties(session_expiry_s=FOR_EVER))
    assert await second.receive() is None
    third.send(Pingreq())
    assert await third.receive() == Pingresp()
    assert door.mqtt.connected == 1


async def test_one_who_says_nothing_whose_token_ends_or_who_may_not_any_more_is_told(door: Door) -> None:
    silent = await door.connected5(door.add_device(), keep_alive_s=1)
    short = await door.connected5(door.add_device("cgm-2"), expires_s=NOW_S + 1)
    assert (await ending(short))[0] == Code.TIME_IS_OVER
    assert (await ending(silent))[0] == Code.SILENT
    peer = await door.connected5(door.add_device("cgm-3"))
    door.change_device("cgm-3", enabled=False)
    await door.mqtt.refresh()
    assert (await ending(peer))[0] == Code.ADMINISTRATIVE


async def test_stopping_acknowledges_what_is_under_way_and_says_so(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    peer.send(*(sent(reading(), number) for number in range(1, 101)), Pingreq())
    packets = [await peer.receive()]
    while packets[-1] != Pingresp():
        packets.append(await peer.receive())
    await door.mqtt.stop()
    while packets[-1] is not None:
        packets.append(await peer.receive())
    assert [packet for packet in packets if isinstance(packet, Puback5)] == [Puback5(n) for n in range(1, 101)]
    assert isinstance(packets[-2], Disconnect5) and packets[-2].code == Code.STOPPING


async def test_a_device_that_takes_no_answers_is_sent_away_and_a_long_reason_is_left_out(door: Door) -> None:
    device = door.add_device()
    small = hello5(device, properties=Properties(maximum_packet_bytes=LEAST_BYTES - 1))
    assert (await refused(door, small))[0] == Code.TOO_LARGE
    peer = await door.connected5(device, properties=Properties(maximum_packet_bytes=LEAST_BYTES))
    peer.send(sent(b"?", 1), sent(b"", 2, "any"))
    why = Properties(reason="MQTT: expected the device's own telemetry topic")
    assert [await peer.receive(), await peer.receive()] == [Puback5(1), Puback5(2, Code.TOPIC, why)]


async def test_level_3_and_6_are_refused_as_before(door: Door) -> None:
    for level in (3, 6):
        peer = await door.peer()
        peer.send_bytes(b"\x10\x0d\x00\x04MQTT" + bytes((level,)) + b"\x02\x00\x00\x00\x01a")
        assert (await peer.receive(), await peer.receive()) == (Connack(1), None)
