"""The beginning of an AMQP 1.0 connection: headers, and SASL from the server's side, without I/O.

OASIS AMQP 1.0, parts 2.2 and 5.3. What follows is for an AMQP library; it cannot do MSSBCBS, which some of IoT Hub's
SDKs begin with (it means: anonymous, a token comes later).
"""

from collections.abc import Sequence
from typing import Final

from islet.errors import ProtocolError

MECHANISMS: Final = ("ANONYMOUS", "MSSBCBS", "EXTERNAL", "PLAIN")
_SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
_AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
_MOST_FRAME: Final = 16 * 1024
_INIT: Final = (b"\x00\x53\x41", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x41")


class SaslServer:
    """Fed with what comes in. `mechanism` and `response` are there once the client has chosen; then `decide`.

    `outgoing` is to be sent and cleared by the caller. A client may leave SASL out.
    """

    def __init__(self, mechanisms: Sequence[str] = MECHANISMS) -> None:
        self.outgoing = bytearray()
        self.mechanism = ""
        self.response = b""
        self.done = False
        self._mechanisms = mechanisms
        self._incoming = bytearray()
        self._began = False

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError for what is no AMQP 1.0, and for a mechanism that was not offered."""
        self._incoming += data
        if not self._began:
            if len(self._incoming) < len(_SASL_HEADER):
                return
            header = bytes(self._incoming[: len(_SASL_HEADER)])
            if header == _AMQP_HEADER:
                self.done = True
                return
            if header != _SASL_HEADER:
                raise ProtocolError("AMQP: expected the header of version 1.0")
            del self._incoming[: len(_SASL_HEADER)]
            self._began = True
            self.outgoing += _SASL_HEADER + _frame(b"\x00\x53\x40" + _list(_symbols(self._mechanisms)))
        if not self.mechanism:
            self._take_init()

    def decide(self, *, admitted: bool) -> None:
        """Tell the client the outcome."""
        self.outgoing += _frame(b"\x00\x53\x44" + _list(b"\x50\x00" if admitted else b"\x50\x01"))
        self.done = admitted

    def rest(self) -> bytes:
        """What came behind SASL; for the library."""
        rest = bytes(self._incoming)
        self._incoming.clear()
        return rest

    def _take_init(self) -> None:
        if len(self._incoming) < 8:
            return
        size, offset, kind = int.from_bytes(self._incoming[:4], "big"), 4 * self._incoming[4], self._incoming[5]
        if not 8 <= offset <= size <= _MOST_FRAME or kind != 1:
            raise ProtocolError("AMQP: expected a SASL frame")
        if len(self._incoming) < size:
            return
        body = bytes(self._incoming[offset:size])
        del self._incoming[:size]
        mechanism, self.response = parse_init(body)
        if mechanism not in self._mechanisms:
            raise ProtocolError("AMQP: expected a SASL mechanism that was offered")
        self.mechanism = mechanism


def parse_init(body: bytes) -> tuple[str, bytes]:
    """Mechanism and initial response of a sasl-init. Raises ProtocolError.

    >>> parse_init(bytes.fromhex("005341 c00d02 a305 504c41494e a003 004100"))
    ('PLAIN', b'\\x00A\\x00')
    """
    front = next((one for one in _INIT if body.startswith(one)), None)
    if front is None:
        raise ProtocolError("AMQP: expected sasl-init")
    at = len(front)
    header = {0xC0: 3, 0xD0: 9}.get(_byte(body, at))
    if header is None:
        raise ProtocolError("AMQP: expected a list in sasl-init")
    mechanism, at = _variable(body, at + header, {0xA3: 1, 0xB3: 4})
    if at >= len(body) or body[at] == 0x40:  # null
        return mechanism.decode("ascii", "replace"), b""
    response, _ = _variable(body, at, {0xA0: 1, 0xB0: 4})
    return mechanism.decode("ascii", "replace"), response


def _variable(body: bytes, at: int, widths: dict[int, int]) -> tuple[bytes, int]:
    """A value whose length stands before it, and where it ends."""
    width = widths.get(_byte(body, at))
    if width is None:
        raise ProtocolError("AMQP: expected another type in sasl-init")
    begin = at + 1 + width
    end = begin + int.from_bytes(body[at + 1 : begin], "big")
    if end > len(body):
        raise ProtocolError("AMQP: expected more bytes in sasl-init")
    return body[begin:end], end


def _byte(body: bytes, at: int) -> int:
    if at >= len(body):
        raise ProtocolError("AMQP: expected more bytes in sasl-init")
    return body[at]


def _symbols(names: Sequence[str]) -> bytes:
    values = b"".join(bytes((len(name),)) + name.encode("ascii") for name in names)
    return bytes((0xE0, len(values) + 2, len(names), 0xA3)) + values


def _list(only: bytes) -> bytes:
    return bytes((0xC0, len(only) + 1, 1)) + only


def _frame(body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + b"\x02\x01\x00\x00" + body
