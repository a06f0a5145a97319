"""The exports in a file: itself, or, of a zip archive that is no workbook, each of its members."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, Final, NamedTuple, cast

from islet.errors import BadInput

MOST_DIRECTORY_BYTES: Final = 4 * 1024 * 1024
"""Of an archive's list of its files: some ten thousand of them. `zipfile` reads all of it before anything else."""

_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_LONGEST_COMMENT: Final = 0xFFFF
_END_64: Final = b"PK\x06\x06"
_END_64_BYTES: Final = 56
_LOCATOR_BYTES: Final = 20
_WORKBOOK_PART: Final = "[Content_Types].xml"
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGED: Final = (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, UnicodeDecodeError, zlib.error)
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
            with opened(archive, member) as stream:
                yield Part(f"{name}/{member.filename}", member.file_size, cast(BinaryIO, stream), archived=True)


def opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A file in an archive. Raises BadInput, reason "archive", for one that is damaged, encrypted, or packed in another way
    than archives of exports are: what that says of itself takes memory, and its faults are told as a disk's."""
    if member.compress_type not in _PACKED:
        raise BadInput(f"{member.filename}: expected a zip archive packed as usual (deflate)", reason="archive")
    try:
        return archive.open(member)
    except (*DAMAGED, ValueError):  # the latter for a place before the begin
        raise damaged(member.filename) from None


def damaged(name: str = "") -> BadInput:
    """What a person is told of the archive, or the file in one, that raised what DAMAGED holds."""
    return BadInput(
        f"{name}{': ' if name else ''}expected a zip archive that is whole and without a password", reason="archive"
    )


def bytes_to_read(file: BinaryIO) -> int:
    """How many bytes of exports there are in a file, unpacked. Raises BadInput as `check_directory`."""
    return sum(member.file_size for member in _members(file)) or _length(file)


def _members(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """The files in an archive; none for everything else, and for a workbook. Raises BadInput as `check_directory`."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return []
    check_directory(file)
    with zipfile.ZipFile(file) as archive:
        if _WORKBOOK_PART in archive.namelist():
            return []
        return [member for member in archive.infolist() if member.file_size and not member.filename.endswith("/")]


def check_directory(file: BinaryIO) -> None:
    """Raises BadInput, reason "archive", where an archive lists more files than anybody looks at."""
    if _directory_bytes(file) > MOST_DIRECTORY_BYTES:
        raise BadInput("expected an archive of fewer files", reason="archive")


def _directory_bytes(file: BinaryIO) -> int:
    """How long an archive says that its list of files is (PKWARE's APPNOTE, 4.3.14 and 4.3.16). What says two things is
    taken by the larger one; 0 for what is no archive."""
    end = _length(file)
    file.seek(max(end - _END_BYTES - _LONGEST_COMMENT - _LOCATOR_BYTES - _END_64_BYTES, 0))
    tail = file.read()
    last = tail[-_END_BYTES:]
    at = len(tail) - _END_BYTES if last.startswith(_END) and last.endswith(b"\0\0") else tail.rfind(_END)
    if at < 0:  # no archive: an old workbook, for instance
        return 0
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    at -= _LOCATOR_BYTES + _END_64_BYTES
    if at >= 0 and tail[at : at + 4] == _END_64:
        large = int.from_bytes(tail[at + 40 : at + 48], "little")
        size = max(size, large) if size != 0xFFFF_FFFF else large
    return size


def _length(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)
