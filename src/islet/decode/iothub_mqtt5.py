"""The properties of a message in MQTT 5, by the names that IoT Hub has for them, and back.

A device may say them in the property bag of the topic, as with 3.1.1, or in MQTT 5's own properties (OASIS MQTT Version
5.0, 3.3.2.3), or both; a command has both. IoT Hub itself knows no MQTT 5 on its present interface.
"""

import base64
from collections.abc import Mapping
from typing import Final

from islet.decode.mqtt5_properties import NO_PROPERTIES, Properties
from islet.model.time import SECOND_US, iso

RESPONSE_TOPIC: Final = "response-topic"
"""IoT Hub has no name for it."""

_UTF_8: Final = "utf-8"
_MOST_SECONDS: Final = 0xFFFF_FFFF
_OF_FIELDS: Final = frozenset(("$.ct", "$.ce", "$.cid", "$.exp", RESPONSE_TOPIC))


def message_properties(said: Properties, now_us: int) -> dict[str, str]:
    """What a message says in MQTT 5's properties. Of a name that is there twice, the last counts, as in a bag. Correlation
    data that is no text is base64.

    >>> message_properties(Properties(content_type="a/b", user=(("kind", "x"),)), 0)
    {'kind': 'x', '$.ct': 'a/b'}
    """
    if said is NO_PROPERTIES:
        return {}
    properties = dict(said.user)
    if said.content_type is not None:
        properties["$.ct"] = said.content_type
    if said.payload_format:
        properties.setdefault("$.ce", _UTF_8)
    if said.correlation_data is not None:
        properties["$.cid"] = _text(said.correlation_data)
    if said.response_topic is not None:
        properties[RESPONSE_TOPIC] = said.response_topic
    if said.message_expiry_s is not None:
        properties["$.exp"] = iso(now_us + said.message_expiry_s * SECOND_US)
    return properties


def command_properties(
    properties: Mapping[str, str], expires_us: int, now_us: int, identifiers: tuple[int, ...]
) -> Properties:
    """What a command says in MQTT 5's properties; `identifiers` are of the subscription by which it is sent. A text that
    MQTT cannot say is left out: it is in the topic, percent-encoded.

    >>> command_properties({"$.ct": "a/b", "$.ce": "utf-8", "kind": "x"}, 2_500_000, 1_000_000, ()).message_expiry_s
    2
    """
    content_type, correlation, response = (properties.get(name) for name in ("$.ct", "$.cid", RESPONSE_TOPIC))
    left_s = -(-(expires_us - now_us) // SECOND_US)
    return Properties(
        payload_format=1 if properties.get("$.ce", "").lower() == _UTF_8 else None,
        message_expiry_s=min(max(left_s, 1), _MOST_SECONDS),
        content_type=content_type if content_type is not None and _can_be_said(content_type) else None,
        response_topic=response if response and _can_be_said(response) and not {"#", "+"} & {*response} else None,
        correlation_data=correlation.encode() if correlation is not None and _can_be_said(correlation) else None,
        subscription_identifiers=identifiers,
        user=tuple(
            (name, value)
            for name, value in properties.items()
            if name not in _OF_FIELDS and _can_be_said(name) and _can_be_said(value)
        ),
    )


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def _can_be_said(text: str) -> bool:
    """[MQTT-1.5.4-1], [MQTT-1.5.4-2]."""
    return "\0" not in text and len(text.encode()) <= 0xFFFF
