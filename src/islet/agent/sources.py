"""Where an agent's events come from: a local socket, standard input, or a folder; each knows when an event is safe."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from islet.agent.device import Device
from islet.agent.disk import QueueFull
from islet.agent.intake import MOST_LINE_BYTES

POLL_S: Final = 0.5
_MOST_TOGETHER: Final = 500
_CHUNK_BYTES: Final = 64 * 1024


class _Lines:
    """Bytes to lines; one that is longer than may be is cut, so that it is refused."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: MOST_LINE_BYTES + 1]
        return [line for line in lines if line.strip()]

    def last(self) -> list[bytes]:
        return [self._rest] if self._rest.strip() else []


@contextlib.asynccontextmanager
async def local_socket(device: Device, path: Path) -> AsyncIterator[None]:
    """Events as lines of JSON over a Unix socket that only the owner may use. Each is answered, in order:
    `{"ok":true}` once it is on the disk, `{"ok":false,"reason":…}`, with `"again":true` when the queue is full."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            lines = _Lines()
            while data := await reader.read(_CHUNK_BYTES):
                writer.write(_answers(device, lines.feed(data)))
                await writer.drain()

    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    server = await asyncio.start_unix_server(serve, sock=listener)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _answers(device: Device, lines: list[bytes]) -> bytes:
    said = b""
    for start in range(0, len(lines), _MOST_TOGETHER):
        some = lines[start : start + _MOST_TOGETHER]
        try:
            refusals = device.take(some)
        except QueueFull as full:
            refused: dict[str, object] = {"ok": False, "again": True, "reason": str(full)}
            said += (msgspec.json.encode(refused) + b"\n") * len(some)
            continue
        for refusal in refusals:
            answer = {"ok": False, "reason": refusal} if refusal else {"ok": True}
            said += msgspec.json.encode(answer) + b"\n"
    return said


async def lines_of(device: Device, descriptor: int) -> int:
    """Events as lines of JSON from a pipe until it ends; how many were refused. While the queue is full nothing is read,
    so that the writer waits."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0))
    lines, refused = _Lines(), 0
    while data := await reader.read(_CHUNK_BYTES):
        refused += await _taken(device, lines.feed(data))
    return refused + await _taken(device, lines.last())


async def _taken(device: Device, lines: list[bytes]) -> int:
    refused = 0
    for start in range(0, len(lines), _MOST_TOGETHER):
        some = lines[start : start + _MOST_TOGETHER]
        while True:
            try:
                refused += sum(map(bool, device.take(some)))
                break
            except QueueFull:
                await _room(device)
    return refused


async def _room(device: Device) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLL_S):
            await device.queue.room()


async def folder(device: Device, path: Path) -> None:
    """Every file `*.jsonl` or `*.json` (lines of JSON) that is put into a folder, in the order of their names, until
    cancelled. A file that is being written has another name. It is removed once its events are on the disk; lines that
    were refused are kept beside it in `refused/`."""
    path.mkdir(parents=True, exist_ok=True)
    while True:
        for file in sorted(one for one in path.iterdir() if one.suffix in (".json", ".jsonl") and one.is_file()):
            with contextlib.suppress(OSError, QueueFull):  # somebody else's, or no room; it is looked at again
                await _take_file(device, file)
        await asyncio.sleep(POLL_S)


async def _take_file(device: Device, file: Path) -> None:
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    stat, name = file.stat(), file.name.encode(errors="backslashreplace").decode()  # it need not be UTF-8
    marks = f"{name}/{stat.st_mtime_ns}/{stat.st_size}"
    for start in range(0, len(lines), _MOST_TOGETHER):
        some = lines[start : start + _MOST_TOGETHER]
        await asyncio.sleep(0)  # a long file keeps nobody waiting
        while True:
            try:
                refusals = device.take(some, f"{marks}/{start}")
                break
            except QueueFull:
                await _room(device)
        refused = [line for line, refusal in zip(some, refusals, strict=True) if refusal]
        if refused:
            aside = file.parent / "refused"
            aside.mkdir(exist_ok=True)
            with (aside / file.name).open("ab") as kept:
                kept.writelines(line + b"\n" for line in refused)
    file.unlink()
    for start in range(0, len(lines), _MOST_TOGETHER):
        device.disk.keep(f"taken/{marks}/{start}", None)
