"""The exports in a file: itself, or, of a zip archive that is no workbook, each of its members."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
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


def parts(file: Path) -> Iterator[Part]:
    """The exports in a file, each open while it is the current one. Raises BadInput, reason "archive", for an archive
    that is damaged or encrypted."""
    members = _members(file)
    if not members:
        with file.open("rb") as stream:
            yield Part(file.name, file.stat().st_size, stream, archived=False)
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
                yield Part(f"{file.name}/{member.filename}", member.file_size, cast(BinaryIO, stream), archived=True)


def _members(file: Path) -> list[zipfile.ZipInfo]:
    """The files in an archive; none for everything else, and for a workbook."""
    if not zipfile.is_zipfile(file):
        return []
    with zipfile.ZipFile(file) as archive:
        if _WORKBOOK_PART in archive.namelist():
            return []
        return [member for member in archive.infolist() if not member.is_dir() and member.file_size]
