"""The codec of MQTT 5: expected bytes are from the OASIS MQTT 5.0 specification's own figures, or written out by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.decode.iothub_mqtt5 import command_properties, message_properties
from islet.decode.mqtt5 import MOST_ALIASES, Parser5
from islet.decode.mqtt5_codes import Code, Refused
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
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import (
    MOST_OF_A_NAME,
    OF_ACKNOWLEDGEMENT,
    OF_CONNACK,
    OF_CONNECT,
    OF_DISCONNECT,
    OF_PUBLISH,
    OF_SUBSCRIBE,
    OF_UNSUBSCRIBE,
    OF_WILL,
    Properties,
)
from islet.decode.mqtt_packets import (
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
from islet.model.time import SECOND_US
from tests.conftest import examples

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAME = TEXT.filter(bool)
TOPIC = NAME.map(lambda text: text.replace("#", "h").replace("+", "p"))
BLOB = st.binary(max_size=20)
ID = st.integers(1, 0xFFFF)
FLAG, TWO, FOUR = st.integers(0, 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
NOT_0 = st.integers(1, 0xFFFF)
CODE = st.integers(0, 255)
VALUES: dict[int, tuple[str, st.SearchStrategy[Any]]] = {
    0x01: ("payload_format", FLAG),
    0x02: ("message_expiry_s", FOUR),
    0x03: ("content_type", TEXT),
    0x08: ("response_topic", TEXT),
    0x09: ("correlation_data", BLOB),
    0x0B: ("subscription_identifiers", st.lists(st.integers(1, (1 << 28) - 1), max_size=1).map(tuple)),
    0x11: ("session_expiry_s", FOUR),
    0x12: ("assigned_client_id", TEXT),
    0x13: ("server_keep_alive_s", TWO),
    0x15: ("authentication_method", TEXT),
    0x17: ("request_problems", FLAG),
    0x18: ("will_delay_s", FOUR),
    0x19: ("request_response", FLAG),
    0x1A: ("response_information", TEXT),
    0x1C: ("server_reference", TEXT),
    0x1F: ("reason", TEXT),
    0x21: ("receive_maximum", NOT_0),
    0x22: ("topic_alias_maximum", TWO),
    0x23: ("topic_alias", st.integers(1, MOST_ALIASES)),
    0x24: ("maximum_qos", FLAG),
    0x25: ("retain_available", FLAG),
    0x26: ("user", st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)),
    0x27: ("maximum_packet_bytes", st.integers(1, 0xFFFF_FFFF)),
    0x28: ("wildcards_available", FLAG),
    0x29: ("identifiers_available", FLAG),
    0x2A: ("shared_available", FLAG),
}
MANY = ("user", "subscription_identifiers")


def properties(allowed: frozenset[int]) -> st.SearchStrategy[Properties]:
    chosen = dict(VALUES[one] for one in allowed if one in VALUES)
    return st.builds(
        Properties,
        **{name: value if name in MANY else st.one_of(st.none(), value) for name, value in chosen.items()},
    )


CODES = st.lists(CODE, min_size=1, max_size=4).map(tuple)
WILL = st.builds(
    Will5,
    topic=TOPIC,
    payload=BLOB,
    qos=st.integers(0, 2),
    retain=st.booleans(),
    properties=properties(OF_WILL),
)
PAYLOAD = st.one_of(st.binary(max_size=300), st.integers(16_000, 17_000).map(bytes))
PACKET: st.SearchStrategy[Packet] = st.one_of(
    st.builds(
        Connect5,
        client_id=TEXT,
        username=st.one_of(st.none(), NAME),
        password=st.one_of(st.none(), BLOB),
        clean_session=st.booleans(),
        keep_alive_s=TWO,
        will=st.one_of(st.none(), WILL),
        properties=properties(OF_CONNECT),
    ),
    st.builds(Connack5, st.integers(1, 255), st.just(False), properties(OF_CONNACK)),
    st.builds(Connack5, st.just(0), st.booleans(), properties(OF_CONNACK)),
    st.builds(Publish5, TOPIC, PAYLOAD, st.just(0), st.just(0), st.booleans(), st.just(False), properties(OF_PUBLISH)),
    st.builds(Publish5, TOPIC, PAYLOAD, st.just(1), ID, st.booleans(), st.booleans(), properties(OF_PUBLISH)),
    st.builds(Puback5, ID, CODE, properties(OF_ACKNOWLEDGEMENT)),
    st.builds(
        Subscribe5,
        ID,
        st.lists(st.tuples(NAME, st.integers(0, 2)), min_size=1, max_size=4).map(tuple),
        properties(OF_SUBSCRIBE),
    ),
    st.builds(Suback5, ID, CODES, properties(OF_ACKNOWLEDGEMENT)),
    st.builds(Unsubscribe5, ID, st.lists(TEXT, min_size=1, max_size=4).map(tuple), properties(OF_UNSUBSCRIBE)),
    st.builds(Unsuback5, ID, CODES, properties(OF_ACKNOWLEDGEMENT)),
    st.builds(Disconnect5, CODE, properties(OF_DISCONNECT)),
    st.sampled_from([Pingreq(), Pingresp()]),
)


def parse(data: bytes) -> list[Packet]:
    return list(Parser5().feed(data))


def parse_in_pieces(data: bytes, cuts: list[int]) -> tuple[list[Packet], Code | None]:
    """The packets, and with which code it ended."""
    parser, packets, start = Parser5(), list[Packet](), 0
    try:
        for stop in [*sorted(cuts), len(data)]:
            piece, start = data[start:stop], stop
            assert not parser.again(piece)
            packets.extend(parser.feed(piece))
    except Refused as error:
        return packets, error.code
    return packets, None


def test_connect_is_read_as_figure_3_6_of_the_specification_writes_it() -> None:
    """Version 5, flags 0xCE, keep alive 10 s, session expiry interval 10 s (the figure ends there)."""
    body = b"\x00\x04MQTT\x05\xce\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x01d\x05\x18\x00\x00\x00\x07\x00\x01t\x00\x01w"
    body += b"\x00\x01u\x00\x01p"
    expected = Connect5(
        client_id="d",
        username="u",
        password=b"p",
        keep_alive_s=10,
        will=Will5(topic="t", payload=b"w", qos=1, properties=Properties(will_delay_s=7)),
        properties=Properties(session_expiry_s=10),
    )
    assert parse(bytes((0x10, len(body))) + body) == [expected]
    assert encode5(expected) == bytes((0x10, len(body))) + body


def test_publish_is_read_as_figure_3_9_of_the_specification_writes_it() -> None:
    assert parse(b"\x32\x08\x00\x03a/b\x00\x0a\x00") == [Publish5("a/b", b"", 1, 10)]


def test_subscribe_is_read_as_figure_3_21_of_the_specification_writes_it() -> None:
    """Topic filters "a/b" with QoS 1 and "c/d" with QoS 2; with all options beside the QoS it is the same."""
    assert parse(b"\x82\x0f\x00\x0a\x00\x00\x03a/b\x01\x00\x03c/d\x02") == [Subscribe5(10, (("a/b", 1), ("c/d", 2)))]
    assert parse(b"\x82\x0f\x00\x0a\x00\x00\x03a/b\x2d\x00\x03c/d\x1e") == [Subscribe5(10, (("a/b", 1), ("c/d", 2)))]


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        (b"\x40\x02\x00\x01", Puback5(1)),
        (b"\x40\x03\x00\x01\x10", Puback5(1, 0x10)),
        (b"\x40\x04\x00\x01\x10\x00", Puback5(1, 0x10)),
        (b"\xe0\x00", Disconnect5()),
        (b"\xe0\x01\x04", Disconnect5(4)),
        (b"\xe0\x02\x04\x00", Disconnect5(4)),
    ],
)
def test_what_may_be_left_out_from_the_end_may_be_there(data: bytes, packet: Packet) -> None:
    assert parse(data) == [packet]


@pytest.mark.parametrize(
    ("plain", "same"),
    [
        (Puback(7), Puback5(7)),
        (Publish("a", b"x", 1, 7, True, True), Publish5("a", b"x", 1, 7, True, True)),
        (Suback(1, (0, 1)), Suback5(1, (0, 1))),
        (Subscribe(1, (("a", 1),)), Subscribe5(1, (("a", 1),))),
        (Unsubscribe(1, ("a",)), Unsubscribe5(1, ("a",))),
        (Unsuback(1, (0,)), Unsuback5(1, (0,))),
        (Disconnect(), Disconnect5()),
    ],
)
def test_a_packet_of_3_1_1_is_written_as_one_that_says_no_more(plain: Packet, same: Packet) -> None:
    assert parse(encode5(plain)) == [same]


@given(packets=st.lists(PACKET, max_size=6), data=st.data())
@settings(deadline=None, max_examples=examples(150))
def test_packets_come_back_equal_however_the_bytes_are_cut(packets: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode5, packets))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert parse_in_pieces(stream, cuts) == (packets, None)


@given(packets=st.lists(PACKET, max_size=3), junk=st.binary(min_size=1, max_size=60), data=st.data())
@settings(deadline=None, max_examples=examples(300))
def test_junk_gives_packets_or_a_code_the_same_in_any_cut(
    packets: list[Packet], junk: bytes, data: st.DataObject
) -> None:
    """The same packets, and the end of both; which of two faults is found first depends on what has come."""
    stream = bytearray(b"".join(map(encode5, packets)) + junk)
    for index in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=3)):
        stream[index] ^= data.draw(st.integers(1, 255))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    whole, code = parse_in_pieces(bytes(stream), [])
    for pieces in (cuts, list(range(len(stream)))):
        packets, other = parse_in_pieces(bytes(stream), pieces)
        assert (packets, other is None) == (whole, code is None)


@given(
    packets=st.lists(
        st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 3), st.sampled_from(["x", None])), max_size=12
    )
)
@settings(deadline=None, max_examples=examples(200))
def test_an_alias_stands_for_the_topic_that_it_was_last_given(packets: list[tuple[str, int, str | None]]) -> None:
    """Against a dictionary: 0 is no alias here."""
    known, expected, stream = dict[int, str](), list[str](), b""
    for topic, alias, kind in packets:
        stream += encode5(
            Publish5(topic, b"", 1, 1, False, False, Properties(topic_alias=alias or None, content_type=kind))
        )
        if not topic and alias not in known:
            break
        if topic and alias:
            known[alias] = topic
        expected.append(topic or known[alias])
    got, _ = parse_in_pieces(stream, [])
    assert [packet.topic for packet in got if isinstance(packet, Publish)] == expected


def test_messages_with_the_same_properties_share_them() -> None:
    one = encode5(Publish5("a", b"1", 1, 1, False, False, Properties(content_type="a/b", user=(("a", "b"),))))
    other = encode5(Publish5("a", b"1", 1, 1, False, False, Properties(content_type="a/c")))
    first, second, third, fourth = (packet for packet in parse(one + one + other + one) if isinstance(packet, Publish5))
    assert first.properties is second.properties
    assert first.topic is second.topic is fourth.topic
    assert third.properties.content_type == "a/c" and fourth.properties == first.properties


def _publish(section: bytes) -> bytes:
    return bytes((0x30, 4 + len(section))) + b"\x00\x01a" + bytes((len(section),)) + section


@pytest.mark.parametrize(
    ("why", "data", "code"),
    [
        ("PUBLISH with QoS 2", b"\x34\x06\x00\x01a\x00\x01\x00", Code.QOS),
        ("PUBLISH with QoS 3 [MQTT-3.3.1-4]", b"\x36\x06\x00\x01a\x00\x01\x00", Code.MALFORMED),
        ("PUBLISH, QoS 0, duplicate [MQTT-3.3.1-2]", b"\x38\x04\x00\x01a\x00", Code.MALFORMED),
        ("PUBLISH, QoS 1, identifier 0 [MQTT-2.2.1-3]", b"\x32\x06\x00\x01a\x00\x00\x00", Code.MALFORMED),
        ("PUBLISH, QoS 1, no identifier", b"\x32\x03\x00\x01a", Code.MALFORMED),
        ("PUBLISH, QoS 1, half an identifier", b"\x32\x04\x00\x01a\x01", Code.MALFORMED),
        ("PUBLISH without the length of properties", b"\x30\x03\x00\x01a", Code.MALFORMED),
        ("PUBLISH, properties longer than the packet", b"\x30\x05\x00\x01a\x05\x01", Code.MALFORMED),
        ("PUBLISH, a value longer than the properties", b"\x30\x09\x00\x01a\x04\x03\x00\x05ab", Code.MALFORMED),
        ("PUBLISH, half a value", _publish(b"\x02\x00\x00"), Code.MALFORMED),
        ("PUBLISH, a length of five bytes", b"\x30\x0a\x00\x01a\x80\x80\x80\x80\x01\x00\x00", Code.MALFORMED),
        ("PUBLISH, a longer length than needed [MQTT-1.5.5-1]", b"\x30\x05\x00\x01a\x80\x00", Code.MALFORMED),
        ("PUBLISH, no property", _publish(b"\x7f\x00"), Code.MALFORMED),
        ("PUBLISH, a property of CONNECT", _publish(b"\x21\x00\x01"), Code.MALFORMED),
        ("PUBLISH, content type twice", _publish(b"\x03\x00\x01a\x03\x00\x01a"), Code.PROTOCOL_ERROR),
        ("PUBLISH, alias twice", _publish(b"\x23\x00\x01\x23\x00\x01"), Code.PROTOCOL_ERROR),
        ("PUBLISH, payload format 2", _publish(b"\x01\x02"), Code.PROTOCOL_ERROR),
        ("PUBLISH, alias 0 [MQTT-3.3.2-8]", _publish(b"\x23\x00\x00"), Code.ALIAS),
        ("PUBLISH, alias over the maximum [MQTT-3.3.2-9]", _publish(b"\x23\x00\x11"), Code.ALIAS),
        ("PUBLISH, content type not UTF-8", _publish(b"\x03\x00\x01\xff"), Code.MALFORMED),
        ("PUBLISH, U+0000 in a user property", _publish(b"\x26\x00\x01\x00\x00\x00"), Code.MALFORMED),
        ("PUBLISH, half a user property", _publish(b"\x26\x00\x01a"), Code.MALFORMED),
        ("PUBLISH, no topic and no alias", b"\x30\x03\x00\x00\x00", Code.PROTOCOL_ERROR),
        ("PUBLISH, wildcard [MQTT-3.3.2-2]", b"\x30\x04\x00\x01#\x00", Code.TOPIC),
        ("remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", Code.MALFORMED),
        ("a packet over the limit", b"\x30\x81\xc0\x10", Code.TOO_LARGE),
        ("type 0", b"\x00\x00", Code.MALFORMED),
        ("PUBREL, for QoS 2 only", b"\x62\x02\x00\x01", Code.MALFORMED),
        ("AUTH", b"\xf0\x00", Code.PROTOCOL_ERROR),
        ("SUBSCRIBE without filters", b"\x82\x03\x00\x01\x00", Code.MALFORMED),
        ("SUBSCRIBE with QoS 3", b"\x82\x07\x00\x01\x00\x00\x01a\x03", Code.PROTOCOL_ERROR),
        ("SUBSCRIBE, retain handling 3", b"\x82\x07\x00\x01\x00\x00\x01a\x30", Code.PROTOCOL_ERROR),
        ("SUBSCRIBE, reserved options [MQTT-3.8.3-5]", b"\x82\x07\x00\x01\x00\x00\x01a\x40", Code.MALFORMED),
        ("SUBSCRIBE, identifier 0", b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", Code.PROTOCOL_ERROR),
        (
            "SUBSCRIBE, shared without local messages [MQTT-3.8.3-4]",
            b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04",
            Code.PROTOCOL_ERROR,
        ),
        ("UNSUBSCRIBE without filters", b"\xa2\x03\x00\x01\x00", Code.MALFORMED),
        ("SUBACK without codes", b"\x90\x03\x00\x01\x00", Code.MALFORMED),
        ("PINGREQ with a body", b"\xc0\x01\x00", Code.MALFORMED),
        ("PUBACK, more than its fields", b"\x40\x05\x00\x01\x00\x00\x00", Code.MALFORMED),
        ("DISCONNECT, receive maximum", b"\xe0\x05\x00\x03\x21\x00\x01", Code.MALFORMED),
        ("CONNECT, level 4", b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x01a", Code.LEVEL),
        ("CONNECT, another protocol", b"\x10\x0e\x00\x04MQTX\x05\x02\x00\x00\x00\x00\x01a", Code.LEVEL),
        ("CONNECT, reserved flag", b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01a", Code.MALFORMED),
        ("CONNECT, will QoS without will", b"\x10\x0e\x00\x04MQTT\x05\x0a\x00\x00\x00\x00\x01a", Code.MALFORMED),
        (
            "CONNECT, receive maximum 0",
            b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01a",
            Code.PROTOCOL_ERROR,
        ),
        (
            "CONNECT, largest packet 0",
            b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x27\x00\x00\x00\x00\x00\x01a",
            Code.PROTOCOL_ERROR,
        ),
        (
            "CONNECT, data without a method",
            b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01a",
            Code.PROTOCOL_ERROR,
        ),
        ("CONNECT, ends in its properties", b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x09\x21\x00", Code.MALFORMED),
    ],
)
def test_a_violation_has_its_code(why: str, data: bytes, code: Code) -> None:
    assert parse_in_pieces(data, []) == ([], code)
    assert parse_in_pieces(data, list(range(len(data)))) == ([], code)


def test_there_are_so_many_user_properties_and_no_more() -> None:
    """A packet of them alone would take a hundred milliseconds, also the CONNECT of a stranger."""
    most = Connect5(client_id="a", properties=Properties(user=(("a", "b"),) * MOST_OF_A_NAME))
    assert parse(encode5(most)) == [most]
    more = structs.replace(most, properties=Properties(user=(("a", "b"),) * (MOST_OF_A_NAME + 1)))
    assert parse_in_pieces(encode5(more), []) == ([], Code.QUOTA)


def test_a_password_needs_no_user_name_any_more() -> None:
    """3.1.2.9."""
    connect = Connect5(client_id="a", password=b"p")
    assert parse(encode5(connect)) == [connect]


def test_a_large_packet_in_tiny_pieces_is_not_looked_at_for_each_piece() -> None:
    parser, data = Parser5(), encode5(Publish5("a", bytes(200_000)))
    assert [packet for index in range(len(data)) for packet in parser.feed(data[index : index + 1])] != []


def test_what_no_packet_can_say_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="MQTT"):
        encode5(Publish5("a", b"", 1, 1, False, False, Properties(content_type="x" * 70_000)))


def test_a_commands_properties_are_a_messages_again() -> None:
    own = {"$.ct": "a/b", "$.ce": "utf-8", "$.cid": "c", "response-topic": "r", "$.mid": "m", "kind": "x"}
    said = command_properties(own, 90 * SECOND_US, 30 * SECOND_US, ())
    assert message_properties(said, 30 * SECOND_US) == {**own, "$.exp": "1970-01-01T00:01:30Z"}


def test_what_mqtt_cannot_say_is_left_out_of_a_commands_properties() -> None:
    own = {"$.ct": "\0", "$.cid": "\0", "response-topic": "a/#", "a\0": "x", "b": "\0", "c": "x" * 70_000, "d": "x"}
    said = command_properties(own, 0, SECOND_US, ())
    assert said == Properties(message_expiry_s=1, user=(("d", "x"),))


def test_none_of_the_properties_has_been_forgotten_here() -> None:
    """One is only read together with another: authentication data."""
    names = {name for name, _ in VALUES.values()} | {"authentication_data"}
    assert names == {field.name for field in structs.fields(Properties)}
