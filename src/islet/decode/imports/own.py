"""Islet's own export (`islet.exports`): JSON Lines, an event a line as the published schema has it, with its device."""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec
from msgspec import UNSET, structs

from islet.decode.imports.found import Choices, Found, Item
from islet.errors import BadInput
from islet.model.codec import decode_event
from islet.model.foreign_json import UNREADABLE

_MOST_LINE: Final = 65_536
"""Characters; the longest event is a note of 2,000."""
_LONGEST_DEVICE: Final = 128
"""As of a device's id; what is longer, or has signs that nobody sees, is no device's name."""


class _Device(msgspec.Struct, frozen=True):
    device: str


def looks(head: bytes) -> bool:
    """Whether the first line is an event with its device."""
    try:
        _found(head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0], 1)
    except BadInput:
        return False
    return True


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """Raises BadInput, with the line, for what is no event with its device."""
    stream.seek(0)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    try:
        number = 0
        while line := text.readline(_MOST_LINE):
            number += 1
            if line := line.strip():
                yield _found(line.encode(errors="surrogateescape"), number)
    finally:
        text.detach()


def _found(line: bytes, number: int) -> Found:
    try:
        event = structs.replace(decode_event(line), patient=UNSET)  # they may have another id here
        device = msgspec.json.decode(line, type=_Device).device
    except BadInput as error:
        raise BadInput(f"line {number}: {error}", reason="value") from None
    except (msgspec.ValidationError, *UNREADABLE):
        expected = "an event as in docs/reference/event.schema.json, with its device"
        raise BadInput(f"line {number}: expected {expected}; got something else", reason="value") from None
    if len(device) > _LONGEST_DEVICE or not device.isprintable():
        expected = f"a device of at most {_LONGEST_DEVICE} printable characters"
        raise BadInput(f"line {number}: expected {expected}; got something else", reason="value")
    return Found(number, device, event)
