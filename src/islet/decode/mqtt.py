"""MQTT 3.1.1 from bytes to packets, in any cut, without I/O (OASIS MQTT Version 3.1.1; clauses in the comments).

Serves both ends: the front door and the agent that speaks as a device. MQTT 5 is beside it (`mqtt5`).
"""

from collections.abc import Callable, Iterator, Mapping

from islet.decode.mqtt_fields import Fields
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
)
from islet.errors import ProtocolError

MAX_PAYLOAD = 256 * 1024
"""Bytes of one message from a device, as at IoT Hub."""

MAX_PACKET = MAX_PAYLOAD + 8 * 1024
"""A message with its topic and property bag."""

_NO_ID = b"\0\0"  # [MQTT-2.3.1-1]
_QOS_1 = 0x32  # the first byte of a PUBLISH with QoS 1, neither a duplicate nor to be retained


class UnacceptableLevel(ProtocolError):
    """CONNECT asks for another version of MQTT; it is answered with CONNACK code 1 [MQTT-3.1.2-2], unless somebody else
    reads that version. `unread` is all that came, from that packet on."""

    def __init__(self, level: int) -> None:
        super().__init__(f"MQTT: expected protocol level 4 (version 3.1.1) or 5; got {level}")
        self.level = level
        self.unread = b""


class TooLarge(ProtocolError):
    """A packet over the limit."""


class Parser:
    """Turns what a connection receives into packets.

    >>> parser = Parser()
    >>> list(parser.feed(bytes((0xC0,)))), list(parser.feed(bytes((0,))))
    ([], [Pingreq()])
    """

    __slots__ = (
        "_before",
        "_begins",
        "_id",
        "_limit",
        "_needed",
        "_rest",
        "_size",
        "_topic",
        "_topic_bytes",
        "payload",
    )

    def __init__(self, limit: int = MAX_PACKET) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._needed = 2
        self._topic = "/"
        self._topic_bytes = b"\x00\x01/"
        self._begins = b""  # how the last packet that came alone began, up to its identifier,
        self._size = -1  # and how long it was
        self._before = self._id = self.payload = slice(0)  # where in it that, its identifier and its payload are

    def again(self, data: bytes) -> bytes:
        """The packet identifier, when `data` is one PUBLISH like the last that came alone: QoS 1, the same length, and the
        topic of the last PUBLISH of all; its payload is `data[parser.payload]`. So are most readings of one device.
        Nothing for anything else, which is for `feed`."""
        if len(data) == self._size and data[self._before] == self._begins:
            packet_id = data[self._id]
            if packet_id != _NO_ID:
                return packet_id
        return b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that `data` completes, in order; what is left over waits for the next call.

        Raises ProtocolError at the first malformed packet, after those before it were given; the connection must then
        be closed. The iterator must be run to its end.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
        start, size = 0, len(data)
        while size - start >= 2:
            first, length, body = data[start], data[start + 1], start + 2
            if length > 127:
                length, body = _long_length(data, start)
                if not body:
                    break
            if length > self._limit:
                raise TooLarge(f"MQTT: expected a packet of at most {self._limit} bytes; got {length}")
            stop = body + length
            if stop > size:
                break
            if first >> 4 == 3:
                packet = self._publish(first, data, body, stop)
                if first == _QOS_1 and stop - start == size:
                    self._remember(data, body + len(self._topic_bytes))
                yield packet
            else:
                yield self._packet(first, data, start, body, stop)
            start = stop
        if start < size or self._rest:  # else nothing is left, as after most readings
            self._keep(data, start)

    def _remember(self, data: bytes, at: int) -> None:
        """For `again`: a PUBLISH that came alone, with its identifier at `at`."""
        self._begins, self._size = data[:at], len(data)
        self._before, self._id, self.payload = slice(at), slice(at, at + 2), slice(at + 2, None)

    def _keep(self, data: bytes, start: int) -> None:
        """Hold an unfinished packet, and how much is needed before it is worth another look."""
        self._rest = bytearray(data[start:])
        self._size = -1
        self._needed = len(self._rest) + 1
        if len(self._rest) >= 2:
            if self._rest[0] >> 4 != 3:
                self._reader(self._rest[0])  # not MQTT at all? then there is nothing to wait for
            length, body = _long_length(self._rest, 0)
            self._needed = body + length if body else self._needed

    def _reader(self, first: int) -> "Reader":
        return reader_of(first, _READERS)

    def _packet(self, first: int, data: bytes, start: int, body: int, stop: int) -> Packet:
        """Any packet but PUBLISH."""
        fields = Fields(data[body:stop])
        try:
            packet = self._reader(first)(fields)
        except UnacceptableLevel as error:
            error.unread = data[start:]
            raise
        if fields.more:
            raise ProtocolError("MQTT: expected the end of the packet; got more bytes")
        return packet

    def _publish(self, first: int, data: bytes, body: int, stop: int) -> Publish:
        """3.3. A device keeps to one topic, so the last one is not decoded and checked again."""
        if not data.startswith(self._topic_bytes, body, stop):
            self._read_topic(data, body, stop)
        at = body + len(self._topic_bytes)
        qos = first >> 1 & 3
        if qos == 1:
            payload = at + 2
            packet_id = data[at] << 8 | data[at + 1] if payload <= stop else 0
            if not packet_id:
                raise ProtocolError("MQTT: expected a packet identifier above 0 in PUBLISH")  # [MQTT-2.3.1-1]
            return Publish(self._topic, data[payload:stop], 1, packet_id, first & 1 == 1, first & 8 == 8)
        if qos:
            raise ProtocolError("MQTT: expected PUBLISH with QoS 0 or 1; QoS 2 is not served")  # and [MQTT-3.3.1-4]
        if first & 8:
            raise ProtocolError("MQTT: a PUBLISH with QoS 0 is never a duplicate")  # [MQTT-3.3.1-2]
        return Publish(self._topic, data[at:stop], 0, 0, first & 1 == 1, False)

    def _read_topic(self, data: bytes, body: int, stop: int) -> None:
        fields = Fields(data[body:stop])
        topic = fields.text()
        if not topic or "#" in topic or "+" in topic:  # [MQTT-4.7.3-1], [MQTT-3.3.2-2]
            raise ProtocolError("MQTT: expected a topic name without wildcards")
        self._topic = topic
        self._topic_bytes = data[body : body + fields.at]
        self._size = -1


