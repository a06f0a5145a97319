"""The exports in a file: itself, or, of a zip archive that is no workbook, each of its members."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, Final, NamedTuple, cast

from islet.errors import BadInput

_WORKBOOK_PART: Final = "[Content_Types].xml"
DAMAGED: Final = (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error)
"""What reading an archive raises when it is broken or encrypted."""


class Part(NamedTuple):
    """One export to read: how it is called, how long it is, and whether it stands in an archive among other files."""

    name: str
    bytes: int
    stream: BinaryIO
    archived: bool


def parts(file: BinaryIO, name: str) -> Iterator[Part]:
    """The exports in a file that can seek, each open while it is the current one. Raises BadInput, reason "archive", for
    an archive that is damaged or encrypted; reading a part may raise what DAMAGED holds."""
    members = _members(file)
    if not members:
        yield Part(name, _length(file), file, archived=False)
        return
    with zipfile.ZipFile(file) as archive:
        for member in members:
            try:
                opened: IO[bytes] = archive.open(member)
            except DAMAGED:
                raise BadInput(
                    f"{member.filename}: expected a zip archive that opens without a password", reason="archive"
                ) from None
            with opened as stream:
                yield Part(f"{name}/{member.filename}", member.file_size, cast(BinaryIO, stream), archived=True)


def bytes_to_read(file: BinaryIO) -> int:
    """How many bytes of exports there are in a file, unpacked."""
    return sum(member.file_size for member in _members(file)) or _length(file)


def _members(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """The files in an archive; none for everything else, and for a workbook."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return []
    with zipfile.ZipFile(file) as archive:
        if _WORKBOOK_PART in archive.namelist():
            return []
        return [member for member in archive.infolist() if not member.is_dir() and member.file_size]


def _length(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)
