"""Telemetry over MQTT 5: what is acknowledged, when, in which order, and with which words."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.mqtt import MAX_PACKET
from islet.decode.mqtt5 import MOST_ALIASES
from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt5_packets import (
    Connack5,
    Puback5,
    Publish5,
    Suback5,
    Subscribe5,
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import MOST_OF_A_REASON, Properties
from islet.decode.mqtt_packets import Pingreq, Pingresp
from islet.gateways.mqtt5_connection import MOST_BYTES
from islet.gateways.mqtt_line import WINDOW
from islet.model.topics import Topic
from tests.gateways.door import Door, Peer5, hello5, reading
from tests.gateways.peer5 import (
    EVENTS,
    ending,
    gone,
    sent,
    values,
)


async def test_a_reading_is_acknowledged_and_is_then_in_the_log(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    door.log.gate.clear()
    peer.send(sent(reading(6.7, unit="mmol/L"), 7), Pingreq())
    assert await peer.receive() == Pingresp()
    door.log.gate.set()
    assert await peer.receive() == Puback5(7)
    assert [row["glucose_tenths"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [1207]


async def test_what_comes_in_one_piece_with_connect_is_taken_too_however_it_is_cut(door: Door) -> None:
    device = door.add_device()
    stream = encode5(hello5(device)) + encode5(sent(reading(), 1)) + encode5(sent(reading(101), 2))
    for cut in (len(stream), 1, 7, len(stream) - 5):
        peer = await door.peer5()
        for at in range(0, len(stream), cut):
            peer.send_bytes(stream[at : at + cut])
            await asyncio.sleep(0)
        assert isinstance(await peer.receive(), Connack5)
        assert [await peer.receive(), await peer.receive()] == [Puback5(1), Puback5(2)]


async def test_a_dead_letter_is_acknowledged_as_such_and_the_others_are_not_touched(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected5(device)
    door.log.gate.clear()
    twin = Publish5("$iothub/twin/GET/?$rid=1", b"", 1, 3)
    peer.send(sent(reading(), 1), sent(b"?", 2), twin, sent(b"", 0), sent(reading(unit="mg"), 4), Pingreq())
    assert await peer.receive() == Pingresp()
    door.log.gate.set()
    first, second, third, fourth = [await peer.receive() for _ in range(4)]
    assert (first, third) == (Puback5(1), Puback5(3))
    assert isinstance(second, Puback5) and isinstance(fourth, Puback5)
    assert (second.packet_id, second.code, fourth.packet_id, fourth.code) == (2, 0, 4, 0)
    assert (second.properties.reason or "").startswith("kept as a dead letter: ")
    assert "unit: expected one of" in (fourth.properties.reason or "")
    assert [row["type"] for row in door.rows(Topic.DEAD_LETTERS)] == ["json", "json", "unit"]


@pytest.mark.parametrize("said", [r"\u0000", r"\u0085", "x" * 70_000])
async def test_a_reason_can_be_said_whatever_the_device_has_sent(door: Door, said: str) -> None:
    """What was wrong may quote the payload; a text of MQTT holds neither U+0000 nor more than 65,535 bytes."""
    peer = await door.connected5(door.add_device())
    peer.send(sent(f'{{"type":"{said}"}}'.encode(), 1), sent(reading(), 2))
    ack = await peer.receive()
    assert isinstance(ack, Puback5) and ack.packet_id == 1
    reason = ack.properties.reason or ""
    assert reason.startswith("kept as a dead letter: event: Invalid value '") and reason.isprintable()
    assert len(reason) <= MOST_OF_A_REASON
    assert await peer.receive() == Puback5(2)


async def test_who_wants_no_reasons_gets_none(door: Door) -> None:
    peer = await door.connected5(door.add_device(), properties=Properties(request_problems=0))
    peer.send(sent(b"?", 1), Subscribe5(2, (("#", 0),)), Publish5("any", b"", 1, 3))
    assert {await peer.receive(), await peer.receive(), await peer.receive()} == {
        Puback5(1),
        Suback5(2, (Code.FILTER,)),
        Puback5(3, Code.TOPIC),
    }


async def test_a_failed_commit_says_so_and_acknowledges_nothing(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    door.log.error = OSError("the disk is full")
    peer.send(sent(reading(), 1))
    code, reason = await ending(peer)
    assert code == Code.OUR_FAULT and "log could not commit" in reason


async def test_acknowledgements_keep_the_order_of_the_messages(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    ids = list(range(1, 5 * WINDOW))
    peer.send(*(sent(reading(100 + number / 100), number) for number in ids))
    assert [await peer.receive() for _ in ids] == [Puback5(number) for number in ids]
    values = [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]
    assert values == [100 + number / 100 for number in ids]


async def test_properties_of_a_message_are_those_of_iot_hub_and_win_over_the_bags() -> None:
    async with Door.opened(keeps_messages=True) as door:
        device = door.add_device()
        peer = await door.connected5(device, module="m1")
        topic = "devices/cgm-1/modules/m1/messages/events/%24.ct=x&kind=bag&own=1"
        for number in (1, 2):
            peer.send(
                sent(
                    reading(),
                    number,
                    topic,
                    content_type="application/json",
                    payload_format=1,
                    correlation_data=b"c-1",
                    response_topic="a/b",
                    message_expiry_s=60,
                    user=(("kind", "first"), ("kind", "last"), ("iothub-connection-module-id", "m2")),
                )
            )
            assert await peer.receive() == Puback5(number)
        for row in door.rows(Topic.DEVICE_MESSAGES):
            assert json.loads(str(row["body"]))["properties"] == {
                "$.ct": "application/json",
                "$.ce": "utf-8",
                "$.cid": "c-1",
                "$.exp": "2026-11-21T08:04:00.950000Z",
                "response-topic": "a/b",
                "kind": "last",
                "own": "1",
                "iothub-connection-module-id": "m1",
            }
        plain = await door.connected5(device)
        plain.send(sent(reading(), 1, correlation_data=b"\xff", user=(("iothub-connection-module-id", "m2"),)))
        assert await plain.receive() == Puback5(1)
        [*_, row] = door.rows(Topic.DEVICE_MESSAGES)
        assert json.loads(str(row["body"]))["properties"] == {"$.cid": "/w=="}


async def test_an_alias_stands_for_a_topic(door: Door) -> None:
    peer = await door.connected5(door.add_device())
    peer.send(
        sent(reading(101), 1, topic_alias=MOST_ALIASES),
        sent(reading(102), 2, "", topic_alias=MOST_ALIASES),
        sent(b"", 3, "$iothub/twin/GET/?$rid=1", topic_alias=1),
        sent(reading(103), 4, "", topic_alias=MOST_ALIASES),
        sent(reading(104), 5, topic_alias=1),
        sent(reading(105), 6, "", topic_alias=1),
    )
    assert [await peer.receive() for _ in range(6)] == [Puback5(number) for number in range(1, 7)]
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [101, 102, 103, 104, 105]


async def test_what_is_to_be_retained_is_a_message_like_any_other(door: Door) -> None:
    """As with 3.1.1: a client that is refused for it sends it again, and again."""
    will = Will5(topic=EVENTS, payload=reading(102), retain=True)
    peer = await door.connected5(door.add_device(), will=will)
    peer.send(Publish5(EVENTS, reading(101), 1, 1, True))
    assert await peer.receive() == Puback5(1)
    peer.hang_up()
    await gone(door)
    assert await values(door) == [101, 102]


async def test_a_message_on_a_topic_that_is_not_its_own_is_refused_in_its_turn_and_the_stream_goes_on(
    door: Door,
) -> None:
    peer = await door.connected5(door.add_device())
    door.log.gate.clear()
    wrong = ("any", "devices/cgm-2/messages/events/", "$iothub/twin/DELETE/?$rid=1", f"{EVENTS}%zz=1")
    peer.send(
        sent(reading(101), 1), *(sent(reading(), 2 + n, one) for n, one in enumerate(wrong)), sent(reading(102), 9)
    )
    peer.send(Pingreq())
    assert await peer.receive() == Pingresp()
    door.log.gate.set()
    acks = [await peer.receive() for _ in range(6)]
    assert [(ack.packet_id, ack.code) for ack in acks if isinstance(ack, Puback5)] == [
        (1, 0),
        (2, Code.TOPIC),
        (3, Code.TOPIC),
        (4, Code.TOPIC),
        (5, Code.TOPIC),
        (9, 0),
    ]
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [101, 102]


async def test_the_largest_packet_is_taken_and_one_byte_more_is_not(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected5(device)
    room = MAX_PACKET - len(EVENTS) - 2 - 2 - 1
    assert len(encode5(sent(bytes(room)))) == MOST_BYTES
    peer.send(sent(bytes(room)))
    answer = await peer.receive()
    assert isinstance(answer, Puback5) and answer.code == 0
    peer.send(sent(bytes(room + 1)))
    assert (await ending(peer))[0] == Code.TOO_LARGE


@given(kinds=st.lists(st.sampled_from("rrrdtw0"), max_size=12), splits=st.sets(st.integers(0, 12)))
@settings(deadline=None, max_examples=30)
def test_what_comes_alone_or_together_is_acknowledged_in_its_order_as_what_it_was(
    kinds: list[str], splits: set[int]
) -> None:
    """Readings (r), dead letters (d), requests (t), wrong topics (w) and readings with QoS 0, while the log is held up."""

    async def play() -> None:
        async with Door.opened() as door:
            peer = await door.connected5(door.add_device())
            door.log.gate.clear()
            together = b""
            for number, kind in enumerate(kinds, start=1):
                topic = {"t": "$iothub/twin/GET/?$rid=1", "w": "any"}.get(kind, EVENTS)
                payload = reading(101) if kind in "r0" else b""
                together += encode5(sent(payload, 0 if kind == "0" else number, topic))
                if number in splits:
                    peer.send_bytes(together)
                    together = b""
                    await pinged(peer, acks)
            peer.send_bytes(together)
            await pinged(peer, acks)
            door.log.gate.set()
            await door.intake.settled()
            await pinged(peer, acks)
            assert [ack.packet_id for ack in acks] == [n for n, kind in enumerate(kinds, start=1) if kind != "0"]
            for ack in acks:
                kind = kinds[ack.packet_id - 1]
                assert ack.code == (Code.TOPIC if kind == "w" else 0)
                assert bool(ack.properties.reason) == (kind in "dw")

    acks: list[Puback5] = []
    asyncio.run(play())


async def pinged(peer: Peer5, acks: list[Puback5]) -> None:
    """What the server has taken so far; PUBACKs that came meanwhile are put down."""
    peer.send(Pingreq())
    while (packet := await peer.receive()) != Pingresp():
        assert isinstance(packet, Puback5)
        acks.append(packet)