def reader_of(first: int, readers: Mapping[int, "Reader"]) -> "Reader":
    """Raises ProtocolError where none is for packets that begin so."""
    reader = readers.get(first)
    if reader is None:  # reserved flags and types: [MQTT-2.2.2-2]
        raise ProtocolError(f"MQTT: expected the first byte of a packet that is served here; got 0x{first:02x}")
    return reader


def _long_length(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Remaining length (2.2.3) and where the body begins; (0, 0) when the length is not all there yet."""
    length = 0
    for index in range(4):
        at = start + 1 + index
        if at >= len(data):
            return 0, 0
        length |= (data[at] & 127) << 7 * index
        if data[at] < 128:
            return length, at + 1
    raise ProtocolError("MQTT: expected a remaining length of at most four bytes")


def _connect(fields: Fields) -> Connect:
    if fields.blob() != b"MQTT":  # [MQTT-3.1.2-1]
        raise ProtocolError("MQTT: expected protocol name MQTT")
    level = fields.byte()
    if level != 4:
        raise UnacceptableLevel(level)
    flags = fields.byte()
    check_connect_flags(flags)
    keep_alive_s = fields.number()
    client_id = fields.text()
    will = _will(fields, flags) if flags & 0x04 else None
    return Connect(
        client_id=client_id,
        username=fields.text() if flags & 0x80 else None,
        password=fields.blob() if flags & 0x40 else None,
        clean_session=bool(flags & 0x02),
        keep_alive_s=keep_alive_s,
        will=will,
    )


def check_connect_flags(flags: int) -> None:
    if flags & 0x01:  # [MQTT-3.1.2-3]
        raise ProtocolError("MQTT: expected CONNECT's reserved flag to be 0")
    if flags & 0x38 and not flags & 0x04:  # [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-15]
        raise ProtocolError("MQTT: expected no will QoS or retain without a will")
    if flags & 0x18 == 0x18:  # [MQTT-3.1.2-14]
        raise ProtocolError("MQTT: expected a will QoS of 0, 1 or 2")
    if flags & 0x40 and not flags & 0x80:  # [MQTT-3.1.2-22]
        raise ProtocolError("MQTT: expected no password without a user name")


def _will(fields: Fields, flags: int) -> Will:
    topic = fields.text()
    return Will(topic=topic, payload=fields.blob(), qos=flags >> 3 & 3, retain=bool(flags & 0x20))


def _connack(fields: Fields) -> Connack:
    flags, code = fields.byte(), fields.byte()
    if flags > 1 or code > 5 or (flags and code):  # 3.2.2.1, table 3.1, [MQTT-3.2.2-4]
        raise ProtocolError("MQTT: expected CONNACK with flags 0 or 1 and a code of 0 to 5")
    return Connack(code, bool(flags))


def _subscribe(fields: Fields) -> Subscribe:
    packet_id = fields.packet_id()
    filters: list[tuple[str, int]] = []
    while fields.more or not filters:  # at least one [MQTT-3.8.3-3]
        text, qos = fields.text(), fields.byte()
        if not text or qos > 2:  # [MQTT-4.7.3-1], [MQTT-3.8.3-4]
            raise ProtocolError("MQTT: expected a topic filter with QoS 0, 1 or 2")
        filters.append((text, qos))
    return Subscribe(packet_id, tuple(filters))


def _suback(fields: Fields) -> Suback:
    packet_id, codes = fields.packet_id(), fields.rest()
    if not codes or any(code not in (0, 1, 2, 0x80) for code in codes):  # [MQTT-3.9.3-2]
        raise ProtocolError("MQTT: expected SUBACK codes 0, 1, 2 or 0x80")
    return Suback(packet_id, tuple(codes))


def _unsubscribe(fields: Fields) -> Unsubscribe:
    packet_id = fields.packet_id()
    filters: list[str] = []
    while fields.more or not filters:  # at least one [MQTT-3.10.3-2]
        filters.append(fields.text())
    return Unsubscribe(packet_id, tuple(filters))


Reader = Callable[[Fields], Packet]
"""Of the body of one type of packet."""

_READERS: dict[int, Reader] = {
    0x10: _connect,
    0x20: _connack,
    0x40: lambda fields: Puback(fields.packet_id()),
    0x82: _subscribe,
    0x90: _suback,
    0xA2: _unsubscribe,
    0xB0: lambda fields: Unsuback(fields.packet_id()),
    0xC0: lambda fields: Pingreq(),
    0xD0: lambda fields: Pingresp(),
    0xE0: lambda fields: Disconnect(),
}
"""By the whole first byte: type and its fixed flags (table 2.2)."""
