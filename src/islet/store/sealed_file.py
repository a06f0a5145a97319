"""Files that are encrypted on the disk, in chunks that can be read in any order."""

import io
import os
import tempfile
from pathlib import Path
from typing import Final, Self, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CHUNK: Final = 65_536
_SEAL: Final = 16  # what AES-GCM adds to a chunk
_NONCE: Final = 12


class SealedFile(io.RawIOBase):
    """Written once from begin to end (`append`, then `sealed`), then read and sought in like any binary file.

    Each chunk is encrypted by itself, its number being the nonce: the key is of this file only, and a chunk is
    written once. Not to be used from two threads at a time.
    """

    def __init__(self, file: io.RawIOBase, key: bytes, size: int | None = None) -> None:
        """`key` (32 bytes) is of this file alone; `size`: of one that was written before."""
        super().__init__()
        self._file = file
        self._cipher = AESGCM(key)
        self._rest = bytearray()
        self._chunks = 0 if size is None else size // _CHUNK + 1
        self._place = 0
        self._read: tuple[int, bytes] = (-1, b"")
        self.size = size or 0

    @classmethod
    def nameless(cls, folder: Path) -> Self:
        """A file of this process alone, in `folder`, which is made: it has no name, and its key is never written. When
        the process ends, however it ends, the file system lets it go, and nobody can read what its blocks still hold.

        Raises OSError where there is no room.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # closed in `close`
        return cls(cast(io.RawIOBase, file), AESGCM.generate_key(bit_length=256))

    @classmethod
    def made(cls, path: Path, key: bytes) -> Self:
        """A new file with a name, for its owner alone. Raises OSError."""
        return cls(os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b", buffering=0), key)

    @classmethod
    def opened(cls, path: Path, key: bytes, size: int) -> Self:
        """One that was `made`, `size` bytes long; one that was cut or changed fails to be read (InvalidTag)."""
        return cls(path.open("rb", buffering=0), key, size)

    def append(self, data: bytes) -> None:
        """Write more at the end. Raises OSError where there is no room."""
        self.size += len(data)
        self._rest += data
        while len(self._rest) >= _CHUNK:
            self._seal(bytes(self._rest[:_CHUNK]))
            del self._rest[:_CHUNK]

    def sealed(self) -> io.BufferedReader:
        """All of it has come: a reader of it. Closing that closes the file."""
        self._end()
        return io.BufferedReader(self, _CHUNK)

    def keep(self) -> None:
        """All of it has come, and outlives a power cut; its name does when its folder is synced. Raises OSError."""
        self._end()
        os.fsync(self._file.fileno())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, begin + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        number, begin = divmod(self._place, _CHUNK)
        piece = self._opened(number)[begin : begin + len(target)]
        target[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def close(self) -> None:
        """A file without a name is gone."""
        if not self.closed:
            self._file.close()
            self._rest.clear()
            self._read = (-1, b"")
        super().close()

    def _end(self) -> None:
        self._seal(bytes(self._rest))
        self._rest.clear()

    def _seal(self, chunk: bytes) -> None:
        sealed = self._cipher.encrypt(self._chunks.to_bytes(_NONCE, "big"), chunk, None)
        place = self._chunks * (_CHUNK + _SEAL)
        while sealed:
            written = os.pwrite(self._file.fileno(), sealed, place)
            sealed, place = sealed[written:], place + written
        self._chunks += 1

    def _opened(self, number: int) -> bytes:
        """A chunk, b"" behind the last; the one that was read last is at hand."""
        if number >= self._chunks:
            return b""
        if self._read[0] != number:
            sealed = os.pread(self._file.fileno(), _CHUNK + _SEAL, number * (_CHUNK + _SEAL))
            self._read = (number, self._cipher.decrypt(number.to_bytes(_NONCE, "big"), sealed, None))
        return self._read[1]
