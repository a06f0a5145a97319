"""Frames of AMQP 1.0 whose performatives name every field, also those at the end that have no value.

The standard lets a sender leave those out (OASIS AMQP 1.0, part 1, 1.4), and Proton does. azure-eventhub 5.15 for Python
reads them by their place and fails where one is not there.
"""

from typing import Final

_HEADER: Final = b"AMQP"
_HEADER_BYTES: Final = 8
_FIELDS: Final = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}
"""How many fields a performative has, by its code: open, begin, attach, flow, transfer, disposition, detach, end, close."""

_NULL: Final = b"\x40"
_LIST_0, _LIST_8, _LIST_32 = 0x45, 0xC0, 0xD0


class Completer:
    """Completes a stream of frames, in any cut."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> bytes:
        """The frames that are whole by now."""
        data = self._left + data
        done, at = [], 0
        while at + _HEADER_BYTES <= len(data):
            if data[at : at + 4] == _HEADER:
                end = at + _HEADER_BYTES
                done.append(data[at:end])
            else:
                end = at + int.from_bytes(data[at : at + 4], "big")
                if end > len(data):
                    break
                done.append(completed(data[at:end]))
            at = end
        self._left = data[at:]
        return b"".join(done)


def completed(frame: bytes) -> bytes:
    """The frame with all fields of its performative; unchanged where it has them, or none is known.

    >>> completed(bytes.fromhex("0000000c 02000000 00531745")).hex(" ", -4)
    '0000000f 02000000 005317c0 020140'
    """
    at = 4 * frame[4]
    if len(frame) < at + 4 or frame[at : at + 2] != b"\x00\x53":
        return frame
    code, kind = frame[at + 2], frame[at + 3]
    wanted = _FIELDS.get(code, 0)
    if kind == _LIST_0:
        count, begin, end = 0, at + 4, at + 4
    elif kind == _LIST_8:
        count, begin, end = frame[at + 5], at + 6, at + 5 + frame[at + 4]
    elif kind == _LIST_32:
        count, begin = int.from_bytes(frame[at + 8 : at + 12], "big"), at + 12
        end = at + 8 + int.from_bytes(frame[at + 4 : at + 8], "big")
    else:
        return frame
    if count >= wanted:
        return frame
    fields = frame[begin:end] + _NULL * (wanted - count)
    body = frame[4 : at + 3] + _list(fields, wanted) + frame[end:]
    return (len(body) + 4).to_bytes(4, "big") + body


def _list(fields: bytes, count: int) -> bytes:
    if len(fields) < 255:
        return bytes((_LIST_8, len(fields) + 1, count)) + fields
    return bytes((_LIST_32,)) + (len(fields) + 4).to_bytes(4, "big") + count.to_bytes(4, "big") + fields
