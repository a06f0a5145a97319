"""How much memory an export asks for: most readers hold all of a table or a JSON document at once."""

import io
import zipfile
from collections import Counter
from typing import BinaryIO, Final

from islet.decode.imports.parts import DAMAGED, Part, check_directory, opened
from islet.decode.imports.tables import is_workbook
from islet.errors import BadInput

MOST_HELD_BYTES: Final = 32 * 1024 * 1024
"""Half a million rows of Clarity, nearly five years of a reading every five minutes."""
MOST_ROWS: Final = 600_000
MOST_CELLS: Final = 9_000_000
MOST_OBJECTS: Final = 1_000_000
"""Of a table, and of JSON: each costs a hundred times the bytes that the shortest one has in a file. A row that becomes an
event is 2 KB while it is read."""
MOST_XML_BYTES: Final = 10_000_000_000
"""Some years of a watch; more is an archive that unpacks to anything, and others wait for their turn."""
_PIECE: Final = 1 << 20
_START: Final = 4096
_ANY: Final = 1 << 62
_OF_TABLES: Final = (
    ("rows", (b"\n",), MOST_ROWS),
    ("rows", (b"\r",), MOST_ROWS),
    ("cells", (b",", b";", b"\t"), MOST_CELLS),
)
_OF_JSON: Final = (("objects and lists", (b"{", b"["), MOST_OBJECTS),)


def check_held(part: Part) -> None:
    """Raises BadInput, reason "too_large", where the reader would hold more than MOST_HELD_BYTES, and for XML, which is
    read as it goes, of more than MOST_XML_BYTES. What a workbook unpacks to is counted, not believed, and so are the rows
    and cells of a table, and the objects and lists of JSON."""
    part.stream.seek(0)
    head = part.stream.read(16)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        if part.bytes > MOST_XML_BYTES:
            raise BadInput(f"expected XML of at most {MOST_XML_BYTES // 10**9} GB, unpacked", reason="too_large")
        return
    held, workbook = min(part.bytes, MOST_HELD_BYTES + 1), is_workbook(head)
    if workbook and part.bytes <= MOST_HELD_BYTES:
        held = max(held, _unpacked(part.stream))
    if held > MOST_HELD_BYTES:
        raise BadInput(
            f"expected a table, a workbook or JSON of at most {MOST_HELD_BYTES >> 20} MB, unpacked; export fewer months "
            "at a time",
            reason="too_large",
        )
    if not workbook:
        _check_counts(part.stream)


def _check_counts(stream: BinaryIO) -> None:
    """By the signs that part rows, cells and objects; those within a text count as well, which makes no difference there."""
    stream.seek(0)
    json = stream.read(_START).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    bounds = _OF_JSON if json else _OF_TABLES
    counts = Counter[tuple[bytes, ...]]()
    stream.seek(0)
    while piece := stream.read(_PIECE):
        for what, signs, most in bounds:
            counts[signs] += sum(map(piece.count, signs))
            if counts[signs] > most:
                raise BadInput(
                    f"expected at most {most:,} {what} in a file; export fewer months at a time", reason="too_large"
                )


def _unpacked(workbook: BinaryIO) -> int:
    """The bytes in an archive, counted as far as they are too many; 0 for another file."""
    workbook.seek(0)
    count, file = 0, io.BytesIO(workbook.read())
    check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                member.file_size = _ANY  # what it says of itself could be a lie
                with opened(archive, member) as stream:
                    while (piece := stream.read(_PIECE)) and count <= MOST_HELD_BYTES:
                        count += len(piece)
                if count > MOST_HELD_BYTES:
                    break
    except DAMAGED:
        return count
    return count
