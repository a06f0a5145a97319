"""A message's properties among HTTP headers."""

from collections.abc import Iterable, Mapping
from typing import Final

SYSTEM_PROPERTIES: Final = {
    "iothub-messageid": "$.mid",
    "iothub-correlationid": "$.cid",
    "iothub-userid": "$.uid",
    "iothub-contenttype": "$.ct",
    "iothub-contentencoding": "$.ce",
    "iothub-expiry": "$.exp",
    "iothub-to": "$.to",
}
"""Headers, and the names that MQTT has for them."""

_APPLICATION_PREFIX: Final = "iothub-app-"


def read_properties(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The properties, by the names that MQTT has for them."""
    properties = {}
    for name, value in headers:
        lower = name.lower()
        if lower in SYSTEM_PROPERTIES:
            properties[SYSTEM_PROPERTIES[lower]] = value
        elif lower.startswith(_APPLICATION_PREFIX):
            properties[name[len(_APPLICATION_PREFIX) :]] = value
    return properties
