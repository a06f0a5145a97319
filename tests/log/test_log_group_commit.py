"""Many callers, one transaction; each is told what became of its own."""

import threading
from collections.abc import Callable, Sequence

import pytest

from islet.errors import IsletError
from islet.log.base import Append, Commit, Companion, CursorMove
from islet.log.group_commit import Done, GroupCommit
from islet.log.memory import MemoryLog
from islet.model.batch import readings_batch
from islet.model.topics import Topic
from tests.log.rows import GLUCOSE, append, commit, entries, patients_of, reading

WRONG = Append(topic=Topic.VITALS, batch=readings_batch([reading("anna", 1)]))


class HeldLog(MemoryLog):
    """A log whose next commit waits until it is let go; it notes the size of each group."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        self.entered.release()
        self.go.acquire()
        super().commit(commits, companion)
        self.groups.append(len(commits))


class FullLog(MemoryLog):
    """A log on a full disk."""

    full = True
    tries = 0

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        self.tries += 1
        if self.full:
            raise OSError(28, "the disk is full")
        super().commit(commits, companion)


def test_a_commit_is_in_the_log_when_the_call_returns() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 42, within_s=0.0)
    move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=1)
    writer.commit([append(reading("anna", 1))], [move], {"s": b"x"})
    assert entries(log)[0] == [(*reading("anna", 1), 42)]
    assert (log.cursor("c", GLUCOSE), log.state("s")) == ((1,), b"x")
    writer.close()
    assert (writer.groups, writer.rows, writer.failures) == (1, 1, 0)
    assert writer.last_duration_s > 0


def test_what_comes_during_a_commit_is_the_next_group() -> None:
    log = HeldLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)
    told: list[Exception | None] = []
    writer.submit([append(reading("first", 1))], done=told.append)
    log.entered.acquire()
    for number in range(20):
        writer.submit([append(reading(f"p{number}", 1))], done=told.append)
    log.go.release(2)
    writer.close()
    assert log.groups == [1, 20]
    assert told == [None] * 21


class Listener:
    """Told how commits ended."""

    def __init__(self) -> None:
        self.told: list[Exception | None] = []

    def follow(self, slices: object) -> None:
        return None

    def settle(self, error: Exception | None) -> None:
        self.told.append(error)
        raise ZeroDivisionError


def test_who_accompanies_the_commits_is_told_how_each_ended_and_cannot_stop_the_writer() -> None:
    log = FullLog()
    writer, companion = GroupCommit(log, lambda: 1, within_s=0.0), Listener()
    writer.accompany(companion)
    with pytest.raises(OSError, match="the disk is full"):
        writer.commit([append(reading("anna", 1))])
    log.full = False
    writer.commit([append(reading("anna", 1))])
    writer.close()
    assert [type(error) for error in companion.told] == [OSError, type(None)]


def test_after_a_quiet_time_a_few_commits_are_made_at_once() -> None:
    writer = GroupCommit(MemoryLog(), lambda: 1, within_s=3600.0)
    for minute in range(3):
        writer.commit([append(reading("anna", minute))])
    assert writer.groups == 3
    writer.close()


def test_when_much_comes_what_comes_in_the_pause_is_one_group() -> None:
    log = HeldLog()
    log.go.release(100)
    writer = GroupCommit(log, lambda: 1, within_s=3600.0)
    told: list[Exception | None] = []
    for minute in range(3):
        writer.commit([append(reading("anna", minute))])
    for number in range(20):
        writer.submit([append(reading(f"p{number}", 1))], done=told.append)
    writer.close()
    assert log.groups == [1, 1, 1, 20]
    assert told == [None] * 20


@pytest.mark.parametrize(("rows", "waits"), [(23, False), (24, True)])
def test_the_pause_after_a_group_of_few_rows_is_half_as_long(
    monkeypatch: pytest.MonkeyPatch, rows: int, waits: bool
) -> None:
    now_s = 0.0
    monkeypatch.setattr("islet.log.group_commit.monotonic", lambda: now_s)
    writer, told = GroupCommit(MemoryLog(), lambda: 1, within_s=3600.0), list[Exception | None]()
    for minute in range(2):
        writer.commit([append(reading("anna", minute))])
    writer.commit([append(*(reading("anna", minute) for minute in range(rows)))])
    now_s = 1800.0
    writer.submit([append(reading("bert", 1))], done=told.append)
    writer.commit([append(reading("carl", 1))], urgent=True)
    assert told == ([] if waits else [None])
    writer.close()
    assert told == [None]


@pytest.mark.parametrize(
    ("takes_s", "pause_s"), [(0.002, 0.006), (0.03, 0.0025)], ids=["what two groups leave", "never less than a quarter"]
)
def test_the_pause_leaves_the_time_that_groups_usually_take(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, pause_s: float
) -> None:
    now_s = 0.0

    class SlowLog(MemoryLog):
        def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
            nonlocal now_s
            super().commit(commits, companion)
            now_s += takes_s

    monkeypatch.setattr("islet.log.group_commit.monotonic", lambda: now_s)
    writer, ended_s = GroupCommit(SlowLog(), lambda: 1, within_s=0.01), 0.0
    group = [append(*(reading("anna", minute) for minute in range(24)))]
    for _ in range(60):
        writer.commit(group)
        ended_s, now_s = now_s, writer._due_at
    writer.close()
    assert now_s - ended_s == pytest.approx(pause_s, rel=0.01)


def test_what_is_urgent_does_not_wait_for_the_end_of_the_pause_nor_take_the_rest_along() -> None:
    log = HeldLog()
    log.go.release(100)
    writer = GroupCommit(log, lambda: 1, within_s=3600.0)
    told: list[Exception | None] = []
    for minute in range(3):
        writer.commit([append(reading("anna", minute))])
    for number in range(20):
        writer.submit([append(reading(f"p{number}", 1))], done=told.append)
    for minute in range(2):
        writer.commit([append(reading("bert", minute))], urgent=True)
    assert log.groups == [1, 1, 1, 1, 1]
    assert told == []
    writer.close()
    assert log.groups == [1, 1, 1, 1, 1, 20]


def test_a_source_is_asked_when_it_wakes_the_writer_and_told_afterwards() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 7, within_s=0.001)
    told = threading.Event()
    pending = [append(reading("anna", 1))]

    def source(now_us: int) -> tuple[Commit, Done] | None:
        if not pending:
            return None
        return commit(now_us, pending.pop()), lambda error: told.set() if error is None else None

    writer.add_source(source)
    writer.wake()
    assert told.wait(30.0)
    assert entries(log)[0] == [(*reading("anna", 1), 7)]
    writer.close()


def test_plenty_ends_the_pause_once() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 1, within_s=3600.0)
    for minute in range(3):
        writer.commit([append(reading("anna", minute))])
    told, pending = threading.Semaphore(0), list[Append]()

    def source(now_us: int) -> tuple[Commit, Done] | None:
        return (commit(now_us, pending.pop()), lambda error: told.release()) if pending else None

    writer.add_source(source)
    pending.append(append(reading("bert", 1)))
    writer.wake()
    writer.commit([append(reading("carl", 1))], urgent=True)
    assert not told.acquire(blocking=False)
    writer.wake(plenty=True)
    assert told.acquire(timeout=30.0)
    pending.append(append(reading("bert", 2)))
    writer.wake()
    writer.commit([append(reading("carl", 2))], urgent=True)
    assert not told.acquire(blocking=False)
    writer.close()
    assert told.acquire(blocking=False)


def test_what_comes_just_after_its_source_was_asked_is_in_the_next_round() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)
    told = threading.Event()
    pending: list[Append] = []
    asked: list[int] = []

    def source(now_us: int) -> tuple[Commit, Done] | None:
        asked.append(now_us)
        if not pending:
            pending.append(append(reading("anna", 1)))  # as if another thread put it there now
            writer.wake()
            return None
        return commit(now_us, *pending), lambda error: told.set()

    writer.add_source(source)
    writer.wake()
    assert told.wait(30.0)
    writer._sources.clear()
    writer.close()


def test_nothing_that_is_woken_for_is_forgotten() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)
    lock = threading.Lock()
    pending: list[Append] = []
    done = threading.Semaphore(0)

    def source(now_us: int) -> tuple[Commit, Done] | None:
        with lock:
            taken = pending[:]
            pending.clear()
        if not taken:
            return None
        return commit(now_us, *taken), lambda error: done.release(len(taken))

    writer.add_source(source)

    def send(sender: int) -> None:
        for number in range(300):
            with lock:
                pending.append(append(reading(f"s{sender}", number)))
            writer.wake()

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(done.acquire(timeout=30.0) for _ in range(1200))  # without close(): each wake was enough
    writer.close()
    assert len(patients_of(log)) == 1200


def test_one_bad_commit_fails_alone() -> None:
    log = HeldLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)
    told: dict[str, Exception | None] = {}

    def tell(name: str) -> Callable[[Exception | None], None]:
        return lambda error: told.update({name: error})

    writer.submit(states={"a": b""}, done=tell("a"))
    log.entered.acquire()
    writer.submit([append(reading("anna", 1))], done=tell("good"))
    writer.submit([WRONG], done=tell("bad"))
    writer.submit([append(reading("berta", 1))], done=tell("also good"))
    log.go.release(10)
    writer.close()
    assert isinstance(told.pop("bad"), ValueError)
    assert told == {"a": None, "good": None, "also good": None}
    assert patients_of(log) == ["anna", "berta"]
    assert writer.failures == 1


def test_what_the_commit_raised_is_raised_to_the_caller() -> None:
    writer = GroupCommit(MemoryLog(), lambda: 1, within_s=0.0)
    with pytest.raises(ValueError, match="schema"):
        writer.commit([WRONG])
    writer.close()


def test_a_full_disk_is_told_to_everybody_and_the_writer_goes_on() -> None:
    log = FullLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)
    with pytest.raises(OSError, match="full"):
        writer.commit([append(reading("anna", 1))])
    failing_when_full = writer.failing
    log.full = False
    writer.commit([append(reading("anna", 2))])
    writer.close()
    assert (failing_when_full, writer.failing, writer.failures) == (True, False, 1)
    assert log.tries == 2
    assert patients_of(log) == ["anna"]


def test_a_source_or_a_callback_that_raises_does_not_stop_the_writer() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 1, within_s=0.0)

    def broken_source(now_us: int) -> tuple[Commit, Done] | None:
        raise RuntimeError

    def broken_callback(error: Exception | None) -> None:
        raise RuntimeError

    writer.add_source(broken_source)
    writer.submit([append(reading("anna", 1))], done=broken_callback)
    writer.commit([append(reading("anna", 2))])
    writer.close()
    assert len(patients_of(log)) == 2


def test_closing_commits_what_is_pending_and_then_refuses() -> None:
    log = MemoryLog()
    writer = GroupCommit(log, lambda: 1, within_s=3600.0)
    backlog = [append(reading("anna", minute)) for minute in range(5)]
    told: list[Exception | None] = []
    writer.add_source(lambda now_us: (commit(now_us, backlog.pop()), told.append) if backlog else None)
    writer.submit([append(reading("berta", 1))], done=told.append)
    writer.close()
    assert told == [None] * 6
    assert len(patients_of(log)) == 6
    with pytest.raises(IsletError, match="closed"):
        writer.commit()


def test_a_commit_inside_a_callback_is_refused_instead_of_waiting_for_ever() -> None:
    writer = GroupCommit(MemoryLog(), lambda: 1, within_s=0.0)
    raised: list[str] = []

    def done(error: Exception | None) -> None:
        try:
            writer.commit()
        except RuntimeError as refused:
            raised.append(str(refused))

    writer.submit(done=done)
    writer.close()
    assert raised
    assert "submit" in raised[0]
