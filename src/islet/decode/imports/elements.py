"""The elements below the root of an XML document, one after the other, with as much memory as one of them needs."""

from collections.abc import Iterator
from typing import Final, Protocol
from xml.etree.ElementTree import Element
from xml.parsers import expat

from islet.errors import BadInput

MOST_TOKEN_BYTES: Final = 1 << 20
"""Of a tag, a comment or the like: expat holds it until it is whole. Apple's longest tags have some hundred bytes."""

MOST_INSIDE: Final = 100_000
"""Elements in one below the root; a day-long workout has some thousand."""

MOST_DEEP: Final = 32
_PIECE: Final = 1 << 14


class Bytes(Protocol):
    """Gives the next ones, none at the end; also more or fewer than were asked for."""

    def read(self, size: int, /) -> bytes: ...


def elements(stream: Bytes) -> Iterator[Element]:
    """Each element below the root, with its attributes and what is in it, but no text.

    Raises BadInput, reason "xml", where the XML is not whole, declares entities (which may grow to anything), or would
    have us hold more than a record can have.
    """
    below = _Below()
    parser = expat.ParserCreate()
    parser.StartElementHandler = below.start
    parser.EndElementHandler = below.end
    parser.EntityDeclHandler = _refuse_entity
    fed = 0
    try:
        while piece := stream.read(_PIECE):
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - max(parser.CurrentByteIndex, 0) > MOST_TOKEN_BYTES:
                raise _refused(f"tags and comments of at most {MOST_TOKEN_BYTES} bytes")
            yield from below.take()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BadInput(
            f"line {error.lineno}, column {error.offset + 1}: expected XML; got something else", reason="xml"
        ) from None
    yield from below.take()


class _Below:
    """Puts elements together; the root is none of them."""

    def __init__(self) -> None:
        self._depth = self._inside = 0
        self._open: list[Element] = []
        self._whole: list[Element] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            return
        self._inside += 1
        if self._depth > MOST_DEEP or self._inside > MOST_INSIDE:
            raise _refused(f"records of at most {MOST_INSIDE} elements, {MOST_DEEP} deep")
        element = Element(name, attributes)
        if self._open:
            self._open[-1].append(element)
        self._open.append(element)

    def end(self, _: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        element = self._open.pop()
        if not self._open:
            self._whole.append(element)
            self._inside = 0

    def take(self) -> list[Element]:
        """Those that are whole since the last call."""
        whole, self._whole = self._whole, []
        return whole


def _refuse_entity(*_: object) -> None:
    raise _refused("no declarations of entities")


def _refused(expected: str) -> BadInput:
    return BadInput(f"XML: expected {expected}", reason="xml")
