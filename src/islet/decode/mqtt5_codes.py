"""What MQTT 5 says about why something is not done (OASIS MQTT Version 5.0, 2.4 Reason Code)."""

from enum import IntEnum

from islet.errors import ProtocolError


class Code(IntEnum):
    """Those that are used here. From 0x80 on, it was not done."""

    SUCCESS = 0x00
    GOODBYE_WITH_WILL = 0x04
    NO_SUBSCRIPTION = 0x11
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    OUR_FAULT = 0x83
    LEVEL = 0x84
    CLIENT_ID = 0x85
    NOT_AUTHORISED = 0x87
    UNAVAILABLE = 0x88
    BUSY = 0x89
    STOPPING = 0x8B
    METHOD = 0x8C
    SILENT = 0x8D
    TAKEN_OVER = 0x8E
    FILTER = 0x8F
    TOPIC = 0x90
    ALIAS = 0x94
    TOO_LARGE = 0x95
    QUOTA = 0x97
    ADMINISTRATIVE = 0x98
    QOS = 0x9B
    SHARED = 0x9E
    TIME_IS_OVER = 0xA0


FAILURE = 0x80
"""The first code that says no."""


class Refused(ProtocolError):
    """A peer broke its protocol, or asked for what is not served; `code` says which."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: ProtocolError) -> Code:
    """What the other side is told."""
    return error.code if isinstance(error, Refused) else Code.PROTOCOL_ERROR
