"""MQTT 5 from bytes to packets, in any cut, without I/O (OASIS MQTT Version 5.0; clauses in the comments)."""

from collections.abc import Iterator, Mapping
from typing import Final

from islet.decode.mqtt import MAX_PACKET, Parser, Reader, TooLarge, check_connect_flags, reader_of
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
)
from islet.decode.mqtt5_properties import (
    NO_PROPERTIES,
    OF_ACKNOWLEDGEMENT,
    OF_CONNACK,
    OF_CONNECT,
    OF_DISCONNECT,
    OF_PUBLISH,
    OF_SUBSCRIBE,
    OF_UNSUBSCRIBE,
    OF_WILL,
    Properties,
    read_properties,
)
from islet.decode.mqtt_fields import Fields
from islet.decode.mqtt_packets import Packet, Pingreq, Pingresp, Publish
from islet.errors import ProtocolError

LEVEL: Final = 5

MOST_ALIASES: Final = 16
"""Topics of one connection that a number may stand for; a device has few."""

_NO_TOPIC: Final = b"\0\0"


class Parser5(Parser):
    """Turns what a connection receives into packets. What it raises is Refused, with the code that the other side is told.

    >>> [message] = Parser5().feed(b"0" + bytes((13, 0, 3)) + b"a/b" + bytes((6, 3, 0, 3)) + b"j/kx")
    >>> message.topic, message.properties.content_type, message.payload
    ('a/b', 'j/k', b'x')
    """

    __slots__ = ("_aliases", "_most_aliases", "_properties", "_properties_bytes")

    def __init__(self, limit: int = MAX_PACKET, most_aliases: int = MOST_ALIASES) -> None:
        super().__init__(limit)
        self._most_aliases = most_aliases
        self._aliases: dict[int, str] = {}
        self._properties = NO_PROPERTIES
        self._properties_bytes = b"\0"

    def feed(self, data: bytes) -> Iterator[Packet]:
        """As of 3.1.1."""
        try:
            yield from super().feed(data)
        except Refused:
            raise
        except TooLarge as error:
            raise Refused(Code.TOO_LARGE, str(error)) from None
        except ProtocolError as error:
            raise Refused(Code.MALFORMED, str(error)) from None

    def _remember(self, data: bytes, at: int) -> None:
        """`again` knows none: properties stand between identifier and payload."""

    def _reader(self, first: int) -> Reader:
        return reader_of(first, _READERS)

    def _publish(self, first: int, data: bytes, body: int, stop: int) -> Publish:
        """3.3. A device keeps to one topic and mostly to the same properties; neither is decoded twice."""
        qos = first >> 1 & 3
        if qos == 2:
            raise Refused(Code.QOS, "MQTT: expected PUBLISH with QoS 0 or 1; QoS 2 is not served")
        if qos == 3 or (first & 8 and not qos):  # [MQTT-3.3.1-4], [MQTT-3.3.1-2]
            raise ProtocolError("MQTT: expected PUBLISH with QoS 0 or 1, and with QoS 0 no duplicate")
        if not data.startswith(self._topic_bytes, body, stop):
            self._read_topic(data, body, stop)
        at, packet_id = body + len(self._topic_bytes), 0
        if qos:
            packet_id = data[at] << 8 | data[at + 1] if at + 2 <= stop else 0
            at += 2
            if not packet_id:
                raise ProtocolError("MQTT: expected a packet identifier above 0 in PUBLISH")  # [MQTT-2.2.1-3]
        if not data.startswith(self._properties_bytes, at, stop):
            self._read_properties(data, at, stop)
        payload, properties = at + len(self._properties_bytes), self._properties
        topic = self._topic
        if properties.topic_alias is not None or not topic:
            topic = self._aliased(topic, properties.topic_alias)
        return Publish5(topic, data[payload:stop], qos, packet_id, first & 1 == 1, first & 8 == 8, properties)

    def _read_topic(self, data: bytes, body: int, stop: int) -> None:
        if data.startswith(_NO_TOPIC, body, stop):  # an alias has to stand for it
            self._topic, self._topic_bytes = "", _NO_TOPIC
            return
        fields = Fields(data[body:stop])
        topic = fields.text()
        if "#" in topic or "+" in topic:  # [MQTT-3.3.2-2]
            raise Refused(Code.TOPIC, "MQTT: expected a topic name without wildcards")
        self._topic, self._topic_bytes = topic, data[body : body + fields.at]

    def _read_properties(self, data: bytes, at: int, stop: int) -> None:
        fields = Fields(data[at:stop])
        self._properties = read_properties(fields, OF_PUBLISH)
        self._properties_bytes = data[at : at + fields.at]

    def _aliased(self, topic: str, alias: int | None) -> str:
        """3.3.2.3.4: the topic that a number stands for, from now on or since an earlier message."""
        if alias is None:  # 3.3.2.1
            raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected a topic, or an alias of one")
        if alias > self._most_aliases:  # [MQTT-3.3.2-9]
            raise Refused(Code.ALIAS, f"MQTT: expected a topic alias of at most {self._most_aliases}; got {alias}")
        if topic:
            self._aliases[alias] = topic
            return topic
        known = self._aliases.get(alias)
        if known is None:
            raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected a topic alias that stands for a topic")
        return known


