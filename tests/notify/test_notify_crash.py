"""Crashes: the process is killed before any one of its operations, and started again."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from islet.log.memory import MemoryLog
from islet.notify.base import Delivered, Message, Outcome
from tests.notify.scenario import NOW, ListChannel, append, change, outbox

SHARED_MEMORY = Path("/dev/shm")
ALERTS = 1
OPENED = f"urgent_low~p-0~{NOW}/0/file/nurse"
ENDED = f"urgent_low~p-0~{NOW}/1/file/nurse"
WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT")  # a kill before a question is one before the next write
Kind = Literal["opened", "cleared", "retracted", "acknowledged", "deliver", "restart"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Step = tuple[Kind, str]


class FileChannel:
    """What reaches the other side is a line in a file, which survives the death of the sender."""

    name = "file"
    recipient = "nurse"

    def __init__(self, path: Path, fuse: "Fuse") -> None:
        self._path = path
        self._fuse = fuse

    def send(self, message: Message, now_us: int) -> Outcome:
        self._fuse.burn()
        with self._path.open("a") as file:
            file.write(message.id + "\n")
        self._fuse.burn()
        return Delivered()


class Fuse:
    """Kills this process with SIGKILL at the n-th operation."""

    def __init__(self, length: int) -> None:
        self._left = length

    def burn(self, *_: Any) -> bool:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def _log() -> MemoryLog:
    log = MemoryLog(partitions=2)
    for i in range(ALERTS):
        append(log, change("opened", patient=f"p-{i}"))
    append(log, change("cleared", patient="p-0"))
    return log


def _run(path: Path, fuse: Fuse) -> None:
    """Take in and deliver all; each SQL statement that writes and each side of a send is an operation."""

    def light(connection: apsw.Connection) -> None:
        connection.exec_trace = lambda _, sql, __: not sql.startswith(WRITES) or fuse.burn()

    apsw.connection_hooks.append(light)
    try:
        box = outbox(path, FileChannel(path / "sent", fuse))
    finally:
        apsw.connection_hooks.remove(light)
    log = _log()
    box.take_in(log, NOW)
    while box.next_due_us() is not None:
        box.deliver_due(NOW)
    box.close()


def _killed(path: Path, length: int) -> bool:
    """Whether a child process that ran on that fuse was killed (and did not come to its end)."""
    child = os.fork()
    if child == 0:
        try:
            _run(path, Fuse(length))
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WIFSIGNALED(status), "the child failed instead of being killed"
    return os.WIFSIGNALED(status)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process leaves the same files there, and nobody waits for syncs."""
    if not SHARED_MEMORY.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        yield Path(folder)


def test_killed_before_any_operation_nothing_is_lost_and_only_the_message_in_flight_is_doubled(memory: Path) -> None:
    """One kill per run, at every operation in turn; then a run to the end."""
    operations, doubled, killed = 0, 0, True
    while killed:
        path = memory / str(operations)
        path.mkdir()
        killed = _killed(path, operations)
        _run(path, Fuse(1_000_000))
        sent = (path / "sent").read_text().splitlines()
        ids = list(dict.fromkeys(sent))
        assert len(ids) == ALERTS + 1, f"lost with a kill at operation {operations}"
        assert len(sent) - len(ids) <= 1, f"doubled more than what was in flight, at operation {operations}"
        assert ids.index(ENDED) > ids.index(OPENED)
        doubled += len(sent) - len(ids)
        operations += 1
    assert operations > 20  # the fuse is lit
    assert doubled > 0  # and the window between a send and its mark is real


def test_only_a_kill_between_sending_and_marking_doubles(tmp_path: Path) -> None:
    """The documented window: the line is in the other side's file, the mark is not in the database."""

    class Dying(ListChannel):
        def send(self, message: Message, now_us: int) -> Outcome:
            super().send(message, now_us)
            raise SystemExit  # takes the worker down after the other side has got it

    first = Dying()
    box = outbox(tmp_path, first)
    log = MemoryLog()
    append(log, change("opened"))
    box.take_in(log, NOW)
    with pytest.raises(SystemExit):
        box.deliver_due(NOW)
    second = ListChannel()
    box = outbox(tmp_path, second)
    assert box.deliver_due(NOW) == 1
    assert [m.id for m in first.received] == [m.id for m in second.received]


