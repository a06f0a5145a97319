"""A disk that keeps, at a power cut, what was synced, and of the rest what it likes.

SQLite writes through it as through the machine's own (apsw lets a VFS stand below the encryption); every write,
truncation and sync is recorded. `left_after` then gives what a disk could hold if the power had gone at one of these
moments: of what was not synced, any writes may be missing, and of each write any sectors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import apsw

_BELOW: Final = "unix"
_NAME: Final = "islet-crash-disk"
_ABOVE: Final = f"multipleciphers-{_NAME}"
_SECTOR: Final = 512
_FOLDER: Final = ""
_KEPT: Final = (".db", ".db-wal", ".db-journal")
"""What counts after a power cut; the shared memory (-shm) is made anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """What was done to a file: a write of `data` at `place`, a cut to `place` bytes (data None), its removal, or a sync.
    Or, with `told`, what somebody was told is durable."""

    file: str = ""
    place: int = 0
    data: bytes | None = None
    removed: bool = False
    sync: bool = False
    told: int | None = None


@dataclass(kw_only=True, slots=True)
class Disk:
    """What was done, in order."""

    acts: list[Act] = field(default_factory=list)

    def tell(self, number: int) -> None:
        """Somebody is told that everything up to `number` is durable."""
        self.acts.append(Act(told=number))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, opened: apsw.URIFilename | str, path: Path, flags: list[int]) -> None:
        self._folder_waits = not path.exists()
        super().__init__(_BELOW, opened, flags)
        self._disk, self._name = disk, path.name

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's names
        super().xWrite(data, offset)
        self._disk.acts.append(Act(file=self._name, place=offset, data=bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._disk.acts.append(Act(file=self._name, place=size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """The first sync of a file that SQLite made syncs its folder too (os_unix.c, UNIXFILE_DIRSYNC)."""
        super().xSync(flags)
        self._disk.acts.append(Act(file=self._name, sync=True))
        if self._folder_waits:
            self._disk.acts.append(Act(file=_FOLDER, sync=True))
            self._folder_waits = False


class _Vfs(apsw.VFS):
    def __init__(self) -> None:
        super().__init__(_NAME, _BELOW)
        self.disk = Disk()

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        if path.endswith(_KEPT):
            assert name is not None
            return _File(self.disk, name, Path(path), flags)
        return apsw.VFSFile(_BELOW, name, flags)

    def xDelete(self, name: str, and_its_folder: bool) -> None:  # noqa: N802
        super().xDelete(name, and_its_folder)
        self.disk.acts.append(Act(file=Path(name).name, removed=True))
        if and_its_folder:
            self.disk.acts.append(Act(file=_FOLDER, sync=True))


@cache
def _vfs() -> _Vfs:
    """Made once in a process: the encryption above it never lets go of it."""
    vfs = _Vfs()
    apsw.Connection(":memory:", vfs=_ABOVE).close()
    return vfs


@contextmanager
def recording() -> Iterator[Disk]:
    """All databases that are opened in the block write through a disk that records."""
    vfs, before = _vfs(), apsw.vfs_names()[0]
    vfs.disk = Disk()
    apsw.set_default_vfs(_ABOVE)
    try:
        yield vfs.disk
    finally:
        apsw.set_default_vfs(before)


def left_after(acts: list[Act], rng: Random) -> dict[str, bytes]:
    """What the files may hold when the power goes after these acts; by name."""
    synced = {act.file: number for number, act in enumerate(acts) if act.sync}
    luck = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    files: dict[str, bytearray] = {}
    for number, act in enumerate(acts):
        if act.sync or act.told is not None:
            continue
        durable = number < synced.get(_FOLDER if act.removed else act.file, -1)
        if not durable and rng.random() >= luck:
            continue
        if act.removed:
            files.pop(act.file, None)
        elif durable:
            _write(files.setdefault(act.file, bytearray()), act.place, act.data)
        else:
            _write_torn(files.setdefault(act.file, bytearray()), act, rng)
    return {name: bytes(held) for name, held in files.items()}


def _write(held: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        del held[place:]
    else:
        held.extend(bytes(max(0, place - len(held))))  # what lies before it and was never written is zeros
        held[place : place + len(data)] = data


def _write_torn(held: bytearray, act: Act, rng: Random) -> None:
    """All of it, or (every other time) each of its sectors or not."""
    if act.data is None or rng.random() < 0.5:
        _write(held, act.place, act.data)
        return
    at, end = act.place, act.place + len(act.data)
    while at < end:
        until = min(end, (at // _SECTOR + 1) * _SECTOR)
        if rng.random() < 0.5:
            _write(held, at, act.data[at - act.place : until - act.place])
        at = until
