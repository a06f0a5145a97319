"""AMQP messages of which one holds many: IoT Hub's batches (message format 0x80013700), each a data section.

Sections and constructors: OASIS AMQP 1.0, part 1, 1.2 and 1.6; part 3, 3.2. Proton's engine does not tell the format, so
that a batch is known by its sections: each holds a message, which begins as no text and no JSON does.
"""

from typing import Final

from islet.errors import BadInput

MOST_MESSAGES: Final = 500
"""In one batch; the C SDK fills up 256 KiB, which is some hundred of the smallest events that mean something."""

_DESCRIBED: Final = 0x00
_SMALL_ULONG, _ULONG = 0x53, 0x80
_HEADER, _PROPERTIES, _DATA, _FOOTER = 0x70, 0x73, 0x75, 0x78
_LIST_0: Final = 0x45
_FIXED: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_COUNTED: Final = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}
_DEEPEST: Final = 8


def data_sections(message: bytes) -> list[bytes]:
    """What is in the data sections of an encoded message. Raises BadInput when it is none.

    >>> data_sections(bytes.fromhex("005375a0036f6e65" "005375a00374776f"))
    [b'one', b'two']
    """
    sections = []
    at = 0
    while at < len(message):
        code, begin = _descriptor(message, at)
        at = _after(message, begin)
        if code == _DATA:
            sections.append(_binary(message, begin, at))
    return sections


def batched(sections: list[bytes]) -> bool:
    """Whether each of the data sections is a message.

    >>> batched([bytes.fromhex("005375a0036f6e65")]), batched([b"{}"]), batched([])
    (True, False, False)
    """
    return bool(sections) and all(_is_message(one) for one in sections)


def without_empty_properties(message: bytes) -> bytes:
    """An encoded message whose section of properties is left out where it names none. Raises BadInput when it is none.

    >>> without_empty_properties(bytes.fromhex("00537045" "00537345" "005375a00178")).hex()
    '00537045005375a00178'
    """
    at = 0
    while at < len(message):
        code, begin = _descriptor(message, at)
        end = _after(message, begin)
        if code == _PROPERTIES and message[begin] == _LIST_0:
            return message[:at] + message[end:]
        if code >= _PROPERTIES:
            break
        at = end
    return message


def _is_message(octets: bytes) -> bool:
    try:
        code, _ = _descriptor(octets, 0)
    except BadInput:
        return False
    return _HEADER <= code <= _FOOTER


def _descriptor(octets: bytes, at: int) -> tuple[int, int]:
    """The number that a section is described by, and where its value begins."""
    if octets[at : at + 1] == bytes([_DESCRIBED]):
        kind = octets[at + 1 : at + 2]
        if kind == bytes([_SMALL_ULONG]) and at + 2 < len(octets):
            return octets[at + 2], at + 3
        if kind == bytes([_ULONG]) and at + 10 <= len(octets):
            return int.from_bytes(octets[at + 2 : at + 10], "big"), at + 10
    raise _wrong()


def _after(octets: bytes, at: int, depth: int = 0) -> int:
    """Where the value at `at` ends."""
    if at >= len(octets) or depth > _DEEPEST:
        raise _wrong()
    constructor = octets[at]
    if constructor == _DESCRIBED:
        return _after(octets, _after(octets, at + 1, depth + 1), depth + 1)
    kind = constructor >> 4
    end = at + 1
    if kind in _FIXED:
        end += _FIXED[kind]
    elif kind in _COUNTED:
        wide = _COUNTED[kind]
        end += wide + int.from_bytes(octets[end : end + wide], "big")
    else:
        raise _wrong()
    if end > len(octets):
        raise _wrong()
    return end


def _binary(octets: bytes, begin: int, end: int) -> bytes:
    if octets[begin] not in (0xA0, 0xB0):
        raise _wrong()
    return octets[begin + 1 + (1 if octets[begin] == 0xA0 else 4) : end]


def _wrong() -> BadInput:
    return BadInput("AMQP: expected the sections of a message", reason="amqp")