def test_a_mark_that_cannot_be_written_is_tried_again_without_sending_again(tmp_path: Path) -> None:
    """As on a full disk, where a loop would page somebody every few seconds."""
    refusing = True

    def refuse(_: Any, sql: str, __: Any) -> bool:
        return not (refusing and sql.startswith("UPDATE outbox SET state = 'sent'"))

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = refuse

    apsw.connection_hooks.append(hook)
    try:
        channel = ListChannel()
        box = outbox(tmp_path, channel)
    finally:
        apsw.connection_hooks.remove(hook)
    log = MemoryLog()
    append(log, change("opened"))
    box.take_in(log, NOW)
    for _ in range(3):
        with pytest.raises(apsw.ExecTraceAbort):
            box.deliver_due(NOW)
    refusing = False
    assert box.deliver_due(NOW) == 1
    assert len(channel.received) == 1
    assert box.counts()["sent"] == 1


class _Reference:
    """For one patient and one recipient, what is sent, in plain Python: a message whenever what they believe changes,
    except that nobody hears of what was withdrawn or acknowledged first."""

    def __init__(self) -> None:
        self.rows: list[tuple[bool, str]] = []  # (opens, "pending" | "sent" | "dropped")
        self.active, self.known = False, False

    def step(self, kind: Kind) -> None:
        if kind == "opened" and not self.active:
            self.active = self.known = True
            self.rows.append((True, "pending"))
        elif kind == "acknowledged" and self.active and self.rows[-1][1] == "pending":
            self.rows[-1] = (True, "dropped")
        elif kind == "cleared" and self.active:
            self.active = False
            self._end()
        elif kind == "retracted" and self.known:
            self._withdraw()
            if self.active:
                self._end()
            self.active = self.known = False

    def _end(self) -> None:
        if self.rows[-1][0] and self.rows[-1][1] != "dropped":
            self.rows.append((False, "pending"))

    def _withdraw(self) -> None:
        for index, (opens, state) in enumerate(self.rows):
            if state == "pending" and (opens or self.rows[index - 1][1] == "dropped"):
                self.rows[index] = (opens, "dropped")

    def deliver(self) -> None:
        self.rows = [(opens, "sent" if state == "pending" else state) for opens, state in self.rows]


def _reference(steps: list[Step]) -> list[str]:
    patients: dict[str, _Reference] = {}
    for kind, patient in steps:
        if kind == "deliver":
            for one in patients.values():
                one.deliver()
        else:
            patients.setdefault(patient, _Reference()).step(kind)
    return [f"{p}/{i}" for p, one in patients.items() for i, (_, state) in enumerate(one.rows) if state != "dropped"]


@settings(deadline=None, max_examples=15)
@example([("opened", "p-1"), ("cleared", "p-1"), ("opened", "p-1"), ("retracted", "p-1")])
@example([("opened", "p-1"), ("retracted", "p-1"), ("opened", "p-1")])
@example([("opened", "p-1"), ("acknowledged", "p-1"), ("cleared", "p-1"), ("opened", "p-1")])
@example([*[("opened", "p-1")] * 10, ("opened", "p-2")])  # more than is taken in at once
@given(steps=st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["p-1", "p-2"])), max_size=14))
def test_what_is_sent_equals_the_reference_whatever_the_slices_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    path = tmp_path_factory.mktemp("outbox")
    log, channel = MemoryLog(), ListChannel()
    box = outbox(path, channel)
    for kind, patient in [*steps, ("deliver", "p-1")]:
        if kind == "deliver":
            box.take_in(log, NOW)
            while box.behind:
                box.take_in(log, NOW)
            while box.next_due_us() is not None:
                box.deliver_due(NOW)
        elif kind == "restart":
            box.take_in(log, NOW)
            box.close()
            box = outbox(path, channel)
        else:
            append(log, change(kind, patient=patient))
    box.close()
    sent = ["/".join(m.id.removeprefix("urgent_low~").split("/")[:2]) for m in channel.received]
    assert sorted(s.replace(f"~{NOW}", "") for s in sent) == sorted(_reference(steps))
