"""The properties of MQTT 5's packets, from bytes and back (OASIS MQTT Version 5.0, 2.2.2)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from islet.decode.mqtt5_codes import Code, Refused
from islet.decode.mqtt_fields import Fields, blob_bytes, length_bytes, number_bytes, text_bytes


class Properties(Struct, frozen=True, kw_only=True):
    """Those of one packet (table 2-4); None, or none of them: it does not say. `user` are names and values in their order."""

    payload_format: int | None = None
    message_expiry_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    session_expiry_s: int | None = None
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problems: int | None = None
    will_delay_s: int | None = None
    request_response: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user: tuple[tuple[str, str], ...] = ()
    maximum_packet_bytes: int | None = None
    wildcards_available: int | None = None
    identifiers_available: int | None = None
    shared_available: int | None = None


NO_PROPERTIES: Final = Properties()
MOST_OF_A_REASON: Final = 250
"""Characters."""


class _Kind(NamedTuple):
    """How a property's value is written, and whether a number may be it."""

    read: Callable[[Fields], Any]
    write: Callable[[Any], bytes]
    fits: Callable[[Any], bool] = lambda value: True


def _pair(fields: Fields) -> tuple[str, str]:
    return fields.text(), fields.text()


_FLAG: Final = _Kind(Fields.byte, lambda value: bytes((value,)), lambda value: value < 2)
_TWO: Final = _Kind(Fields.number, number_bytes)
_TWO_NOT_0: Final = _Kind(Fields.number, number_bytes, bool)
_FOUR: Final = _Kind(Fields.long_number, lambda value: value.to_bytes(4, "big"))
_FOUR_NOT_0: Final = _Kind(Fields.long_number, lambda value: value.to_bytes(4, "big"), bool)
_LENGTH_NOT_0: Final = _Kind(Fields.length, length_bytes, bool)
_TEXT: Final = _Kind(Fields.text, text_bytes)
_BLOB: Final = _Kind(Fields.blob, blob_bytes)
_PAIR: Final = _Kind(_pair, lambda pair: text_bytes(pair[0]) + text_bytes(pair[1]))

_KINDS: Final[Mapping[int, tuple[str, _Kind]]] = {
    0x01: ("payload_format", _FLAG),
    0x02: ("message_expiry_s", _FOUR),
    0x03: ("content_type", _TEXT),
    0x08: ("response_topic", _TEXT),
    0x09: ("correlation_data", _BLOB),
    0x0B: ("subscription_identifiers", _LENGTH_NOT_0),
    0x11: ("session_expiry_s", _FOUR),
    0x12: ("assigned_client_id", _TEXT),
    0x13: ("server_keep_alive_s", _TWO),
    0x15: ("authentication_method", _TEXT),
    0x16: ("authentication_data", _BLOB),
    0x17: ("request_problems", _FLAG),
    0x18: ("will_delay_s", _FOUR),
    0x19: ("request_response", _FLAG),
    0x1A: ("response_information", _TEXT),
    0x1C: ("server_reference", _TEXT),
    0x1F: ("reason", _TEXT),
    0x21: ("receive_maximum", _TWO_NOT_0),
    0x22: ("topic_alias_maximum", _TWO),
    0x23: ("topic_alias", _TWO_NOT_0),
    0x24: ("maximum_qos", _FLAG),
    0x25: ("retain_available", _FLAG),
    0x26: ("user", _PAIR),
    0x27: ("maximum_packet_bytes", _FOUR_NOT_0),
    0x28: ("wildcards_available", _FLAG),
    0x29: ("identifiers_available", _FLAG),
    0x2A: ("shared_available", _FLAG),
}
"""By identifier (table 2-4)."""

_MANY: Final = frozenset(("user", "subscription_identifiers"))
"""What may be there more than once (2.2.2.2; 3.3.2.3.8)."""

MOST_OF_A_NAME: Final = 1000
"""A packet could hold 50,000, which take a tenth of a second to read; also those of a CONNECT from anybody."""

MESSAGE: Final = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, 0x26))
OF_CONNECT: Final = frozenset((0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27))
OF_WILL: Final = MESSAGE | {0x18}
OF_CONNACK: Final = frozenset(
    (0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A)
)
OF_PUBLISH: Final = MESSAGE | {0x0B, 0x23}
OF_SUBSCRIBE: Final = frozenset((0x0B, 0x26))
OF_UNSUBSCRIBE: Final = frozenset((0x26,))
OF_ACKNOWLEDGEMENT: Final = frozenset((0x1F, 0x26))
OF_DISCONNECT: Final = frozenset((0x11, 0x1C, 0x1F, 0x26))
"""Which may be in which packet (table 2-4)."""


def told(text: str) -> Properties:
    """A reason string. What it quotes may come from anybody: it is printable here, and short ([MQTT-1.5.4-2])."""
    return Properties(reason="".join(one if one.isprintable() else "?" for one in text[:MOST_OF_A_REASON]))


def read_properties(fields: Fields, allowed: frozenset[int]) -> Properties:
    """The next ones, their length first. Raises Refused: one that is not of this packet is malformed (2.2.2.2), one that
    is there twice, or has a value that it may not have, is a protocol error, or its code says more."""
    length = fields.length()
    if not length:
        return NO_PROPERTIES
    part, found = fields.part(length), dict[str, Any]()
    while part.more:
        identifier = part.length()
        if identifier not in allowed:
            raise Refused(Code.MALFORMED, f"MQTT: expected a property of this packet; got 0x{identifier:02x}")
        name, kind = _KINDS[identifier]
        value = kind.read(part)
        if not kind.fits(value):
            code = Code.ALIAS if name == "topic_alias" else Code.PROTOCOL_ERROR  # 3.3.2.3.4
            raise Refused(code, f"MQTT: expected another value of property 0x{identifier:02x}; got {value}")
        if name in _MANY:
            values = found.setdefault(name, [])
            if len(values) == MOST_OF_A_NAME:
                raise Refused(Code.QUOTA, f"MQTT: expected at most {MOST_OF_A_NAME} user properties")
            values.append(value)
        elif name in found:
            raise Refused(Code.PROTOCOL_ERROR, f"MQTT: expected property 0x{identifier:02x} once; it is there again")
        else:
            found[name] = value
    for name in _MANY & found.keys():
        found[name] = tuple(found[name])
    return Properties(**found)


def properties_bytes(properties: Properties = NO_PROPERTIES) -> bytes:
    """`read_properties` reads them back. Raises ValueError for what no property can say."""
    if properties is NO_PROPERTIES:
        return b"\0"
    written = bytearray()
    for identifier, (name, kind) in _KINDS.items():
        value = getattr(properties, name)
        if value is not None:
            for one in value if name in _MANY else (value,):
                written.append(identifier)
                written += kind.write(one)
    return length_bytes(len(written)) + bytes(written)