def _connect(fields: Fields) -> Connect5:
    if fields.blob() != b"MQTT":  # [MQTT-3.1.2-1]
        raise Refused(Code.LEVEL, "MQTT: expected protocol name MQTT")
    level = fields.byte()
    if level != LEVEL:
        raise Refused(Code.LEVEL, f"MQTT: expected protocol level 5; got {level}")
    flags = fields.byte()
    check_connect_flags(flags & ~0x40)  # a password needs no user name any more (3.1.2.9)
    keep_alive_s = fields.number()
    properties = read_properties(fields, OF_CONNECT)
    if properties.authentication_data is not None and properties.authentication_method is None:  # 3.1.2.11.10
        raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected no authentication data without a method")
    client_id = fields.text()
    will = _will(fields, flags) if flags & 0x04 else None
    return Connect5(
        client_id=client_id,
        username=fields.text() if flags & 0x80 else None,
        password=fields.blob() if flags & 0x40 else None,
        clean_session=bool(flags & 0x02),
        keep_alive_s=keep_alive_s,
        will=will,
        properties=properties,
    )


def _will(fields: Fields, flags: int) -> Will5:
    properties, topic = read_properties(fields, OF_WILL), fields.text()
    return Will5(
        topic=topic, payload=fields.blob(), qos=flags >> 3 & 3, retain=bool(flags & 0x20), properties=properties
    )


def _connack(fields: Fields) -> Connack5:
    flags, code = fields.byte(), fields.byte()
    if flags > 1 or (flags and code):  # 3.2.2.1, [MQTT-3.2.2-6]
        raise ProtocolError("MQTT: expected CONNACK with flags 0 or 1")
    return Connack5(code, bool(flags), read_properties(fields, OF_CONNACK))


def _puback(fields: Fields) -> Puback5:
    packet_id = fields.packet_id()
    return Puback5(packet_id, *_outcome(fields, OF_ACKNOWLEDGEMENT))


def _disconnect(fields: Fields) -> Disconnect5:
    return Disconnect5(*_outcome(fields, OF_DISCONNECT))


def _outcome(fields: Fields, allowed: frozenset[int]) -> tuple[int, Properties]:
    """Code and properties, both of which may be left out from the end (3.4.2.1, 3.14.2.1)."""
    code = fields.byte() if fields.more else Code.SUCCESS
    return code, read_properties(fields, allowed) if fields.more else NO_PROPERTIES


def _subscribe(fields: Fields) -> Subscribe5:
    packet_id, properties = fields.packet_id(), read_properties(fields, OF_SUBSCRIBE)
    if len(properties.subscription_identifiers) > 1:  # 3.8.2.1.2
        raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected one subscription identifier at most")
    filters: list[tuple[str, int]] = []
    while fields.more or not filters:  # at least one [MQTT-3.8.3-2]
        text, options = fields.text(), fields.byte()
        if not text or options > 0x3F:  # [MQTT-4.7.3-1], [MQTT-3.8.3-5]
            raise ProtocolError("MQTT: expected a topic filter and its options")
        if options & 3 == 3 or options & 0x30 == 0x30:  # 3.8.3.1
            raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected QoS and retain handling of 0, 1 or 2")
        if options & 4 and text.startswith("$share/"):  # [MQTT-3.8.3-4]
            raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected no shared subscription without local messages")
        filters.append((text, options & 3))
    return Subscribe5(packet_id, tuple(filters), properties)


def _suback(fields: Fields) -> Suback5:
    packet_id, properties = fields.packet_id(), read_properties(fields, OF_ACKNOWLEDGEMENT)
    return Suback5(packet_id, _codes(fields), properties)


def _unsubscribe(fields: Fields) -> Unsubscribe5:
    packet_id, properties = fields.packet_id(), read_properties(fields, OF_UNSUBSCRIBE)
    filters: list[str] = []
    while fields.more or not filters:  # at least one [MQTT-3.10.3-2]
        filters.append(fields.text())
    return Unsubscribe5(packet_id, tuple(filters), properties)


def _unsuback(fields: Fields) -> Unsuback5:
    packet_id, properties = fields.packet_id(), read_properties(fields, OF_ACKNOWLEDGEMENT)
    return Unsuback5(packet_id, _codes(fields), properties)


def _codes(fields: Fields) -> tuple[int, ...]:
    codes = fields.rest()
    if not codes:
        raise ProtocolError("MQTT: expected a code for each filter")
    return tuple(codes)


def _auth(fields: Fields) -> Packet:
    raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected no AUTH; enhanced authentication is not served")


_READERS: Mapping[int, Reader] = {
    0x10: _connect,
    0x20: _connack,
    0x40: _puback,
    0x82: _subscribe,
    0x90: _suback,
    0xA2: _unsubscribe,
    0xB0: _unsuback,
    0xC0: lambda fields: Pingreq(),
    0xD0: lambda fields: Pingresp(),
    0xE0: _disconnect,
    0xF0: _auth,
}
"""By the whole first byte: type and its fixed flags (table 2-2)."""
