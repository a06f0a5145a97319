"""The codecs of MQTT, 3.1.1 and 5."""

from random import Random

from benchmarks.fuzz.spoil import cut
from benchmarks.fuzz.target import Target
from islet.decode import (
    mqtt,
)
from islet.decode.mqtt5 import Parser5
from islet.decode.mqtt5_packets import (
    Connack5,
    Connect5,
    Disconnect5,
    Puback5,
    Publish5,
    Suback5,
    Subscribe5,
    Unsubscribe5,
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
    encode,
)
from islet.errors import ProtocolError
from tests.decode.test_decode_usual import USUAL

SMALL = (b"\x00", b"\x01", b"\xff\xff", b"\x80\x80\x80\x80\x01", b"\x7f", b"\x00\x00")


def _mqtt(data: bytes, rng: Random) -> None:
    """In whatever pieces it comes, the packets are the same; and what they are encoded to is read again."""
    whole, pieces = _packets([data]), _packets(cut(data, rng))
    assert whole == pieces, (whole, pieces)
    twice, one_by_one = _packets([data + data]), _packets([data, data])
    assert twice == one_by_one, (twice, one_by_one)
    for packet in whole[0]:
        again, failed = _packets([encode(packet)])
        assert not failed and again == [packet], packet


def _packets(pieces: list[bytes]) -> tuple[list[Packet], bool]:
    parser, packets = mqtt.Parser(), list[Packet]()
    try:
        for piece in pieces:
            if packet_id := parser.again(piece):
                last = [one for one in packets if isinstance(one, Publish)][-1]
                packets.append(Publish(last.topic, piece[parser.payload], 1, int.from_bytes(packet_id, "big")))
                continue
            for packet in parser.feed(piece):
                packets.append(packet)
    except ProtocolError:
        return packets, True
    return packets, False


def _mqtt5(data: bytes, rng: Random) -> None:
    """In whatever pieces it comes, the packets are the same; and what they are encoded to is read again."""
    whole, failed = _packets5([data])
    pieces = _packets5(cut(data, rng))
    assert (whole, failed) == pieces, (whole, pieces)
    for packet in whole:
        again, failed = _packets5([encode5(packet)])
        assert not failed and again == [packet], packet


def _packets5(pieces: list[bytes]) -> tuple[list[Packet], bool]:
    parser, packets = Parser5(), list[Packet]()
    try:
        for piece in pieces:
            for packet in parser.feed(piece):
                packets.append(packet)
    except ProtocolError:
        return packets, True
    return packets, False


_PACKETS: tuple[Packet, ...] = (
    Connect(client_id="cgm-1", username="hub/cgm-1/?api-version=2021-04-12", password=b"SharedAccessSignature"),
    Connect(client_id="a/b", keep_alive_s=60, will=Will(topic="devices/a/messages/events/", payload=b"x", qos=1)),
    Publish("devices/cgm-1/messages/events/%24.ct=a&b=c", USUAL, 1, 7),
    Publish("$iothub/twin/GET/?$rid=1", b""),
    Subscribe(2, (("devices/cgm-1/messages/devicebound/#", 1), ("$iothub/methods/POST/#", 0))),
    Unsubscribe(3, ("$iothub/methods/POST/#",)),
    Puback(9),
    Pingreq(),
    Disconnect(),
    Connack(0, True),
    Suback(2, (1, 0)),
)


_MESSAGE_5 = Properties(
    payload_format=1,
    message_expiry_s=60,
    content_type="a/b",
    response_topic="r",
    correlation_data=b"c",
    topic_alias=2,
    user=(("a", "b"), ("a", "c")),
)


_PACKETS_5: tuple[Packet, ...] = (
    Connect5(
        client_id="cgm-1",
        username="hub/cgm-1/?api-version=2021-04-12",
        password=b"SharedAccessSignature",
        will=Will5(topic="devices/a/messages/events/", payload=b"x", qos=1, properties=Properties(will_delay_s=5)),
        properties=Properties(session_expiry_s=60, receive_maximum=4, maximum_packet_bytes=99, request_problems=0),
    ),
    Publish5("devices/cgm-1/messages/events/", USUAL, 1, 7, False, False, _MESSAGE_5),
    Publish5("$iothub/twin/GET/?$rid=1", b""),
    Subscribe5(2, (("a/#", 1), ("b", 0)), Properties(subscription_identifiers=(300,))),
    Unsubscribe5(3, ("a/#",), Properties(user=(("a", "b"),))),
    Puback5(9, 0x90, Properties(reason="no")),
    Disconnect5(4, Properties(session_expiry_s=0)),
    Connack5(0, True, Properties(receive_maximum=256, maximum_qos=1, topic_alias_maximum=16, assigned_client_id="a")),
    Suback5(2, (1, 0x8F), Properties(reason="no")),
)


MQTT = [
    Target("mqtt", _mqtt, [*map(encode, _PACKETS), b"".join(map(encode, _PACKETS))], SMALL),
    Target("mqtt5", _mqtt5, [*map(encode5, _PACKETS_5), b"".join(map(encode5, _PACKETS_5))], SMALL),
]
