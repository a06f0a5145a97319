"""A file of this process alone: it has no name, and what is on the disk is encrypted with a key that is never written.

So nothing has to be cleaned up: when the process ends, however it ends, the file system lets the file go, and nobody
can read what its blocks still hold.
"""

import io
import os
import tempfile
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CHUNK: Final = 65_536
_SEAL: Final = 16  # what AES-GCM adds to a chunk
_NONCE: Final = 12


class SealedFile(io.RawIOBase):
    """Written once from begin to end (`append`, then `sealed`), then read and sought in like any binary file.

    Each chunk is encrypted by itself, its number being the nonce: the key is of this file only, and a chunk is
    written once. Not to be used from two threads at a time.
    """

    def __init__(self, folder: Path) -> None:
        """In `folder`, which is made. Raises OSError where there is no room."""
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # closed in `close`
        self._cipher = AESGCM(AESGCM.generate_key(bit_length=256))
        self._rest = bytearray()
        self._chunks = 0
        self._place = 0
        self._read: tuple[int, bytes] = (-1, b"")
        self.size = 0

    def append(self, data: bytes) -> None:
        """Write more at the end. Raises OSError where there is no room."""
        self.size += len(data)
        self._rest += data
        while len(self._rest) >= _CHUNK:
            self._seal(bytes(self._rest[:_CHUNK]))
            del self._rest[:_CHUNK]

    def sealed(self) -> io.BufferedReader:
        """All of it has come: a reader of it. Closing that closes the file."""
        self._seal(bytes(self._rest))
        self._rest.clear()
        return io.BufferedReader(self, _CHUNK)

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
        """The file is gone."""
        if not self.closed:
            self._file.close()
            self._rest.clear()
            self._read = (-1, b"")
        super().close()

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
