"""What the storage clients of IoT Hub's SDKs say when they put a file together of blocks, and names of files.

Source: learn.microsoft.com, Azure Storage REST API: Put Block, Put Block List.
"""

import base64
import re
from typing import Final, Literal, NamedTuple, cast
from xml.parsers import expat

from islet.errors import BadInput

_MOST_ID_BYTES: Final = 64
_WHERE: Final = ("Committed", "Uncommitted", "Latest")
_LONGEST_NAME: Final = 1024
_NO_NAME: Final = re.compile(r"[\x00-\x1f\x7f?#\\]")  # these end a name in an address, or are taken for others


class Wanted(NamedTuple):
    """A block of the list: among those that make the file now, those that were put since, or these before those."""

    where: Literal["Committed", "Uncommitted", "Latest"]
    block: str


def check_name(name: str) -> str:
    """The name that a device gives its file, with slashes as it likes. Raises BadInput.

    >>> check_name("2026/11/day 22.csv")
    '2026/11/day 22.csv'
    """
    segments = name.split("/")
    if not name or len(name) > _LONGEST_NAME or _NO_NAME.search(name) or not all(map(_is_segment, segments)):
        raise BadInput(
            f"blobName: expected 1 to {_LONGEST_NAME} characters without ? # \\ and without empty parts, . and ..",
            reason="name",
        )
    return name


def _is_segment(text: str) -> bool:
    return text not in ("", ".", "..")


def check_block(id: str) -> str:
    """A block's id. Raises BadInput where it is not base64 of 1 to 64 bytes.

    >>> check_block("MDAwMQ==")
    'MDAwMQ=='
    """
    try:
        decoded = base64.b64decode(id, validate=True)
    except ValueError:
        decoded = b""
    if not 1 <= len(decoded) <= _MOST_ID_BYTES:
        raise BadInput(f"blockid: expected base64 of 1 to {_MOST_ID_BYTES} bytes", reason="block_id")
    return id


def parse_block_list(content: bytes, most: int) -> list[Wanted]:
    """The blocks in their order, `most` at most. Raises BadInput, also where it declares anything.

    >>> parse_block_list(b"<BlockList><Latest>MQ==</Latest></BlockList>", 10)
    [Wanted(where='Latest', block='MQ==')]
    """
    reading = _Reading(most)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(content, True)
    except expat.ExpatError:
        raise _no_list() from None
    return reading.found


class _Reading:
    def __init__(self, most: int) -> None:
        self.found: list[Wanted] = []
        self._most = most
        self._depth = 0
        self._text = ""

    def start(self, name: str, _: dict[str, str]) -> None:
        self._depth += 1
        self._text = ""
        if self._depth > 2 or (self._depth == 1) is not (name == "BlockList") or len(self.found) >= self._most:
            raise _no_list()

    def text(self, data: str) -> None:
        self._text += data

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 1:
            if name not in _WHERE:
                raise _no_list()
            where = cast(Literal["Committed", "Uncommitted", "Latest"], name)
            self.found.append(Wanted(where, check_block(self._text.strip())))


def _refuse(*_: object) -> None:
    raise _no_list()


def _no_list() -> BadInput:
    return BadInput("expected a BlockList as XML, with Latest, Committed and Uncommitted in it", reason="xml")
