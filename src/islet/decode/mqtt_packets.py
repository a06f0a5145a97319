"""MQTT 3.1.1 packets as records, and how each is written (OASIS MQTT Version 3.1.1, chapter 3).

QoS 2 is left out on purpose: IoT Hub refuses it, and what it is for (exactly once) comes from the identity of a
reading instead.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from islet.decode.mqtt_fields import blob_bytes, number_bytes, packet_bytes, text_bytes

ACCEPTED = 0
UNACCEPTABLE_LEVEL = 1
IDENTIFIER_REJECTED = 2
UNAVAILABLE = 3
NOT_AUTHORISED = 5
"""Return codes of CONNACK, table 3.1."""


class Will(Struct, frozen=True, kw_only=True):
    """What the server publishes for a client that goes without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Connect(Struct, frozen=True, kw_only=True):
    """3.1: the first packet of a client. `keep_alive_s` 0 turns the time limit off."""

    client_id: str
    username: str | None = None
    password: bytes | None = None
    clean_session: bool = True
    keep_alive_s: int = 60
    will: Will | None = None


class Connack(Struct, frozen=True):
    """3.2: the server's answer to CONNECT; `code` 0 is yes."""

    code: int
    session_present: bool = False


class Publish(Struct, frozen=True, gc=False):
    """3.3: a message. `packet_id` is 0 with QoS 0, which has none."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False


class Puback(Struct, frozen=True, gc=False):
    """3.4: a message with QoS 1 has been taken over by the other side."""

    packet_id: int


class Subscribe(Struct, frozen=True):
    """3.8: filters, each with the greatest QoS that is wanted."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Suback(Struct, frozen=True):
    """3.9: per filter the QoS that was granted, or 0x80 for no."""

    packet_id: int
    codes: tuple[int, ...]


class Unsubscribe(Struct, frozen=True):
    """3.10."""

    packet_id: int
    filters: tuple[str, ...]


class Unsuback(Struct, frozen=True):
    """3.11. MQTT 5 has a code per filter, 3.1.1 has none."""

    packet_id: int
    codes: tuple[int, ...] = ()


class Pingreq(Struct, frozen=True):
    """3.12."""


class Pingresp(Struct, frozen=True):
    """3.13."""


class Disconnect(Struct, frozen=True):
    """3.14: the client goes on purpose; its will is forgotten."""


PUBACK = b"\x40\x02"
"""What stands before the two bytes of the packet identifier."""

Packet = (
    Connect | Connack | Publish | Puback | Subscribe | Suback | Unsubscribe | Unsuback | Pingreq | Pingresp | Disconnect
)


def encode(packet: Packet) -> bytes:
    """The packet's bytes; `Parser` reads them back as an equal packet.

    Raises ValueError for what no packet can say: a text over 65,535 bytes, a number out of range.
    """
    return _WRITERS[type(packet)](packet)


def encode_puback(packet_id: int) -> bytes:
    """The same as `encode(Puback(packet_id))`, for the hot path."""
    return PUBACK + packet_id.to_bytes(2, "big")


def _connect(packet: Connect) -> bytes:
    will = packet.will
    flags = packet.clean_session << 1
    if will is not None:
        flags |= 1 << 2 | will.qos << 3 | will.retain << 5
    flags |= (packet.password is not None) << 6 | (packet.username is not None) << 7
    parts = [text_bytes("MQTT"), bytes((4, flags)), number_bytes(packet.keep_alive_s), text_bytes(packet.client_id)]
    if will is not None:
        parts += (text_bytes(will.topic), blob_bytes(will.payload))
    if packet.username is not None:
        parts.append(text_bytes(packet.username))
    if packet.password is not None:
        parts.append(blob_bytes(packet.password))
    return packet_bytes(0x10, b"".join(parts))


def _publish(packet: Publish) -> bytes:
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    if packet.qos:
        return packet_bytes(first, text_bytes(packet.topic) + number_bytes(packet.packet_id) + packet.payload)
    return packet_bytes(first, text_bytes(packet.topic) + packet.payload)


def _subscribe(packet: Subscribe) -> bytes:
    filters = b"".join(text_bytes(text) + bytes((qos,)) for text, qos in packet.filters)
    return packet_bytes(0x82, number_bytes(packet.packet_id) + filters)


def _unsubscribe(packet: Unsubscribe) -> bytes:
    return packet_bytes(0xA2, number_bytes(packet.packet_id) + b"".join(map(text_bytes, packet.filters)))


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    Connect: _connect,
    Connack: lambda packet: bytes((0x20, 2, packet.session_present, packet.code)),
    Publish: _publish,
    Puback: lambda packet: b"\x40\x02" + number_bytes(packet.packet_id),
    Subscribe: _subscribe,
    Suback: lambda packet: packet_bytes(0x90, number_bytes(packet.packet_id) + bytes(packet.codes)),
    Unsubscribe: _unsubscribe,
    Unsuback: lambda packet: b"\xb0\x02" + number_bytes(packet.packet_id),
    Pingreq: lambda packet: b"\xc0\x00",
    Pingresp: lambda packet: b"\xd0\x00",
    Disconnect: lambda packet: b"\xe0\x00",
}
