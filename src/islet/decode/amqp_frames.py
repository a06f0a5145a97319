"""Frames of AMQP 1.0 whose performatives name every field, also those at the end that have no value.

The standard lets a sender leave those out (OASIS AMQP 1.0, part 1, 1.4), and Proton does. azure-eventhub 5.15 for Python
reads them by their place and fails where one is not there, and 5.11 also those of an error.
"""

from typing import Final

_HEADER: Final = b"AMQP"
_HEADER_BYTES: Final = 8
_MOST_OPEN: Final = 64 * 1024
_FIELDS: Final = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}
"""How many fields a performative has, by its code: open, begin, attach, flow, transfer, disposition, detach, end, close."""

_ERROR: Final = b"\x00\x53\x1d"
_ERROR_FIELDS: Final = 3
_BEFORE_ERROR: Final = {0x16: 2, 0x17: 0, 0x18: 0}
"""How many fields stand before the error, which is the last one: of detach, end, close."""

_NULL: Final = b"\x40"
_LIST_0, _LIST_8, _LIST_32 = 0x45, 0xC0, 0xD0


_GROWS: Final = 32
"""A frame gets longer by at most so many bytes when it is completed."""
_LEAST_FRAME: Final = 512
_UINT: Final = 0x70
_WIDTHS: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_LENGTHS: Final = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4}
"""By the first half of a value's constructor: how many bytes it has, or how many say how many it has."""


class Opening:
    """What a peer sends, with the most that it takes in a frame lowered: who is told so has room to complete frames."""

    def __init__(self) -> None:
        self._left = b""
        self._is_headed = self._is_over = False

    def feed(self, data: bytes) -> bytes:
        """As much as can be passed on now; from the peer's open on, all of it."""
        if self._is_over:
            return data
        head, data, self._left = b"", self._left + data, b""
        if not self._is_headed:
            if len(data) < _HEADER_BYTES and _HEADER.startswith(data[: len(_HEADER)]):
                self._left = data
                return b""
            self._is_headed = True
            head, data = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 or len(data) < size <= _MOST_OPEN:
            self._left = data
            return head
        self._is_over = True
        return head + lowered(data[:size]) + data[size:]


def lowered(frame: bytes) -> bytes:
    """The frame with a smaller max-frame-size, where it is an open that names one (OASIS AMQP 1.0, part 2, 2.7.1)."""
    try:
        at = 4 * frame[4]
        if frame[at : at + 3] != b"\x00\x53\x10" or frame[at + 3] not in (_LIST_8, _LIST_32):
            return frame
        at = _behind(frame, _behind(frame, at + 6 if frame[at + 3] == _LIST_8 else at + 12))
        if frame[at] != _UINT or at + 5 > len(frame):
            return frame
    except (IndexError, KeyError):
        return frame
    most = int.from_bytes(frame[at + 1 : at + 5], "big")
    less = min(most, max(most - _GROWS, _LEAST_FRAME))
    return frame[: at + 1] + less.to_bytes(4, "big") + frame[at + 5 :]


def _behind(frame: bytes, at: int) -> int:
    """Where the value that begins at `at` ends."""
    kind = frame[at] >> 4
    if kind in _WIDTHS:
        return at + 1 + _WIDTHS[kind]
    width = _LENGTHS[kind]
    return at + 1 + width + int.from_bytes(frame[at + 1 : at + 1 + width], "big")


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
    if len(frame) < at + 4 or frame[at : at + 2] != b"\x00\x53" or frame[at + 3] not in (_LIST_0, _LIST_8, _LIST_32):
        return frame
    code = frame[at + 2]
    wanted = _FIELDS.get(code, 0)
    count, begin, end = _listed(frame, at + 3)
    fields = frame[begin:end]
    if count > _BEFORE_ERROR.get(code, count):
        fields = _with_whole_error(fields, _BEFORE_ERROR[code])
    if count >= wanted and len(fields) == end - begin:
        return frame
    fields += _NULL * (wanted - count)
    body = frame[4 : at + 3] + _list(fields, max(count, wanted)) + frame[end:]
    return (len(body) + 4).to_bytes(4, "big") + body


def _with_whole_error(fields: bytes, before: int) -> bytes:
    """Fields of which the last may be an error, behind so many others."""
    at = 0
    for _ in range(before):
        at = _behind(fields, at)
    if fields[at : at + len(_ERROR)] != _ERROR:
        return fields
    at += len(_ERROR)
    count, begin, end = _listed(fields, at)
    if count >= _ERROR_FIELDS:
        return fields
    return fields[:at] + _list(fields[begin:end] + _NULL * (_ERROR_FIELDS - count), _ERROR_FIELDS)


def _listed(octets: bytes, at: int) -> tuple[int, int, int]:
    """How many values the list at `at` has, where the first begins and where the last ends."""
    if octets[at] == _LIST_0:
        return 0, at + 1, at + 1
    if octets[at] == _LIST_8:
        return octets[at + 2], at + 3, at + 2 + octets[at + 1]
    count = int.from_bytes(octets[at + 5 : at + 9], "big")
    return count, at + 9, at + 5 + int.from_bytes(octets[at + 1 : at + 5], "big")


def _list(fields: bytes, count: int) -> bytes:
    if len(fields) < 255:
        return bytes((_LIST_8, len(fields) + 1, count)) + fields
    return bytes((_LIST_32,)) + (len(fields) + 4).to_bytes(4, "big") + count.to_bytes(4, "big") + fields
