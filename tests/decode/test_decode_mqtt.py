"""The MQTT codec: expected bytes are from the OASIS MQTT 3.1.1 specification's own figures, or written out by hand."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.mqtt import MAX_PACKET, Parser, UnacceptableLevel
from islet.decode.mqtt_packets import (
    Connack,
    Connect,
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
    Will,
    encode,
    encode_puback,
)
from islet.errors import ProtocolError
from tests.conftest import examples

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
NAME = TEXT.filter(bool)
TOPIC = NAME.map(lambda text: text.replace("#", "h").replace("+", "p"))
ID = st.integers(1, 0xFFFF)
PAYLOAD = st.one_of(st.binary(max_size=300), st.integers(16_000, 17_000).map(bytes))
WILL = st.builds(Will, topic=TOPIC, payload=st.binary(max_size=30), qos=st.integers(0, 2), retain=st.booleans())
PASSWORD = st.one_of(st.none(), st.binary(max_size=30))
PACKET: st.SearchStrategy[Packet] = st.one_of(
    st.builds(
        Connect,
        client_id=TEXT,
        username=NAME,
        password=PASSWORD,
        clean_session=st.booleans(),
        keep_alive_s=st.integers(0, 0xFFFF),
        will=st.one_of(st.none(), WILL),
    ),
    st.builds(Connack, st.integers(1, 5)),
    st.builds(Connack, st.just(0), st.booleans()),
    st.builds(Publish, TOPIC, PAYLOAD, st.just(0), st.just(0), st.booleans()),
    st.builds(Publish, TOPIC, PAYLOAD, st.just(1), ID, st.booleans(), st.booleans()),
    st.builds(Puback, ID),
    st.builds(Subscribe, ID, st.lists(st.tuples(NAME, st.integers(0, 2)), min_size=1, max_size=4).map(tuple)),
    st.builds(Suback, ID, st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1, max_size=4).map(tuple)),
    st.builds(Unsubscribe, ID, st.lists(TEXT, min_size=1, max_size=4).map(tuple)),
    st.builds(Unsuback, ID),
    st.sampled_from([Pingreq(), Pingresp(), Disconnect()]),
)


def parse(data: bytes) -> list[Packet]:
    return list(Parser().feed(data))


def parse_in_pieces(data: bytes, cuts: list[int]) -> tuple[list[Packet], bool]:
    """The packets, and whether it ended with a ProtocolError."""
    parser, packets, topic, start = Parser(), list[Packet](), "", 0
    try:
        for stop in [*sorted(cuts), len(data)]:
            piece, start = data[start:stop], stop
            if packet_id := parser.again(piece):
                packets.append(Publish(topic, piece[parser.payload], 1, int.from_bytes(packet_id, "big")))
                continue
            for packet in parser.feed(piece):
                packets.append(packet)
                topic = packet.topic if isinstance(packet, Publish) else topic
    except ProtocolError:
        return packets, True
    return packets, False


def test_publish_is_read_as_figure_3_11_of_the_specification_writes_it() -> None:
    assert parse(b"\x32\x07\x00\x03a/b\x00\x0a") == [Publish("a/b", b"", qos=1, packet_id=10)]


def test_connect_is_read_as_figure_3_6_of_the_specification_writes_it() -> None:
    """Name MQTT, level 4, flags 0xCE (user name, password, will QoS 1, will, clean session), keep alive 10 s."""
    body = b"\x00\x04MQTT\x04\xce\x00\x0a\x00\x01d\x00\x01t\x00\x01w\x00\x01u\x00\x01p"
    will = Will(topic="t", payload=b"w", qos=1)
    expected = Connect(client_id="d", username="u", password=b"p", keep_alive_s=10, will=will)
    assert parse(bytes((0x10, len(body))) + body) == [expected]


@pytest.mark.parametrize(
    ("size", "header"),
    [(125, b"\x30\x7f"), (126, b"\x30\x80\x01"), (16_381, b"\x30\xff\x7f"), (16_382, b"\x30\x80\x80\x01")],
)
def test_remaining_length_grows_at_the_limits_of_table_2_4(size: int, header: bytes) -> None:
    packet = Publish("", bytes(size))
    assert encode(packet).startswith(header + b"\x00\x00")


def test_puback_on_the_hot_path_equals_the_general_one() -> None:
    assert encode_puback(0x1234) == encode(Puback(0x1234)) == b"\x40\x02\x12\x34"


@given(packets=st.lists(PACKET, max_size=6), data=st.data())
@settings(deadline=None, max_examples=examples(150))
def test_packets_come_back_equal_however_the_bytes_are_cut(packets: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode, packets))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert parse_in_pieces(stream, cuts) == (packets, False)


@given(packets=st.lists(PACKET, max_size=3), junk=st.binary(min_size=1, max_size=60), data=st.data())
@settings(deadline=None, max_examples=examples(300))
def test_junk_gives_packets_or_a_protocol_error_the_same_in_any_cut(
    packets: list[Packet], junk: bytes, data: st.DataObject
) -> None:
    stream = bytearray(b"".join(map(encode, packets)) + junk)
    for index in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=3)):
        stream[index] ^= data.draw(st.integers(1, 255))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    whole = parse_in_pieces(bytes(stream), [])
    assert parse_in_pieces(bytes(stream), cuts) == whole
    assert parse_in_pieces(bytes(stream), list(range(len(stream)))) == whole


def test_packets_before_a_malformed_one_are_given_first() -> None:
    assert parse_in_pieces(b"\xc0\x00\xf0\x00", []) == ([Pingreq()], True)


def test_a_device_may_change_its_topic_between_messages() -> None:
    packets: list[Packet] = [Publish(topic, b"x") for topic in ("a", "ab", "a", "b", "b")]
    assert parse(b"".join(map(encode, packets))) == packets


PUBLISHES = st.builds(
    Publish,
    topic=st.sampled_from(["a", "b", "ab"]),
    payload=st.binary(max_size=2),
    qos=st.just(1),
    packet_id=st.integers(1, 3),
    retain=st.booleans(),
    dup=st.booleans(),
)


@given(packets=st.lists(PUBLISHES, max_size=12), cuts=st.lists(st.integers(0, 120), max_size=3))
@settings(deadline=None, max_examples=examples(200))
def test_packets_that_come_alone_are_read_as_all_others(packets: list[Publish], cuts: list[int]) -> None:
    """Those that begin as the one before are known by that."""
    parts = list(map(encode, packets))
    ends = list(accumulate(map(len, parts), initial=0))
    stream = b"".join(parts)
    assert parse_in_pieces(stream, sorted({*ends, *(cut % (len(stream) + 1) for cut in cuts)})) == (packets, False)


def test_the_rest_of_a_packet_is_no_packet_although_it_reads_like_the_one_before() -> None:
    first = Publish("a", b"x", 1, 1)
    second = Publish("a", b"..." + encode(first), 1, 2)
    stream = encode(first) + encode(second)
    assert parse_in_pieces(stream, [len(encode(first)), len(stream) - len(encode(first))]) == ([first, second], False)


def test_a_packet_identifier_of_0_is_refused_behind_a_packet_that_began_alike() -> None:
    good = encode(Publish("a", b"x", 1, 1))
    assert parse_in_pieces(good + good[:-3] + b"\x00\x00x", [len(good)]) == ([Publish("a", b"x", 1, 1)], True)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("PUBLISH with QoS 2", b"\x34\x05\x00\x01a\x00\x01"),
        ("PUBLISH with QoS 3 [MQTT-3.3.1-4]", b"\x36\x05\x00\x01a\x00\x01"),
        ("PUBLISH, QoS 0, duplicate [MQTT-3.3.1-2]", b"\x38\x03\x00\x01a"),
        ("PUBLISH, QoS 1, identifier 0 [MQTT-2.3.1-1]", b"\x32\x05\x00\x01a\x00\x00"),
        ("PUBLISH, QoS 1, no identifier", b"\x32\x03\x00\x01a"),
        ("PUBLISH, QoS 1, half an identifier", b"\x32\x04\x00\x01a\x01"),
        ("PUBLISH, topic longer than the packet", b"\x30\x03\x00\x05a"),
        ("PUBLISH, no topic [MQTT-4.7.3-1]", b"\x30\x02\x00\x00"),
        ("PUBLISH, wildcard [MQTT-3.3.2-2]", b"\x30\x03\x00\x01#"),
        ("PUBLISH, topic not UTF-8 [MQTT-1.5.3-1]", b"\x30\x03\x00\x01\xff"),
        ("PUBLISH, surrogate in the topic [MQTT-1.5.3-1]", b"\x30\x05\x00\x03\xed\xa0\x80"),
        ("PUBLISH, U+0000 in the topic [MQTT-1.5.3-2]", b"\x30\x03\x00\x01\x00"),
        ("remaining length of five bytes (2.2.3)", b"\x30\xff\xff\xff\xff\x01"),
        ("type 0", b"\x00\x00"),
        ("type 15", b"\xf0\x00"),
        ("PUBREL, for QoS 2 only", b"\x62\x02\x00\x01"),
        ("SUBSCRIBE with wrong flags [MQTT-3.8.1-1]", b"\x80\x06\x00\x01\x00\x01a\x00"),
        ("SUBSCRIBE without filters [MQTT-3.8.3-3]", b"\x82\x02\x00\x01"),
        ("SUBSCRIBE with QoS 3 [MQTT-3.8.3-4]", b"\x82\x06\x00\x01\x00\x01a\x03"),
        ("UNSUBSCRIBE without filters [MQTT-3.10.3-2]", b"\xa2\x02\x00\x01"),
        ("PINGREQ with a body", b"\xc0\x01\x00"),
        ("CONNECT, another protocol [MQTT-3.1.2-1]", b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x00\x00\x01a"),
        ("CONNECT, reserved flag [MQTT-3.1.2-3]", b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x00\x00\x01a"),
        ("CONNECT, will QoS without will [MQTT-3.1.2-13]", b"\x10\x0d\x00\x04MQTT\x04\x0a\x00\x00\x00\x01a"),
        ("CONNECT, will retain without will [MQTT-3.1.2-15]", b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x00\x00\x01a"),
        ("CONNECT, will QoS 3 [MQTT-3.1.2-14]", b"\x10\x11\x00\x04MQTT\x04\x1e\x00\x00\x00\x01a\x00\x00\x00\x00"),
        ("CONNECT, password without name [MQTT-3.1.2-22]", b"\x10\x0f\x00\x04MQTT\x04\x42\x00\x00\x00\x01a\x00\x00"),
        ("CONNECT, more than its fields", b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x01aX"),
        ("CONNECT, ends in a field", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x01"),
    ],
)
def test_a_malformed_packet_is_a_protocol_error(why: str, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)


def test_another_version_of_mqtt_is_told_apart_so_that_it_can_be_answered() -> None:
    connect = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x01a"
    with pytest.raises(UnacceptableLevel) as refused:
        parse(connect + b"more")
    assert (refused.value.level, refused.value.unread) == (5, connect + b"more")


def test_a_packet_over_the_limit_is_refused_before_it_is_read() -> None:
    assert parse(encode(Publish("a", bytes(MAX_PACKET - 3))))
    with pytest.raises(ProtocolError):
        parse(encode(Publish("a", bytes(MAX_PACKET - 2)))[:5])


def test_a_large_packet_in_tiny_pieces_is_not_looked_at_for_each_piece() -> None:
    """Otherwise one sender of single bytes would cost the square of the size: seconds, not milliseconds."""
    parser, data = Parser(), encode(Publish("a", bytes(200_000)))
    assert [packet for index in range(len(data)) for packet in parser.feed(data[index : index + 1])] != []


@pytest.mark.parametrize(
    "packet",
    [
        Connect(client_id="x" * 70_000),
        Puback(70_000),
        Publish("a", b"", qos=1, packet_id=-1),
    ],
)
def test_what_no_packet_can_say_is_a_value_error(packet: Packet) -> None:
    with pytest.raises(ValueError, match="MQTT"):
        encode(packet)
