"""MQTT 5 packets as records, and how each is written (OASIS MQTT Version 5.0, chapter 3).

Each is the packet of 3.1.1 with what version 5 adds, so that what the two have in common is done once. A packet of 3.1.1
is written as one of version 5 that says no more.
"""

from collections.abc import Callable
from typing import Any

from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt5_properties import NO_PROPERTIES, Properties, properties_bytes
from islet.decode.mqtt_fields import blob_bytes, number_bytes, packet_bytes, text_bytes
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


class Will5(Will, frozen=True, kw_only=True):
    """3.1.3.2: published when its delay is over, or the session."""

    properties: Properties = NO_PROPERTIES


class Connect5(Connect, frozen=True, kw_only=True):
    """3.1. `clean_session` is Clean Start: how long the session is kept is a property."""

    properties: Properties = NO_PROPERTIES


class Connack5(Connack, frozen=True):
    """3.2."""

    properties: Properties = NO_PROPERTIES


class Publish5(Publish, frozen=True, gc=False):
    """3.3. The topic is there also where an alias stands for it."""

    properties: Properties = NO_PROPERTIES


class Puback5(Puback, frozen=True, gc=False):
    """3.4. From 0x80 on, `code` says that the message was refused; it is not sent again."""

    code: int = Code.SUCCESS
    properties: Properties = NO_PROPERTIES


class Subscribe5(Subscribe, frozen=True):
    """3.8. What else a filter may ask for makes no difference here, where nothing is retained and nobody gets what they
    have sent: no local, retain as published, retain handling."""

    properties: Properties = NO_PROPERTIES


class Suback5(Suback, frozen=True):
    """3.9."""

    properties: Properties = NO_PROPERTIES


class Unsubscribe5(Unsubscribe, frozen=True):
    """3.10."""

    properties: Properties = NO_PROPERTIES


class Unsuback5(Unsuback, frozen=True):
    """3.11."""

    properties: Properties = NO_PROPERTIES


class Disconnect5(Disconnect, frozen=True):
    """3.14: either side goes, and says why."""

    code: int = Code.SUCCESS
    properties: Properties = NO_PROPERTIES


def encode5(packet: Packet) -> bytes:
    """The packet's bytes; `Parser5` reads them back. Raises ValueError for what no packet can say."""
    return _WRITERS[type(packet)](packet, getattr(packet, "properties", NO_PROPERTIES))


def _connect(packet: Connect, properties: Properties) -> bytes:
    will = packet.will
    flags = packet.clean_session << 1
    if will is not None:
        flags |= 1 << 2 | will.qos << 3 | will.retain << 5
    flags |= (packet.password is not None) << 6 | (packet.username is not None) << 7
    parts = [text_bytes("MQTT"), bytes((5, flags)), number_bytes(packet.keep_alive_s)]
    parts += (properties_bytes(properties), text_bytes(packet.client_id))
    if will is not None:
        parts.append(properties_bytes(getattr(will, "properties", NO_PROPERTIES)))
        parts += (text_bytes(will.topic), blob_bytes(will.payload))
    if packet.username is not None:
        parts.append(text_bytes(packet.username))
    if packet.password is not None:
        parts.append(blob_bytes(packet.password))
    return packet_bytes(0x10, b"".join(parts))


def _connack(packet: Connack, properties: Properties) -> bytes:
    return packet_bytes(0x20, bytes((packet.session_present, packet.code)) + properties_bytes(properties))


def _publish(packet: Publish, properties: Properties) -> bytes:
    """An alias that is set stands for the topic, unless it is the first time: that is for the caller to know."""
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    number = number_bytes(packet.packet_id) if packet.qos else b""
    return packet_bytes(first, text_bytes(packet.topic) + number + properties_bytes(properties) + packet.payload)


def _puback(packet: Puback, properties: Properties) -> bytes:
    """3.4.2.1: a success without properties is written as in 3.1.1."""
    number, code = number_bytes(packet.packet_id), getattr(packet, "code", Code.SUCCESS)
    if not code and properties == NO_PROPERTIES:
        return b"\x40\x02" + number
    return packet_bytes(0x40, number + bytes((code,)) + properties_bytes(properties))


def _subscribe(packet: Subscribe, properties: Properties) -> bytes:
    filters = b"".join(text_bytes(text) + bytes((qos,)) for text, qos in packet.filters)
    return packet_bytes(0x82, number_bytes(packet.packet_id) + properties_bytes(properties) + filters)


def _answer(first: int) -> Callable[[Suback | Unsuback, Properties], bytes]:
    return lambda packet, properties: packet_bytes(
        first, number_bytes(packet.packet_id) + properties_bytes(properties) + bytes(packet.codes)
    )


def _unsubscribe(packet: Unsubscribe, properties: Properties) -> bytes:
    filters = b"".join(map(text_bytes, packet.filters))
    return packet_bytes(0xA2, number_bytes(packet.packet_id) + properties_bytes(properties) + filters)


def _disconnect(packet: Disconnect, properties: Properties) -> bytes:
    code = getattr(packet, "code", Code.SUCCESS)
    if not code and properties == NO_PROPERTIES:
        return b"\xe0\x00"
    return packet_bytes(0xE0, bytes((code,)) + properties_bytes(properties))


_WRITERS: dict[type, Callable[[Any, Properties], bytes]] = {
    kind: writer
    for kinds, writer in (
        ((Connect, Connect5), _connect),
        ((Connack, Connack5), _connack),
        ((Publish, Publish5), _publish),
        ((Puback, Puback5), _puback),
        ((Subscribe, Subscribe5), _subscribe),
        ((Suback, Suback5), _answer(0x90)),
        ((Unsubscribe, Unsubscribe5), _unsubscribe),
        ((Unsuback, Unsuback5), _answer(0xB0)),
        ((Pingreq,), lambda packet, properties: b"\xc0\x00"),
        ((Pingresp,), lambda packet, properties: b"\xd0\x00"),
        ((Disconnect, Disconnect5), _disconnect),
    )
    for kind in kinds
}
