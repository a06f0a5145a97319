"""The power goes while somebody writes: `python -m benchmarks.power_cut [--rounds 20]`, as root on Linux.

Each round makes an ext4 in a file and mounts it; a writer appends to a log and registers devices there, and says what
was acknowledged. It is frozen, the file is copied as it is (so without what only the kernel's memory holds), and the
copy is mounted as a machine does that starts again. What was acknowledged has to be there, once and in order. The same
with `synchronous=OFF` has to lose something, or the rig proves nothing.

All mounts are in a name space of the writer's own, so that they end with it, however it ends.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.record import figure
from islet.errors import KeyUnavailable, LogDamaged
from islet.gateways.authenticate import new_device
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.sqlite import SqliteLog
from islet.model.batch import ReadingRow, int64_column, readings_batch
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.store.registry import SqliteRegistry

_KEY: Final = bytes(range(32))
_THREADS: Final = 4
_IMAGE_MB: Final = 96
_START_S: Final = 60.0
_SECONDS: Final = (0.2, 1.5)  # how long the writer writes, drawn for each round

Acknowledged = dict[str, int]
"""By writer, how many of its acts were acknowledged: they are numbered from 0 on."""


def main() -> int:
    """Record how many acknowledged acts were lost with full syncs, and without any; 1 when that is not as it has to be."""
    parser = argparse.ArgumentParser(prog="benchmarks.power_cut")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--synchronous", default="FULL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(Path(given.write), given.synchronous)
        return 0
    refused = cannot_mount()
    if refused:
        print(f"power_cut: {refused}", file=sys.stderr)
        return 1
    rng = random.Random(given.seed)
    print(f"seed {given.seed}")
    full = [cut("FULL", rng.uniform(*_SECONDS)) for _ in range(given.rounds)]
    off = [cut("OFF", rng.uniform(*_SECONDS)) for _ in range(max(1, given.rounds // 4))]
    figure("acknowledged before a power cut", sum(told for told, _ in full), "acts")
    missing = sum(lost for _, lost in full)
    figure(f"lost in {len(full)} power cuts", missing, "acts", bar="none", holds=missing == 0)
    without = sum(lost for _, lost in off)
    figure(f"lost in {len(off)} power cuts, synchronous=OFF", without, "acts", bar="some", holds=without > 0)
    return 0 if missing == 0 and without > 0 else 1


def cannot_mount() -> str:
    """Why the rig cannot run here; "" where it can."""
    tools = [tool for tool in ("mkfs.ext4", "mount", "unshare") if shutil.which(tool) is None]
    if tools:
        return f"there is no {tools[0]} (Debian: e2fsprogs, mount, util-linux)"
    with tempfile.TemporaryDirectory() as folder:
        image = made(Path(folder))
        tried = subprocess.run(_mounted(image, "true"), capture_output=True)
        return "loop mounts are not permitted here; they need root" if tried.returncode else ""


def made(folder: Path) -> Path:
    """An empty ext4 in a file."""
    image = folder / "disk.ext4"
    with image.open("wb") as file:
        file.truncate(_IMAGE_MB * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    return image


def _mounted(image: Path, command: str) -> list[str]:
    """A command that finds the image mounted under "disk" beside it, for itself alone. The file system's own timer
    (5 s) would write what nobody synced; with a late one the rig is harder."""
    place = image.parent / "disk"
    mount = f'mkdir -p "{place}" && mount -o loop,commit=300 "{image}" "{place}" && {command}'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount]


def cut(synchronous: str, seconds: float) -> tuple[int, int]:
    """One round, in which a writer writes so long: how many acts were acknowledged, and how many of those are lost (all where what is left is damaged)."""
    with tempfile.TemporaryDirectory(prefix="power-cut-") as name:
        folder = Path(name)
        image = made(folder)
        with _writer(image, synchronous) as (process, told):
            time.sleep(seconds)
            _freeze(process.pid)
            _copy_at_rest(image, folder / "copy.ext4")
        after = folder / "after"
        after.mkdir()
        copy = (folder / "copy.ext4").rename(after / "disk.ext4")
        subprocess.run(_mounted(copy, f'cp -r "{after}/disk/." "{after}"'), check=True)
        return sum(told.values()), lost(after, told)


@contextlib.contextmanager
def _writer(image: Path, synchronous: str) -> Iterator[tuple[subprocess.Popen[str], Acknowledged]]:
    """A process that writes to the image, from its first acknowledgement on; killed at the end of the block, when all
    that it said has been read."""
    command = (
        f'exec "{sys.executable}" -m benchmarks.power_cut --write "{image.parent}/disk" --synchronous {synchronous}'
    )
    process = subprocess.Popen(_mounted(image, command), stdout=subprocess.PIPE, text=True)
    told: Acknowledged = Counter()
    began = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                told[line.split()[0]] += 1
                began.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        if not began.wait(_START_S):
            raise RuntimeError(f"the writer acknowledged nothing in {_START_S:g} s")
        yield process, told
    finally:
        process.kill()
        process.wait()
        listener.join()


def _freeze(pid: int) -> None:
    """Stop a process, and wait until each of its threads stands still."""
    os.kill(pid, signal.SIGSTOP)
    while any(_state(task) != "T" for task in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.001)


def _state(task: Path) -> str:
    return (task / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]


def _copy_at_rest(image: Path, to: Path) -> None:
    """Copy the image as it is at one moment: again if the kernel has written to it meanwhile."""
    stat = next(
        loop.parent.parent / "stat"
        for loop in Path("/sys/block").glob("loop*/loop/backing_file")
        if loop.read_text(encoding="utf-8").strip() == str(image)
    )
    while True:
        before = stat.read_bytes()
        subprocess.run(["cp", "--sparse=always", str(image), str(to)], check=True)
        if stat.read_bytes() == before:
            return


def lost(folder: Path, told: Acknowledged) -> int:
    """Of what was acknowledged, how much is not in these files; all, where they are damaged, or hold what nobody wrote."""
    try:
        there = _appended(folder / "log.db") | {"device": _registered(folder / "store.db")}
    except (LogDamaged, KeyUnavailable):
        return sum(told.values())
    if any(numbers != list(range(len(numbers))) for numbers in there.values()):
        return sum(told.values())
    return sum(max(0, count - len(there.get(who, ()))) for who, count in told.items())


def _appended(path: Path) -> dict[str, list[int]]:
    """By patient, the minutes of their readings, in the order of the log."""
    found: dict[str, list[int]] = {}
    with contextlib.closing(SqliteLog(path, _KEY, partitions=2)) as log:
        for partition in range(log.partitions):
            offset = 0
            while (one := log.read(Topic.GLUCOSE_READINGS, partition, offset)) is not None:
                minutes = (int64_column(one.batch, "time_us") // MINUTE_US).tolist()
                for patient, minute in zip(one.batch.column("patient").to_pylist(), minutes, strict=True):
                    found.setdefault(str(patient), []).append(minute)
                offset = one.next_offset
    return found


def _registered(path: Path) -> list[int]:
    with contextlib.closing(SqliteRegistry(path, _KEY)) as registry:
        return sorted(int(device.id) for device in registry.devices())


def write(folder: Path, synchronous: str) -> None:
    """Append and register until killed, several threads at once; a line for each act that was acknowledged."""
    log, registry = SqliteLog(folder / "log.db", _KEY, partitions=2), SqliteRegistry(folder / "store.db", _KEY)
    log._writer.pragma("synchronous", synchronous)
    registry._writer.pragma("synchronous", synchronous)
    commit = GroupCommit(log, lambda: time.time_ns() // 1000, within_s=0.0)
    told = threading.Lock()

    def tell(who: str) -> None:
        with told:
            os.write(sys.stdout.fileno(), f"{who}\n".encode())  # one write: a line is there or not

    def append(who: str) -> None:
        minute = 0
        while True:
            row = ReadingRow(who, f"{who}-cgm", minute * MINUTE_US, 1000, 100.0, 0, 0, 0)
            commit.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([row]))])
            tell(who)
            minute += 1

    for number in range(_THREADS):
        threading.Thread(target=append, args=(f"patient-{number}",), daemon=True).start()
    device = 0
    while True:
        registry.create_device(new_device(f"{device}", device))
        tell("device")
        device += 1
        if device % 50 == 0:
            log.compact()


if __name__ == "__main__":
    sys.exit(main())
