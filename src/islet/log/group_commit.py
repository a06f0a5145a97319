"""One thread that makes everybody's entries durable: many callers, one fsync."""

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from time import monotonic

from islet.errors import IsletError
from islet.log.base import Append, Commit, Companion, CursorMove, Log
from islet.model.time import Now

Done = Callable[[Exception | None], None]
"""Told afterwards, in the writer's thread: None when durable, else why not. Must be quick and must not raise."""

Source = Callable[[int], tuple[Commit, Done] | None]
"""Given now in µs, everything that is pending there, and who to tell; None when nothing is. Runs in the writer's
thread; must be quick."""

_AT_ONCE = 3
"""Groups that may follow each other without a pause after a quiet time: a reading, what the engine says of it, and an
answer to that."""

_FEW_ROWS = 24
_OF_FEW = 1 / 2
"""Of the longest time, while groups have fewer rows: some thousand readings a second cost little of a core, and a device
that waits for its acknowledgement has it within 10 ms."""

_LEAST_PAUSE = 1 / 4
"""Of that time, however long a group takes."""

_LAST_COUNTS = 1 / 8
"""Of how long a group usually takes, the share of the last one."""

_Submitted = tuple[Sequence[Append], Sequence[CursorMove], Mapping[str, bytes | None], Done]

_logger = logging.getLogger(__name__)


class GroupCommit:
    """Collects what is pending everywhere and commits it as one transaction.

    After a quiet time an entry is committed at once. When much comes, the writer pauses after each group and takes
    together what came meanwhile: each group costs a sync, and wakes everybody who follows the log. The pause is as long
    as lets an entry that came just after a group was begun be durable within `within_s` (half of that while groups are
    small), going by how long groups usually take. It ends when a source has plenty. What is urgent (the engine's
    alerts) does not wait for its end: it becomes a group without the rest.

    Counters for the metrics: `groups` and `rows` that became durable, `failures` (commits that did not), and
    `last_duration_s`, the length of the last transaction. `failing`: whether the last one did not become durable.
    """

    def __init__(self, log: Log, now: Now, *, within_s: float) -> None:
        self.groups = 0
        self.rows = 0
        self.failures = 0
        self.failing = False
        self.last_duration_s = 0.0
        self._log, self._now, self._within_s = log, now, within_s
        self._usual_s = 0.0
        self._sources: list[Source] = []
        self._companion: Companion | None = None
        self._submitted: list[_Submitted] = []
        self._urgent: list[_Submitted] = []
        self._woken = threading.Condition()
        self._has_work = self._has_plenty = False
        self._due_at = -math.inf  # the earliest start of the next group, by the monotonic clock
        self._pausing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def add_source(self, source: Source) -> None:
        """Ask `source` in each round from now on."""
        self._sources.append(source)

    def accompany(self, companion: Companion) -> None:
        """Ask it in each commit from now on what is to go with it."""
        self._companion = companion

    def wake(self, *, plenty: bool = False) -> None:
        """A source has something; `plenty`: so much that waiting for more saves nothing.

        Cheap; from any thread, after the thing was put there.
        """
        if plenty or not self._has_work:  # if it has, the coming round asks the sources later than this
            with self._woken:
                self._has_work = True
                self._has_plenty = self._has_plenty or plenty
                if plenty or not self._pausing:
                    self._woken.notify()

    def commit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        """Join the next group and block until it is durable; raises what the commit raised."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("commit() inside a done callback would wait for itself; use submit()")
        self.later(appends, cursors, states, urgent=urgent).result()

    def later(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        urgent: bool = False,
    ) -> Future[None]:
        """Join the next group; the future is done when it is durable, or has what the commit raised."""
        outcome = Future[None]()

        def done(error: Exception | None) -> None:
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

        self.submit(appends, cursors, states, done=done, urgent=urgent)
        return outcome

    def submit(
        self,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        states: Mapping[str, bytes | None] | None = None,
        *,
        done: Done,
        urgent: bool = False,
    ) -> None:
        """Join the next group without waiting for it."""
        with self._woken:
            if self._closing.is_set():
                raise IsletError("the log's writer is closed; nothing more can be committed")
            (self._urgent if urgent else self._submitted).append((appends, cursors, states or {}, done))
            if urgent:
                self._has_work = True
                self._woken.notify()  # it may be in its pause
        self.wake()

    def close(self) -> None:
        """Commit what is pending, then stop."""
        with self._woken:
            self._closing.set()
            self._has_work = True
            self._woken.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait_for_work():
            self._round()
        while self._round():  # drain: a source may give its backlog in several pieces
            pass

    def _wait_for_work(self) -> bool:
        with self._woken:
            self._pausing = True
            self._woken.wait_for(self._must_go_on, max(0.0, self._due_at - monotonic()))
            self._pausing = False
            self._woken.wait_for(lambda: self._has_work)
        return not self._closing.is_set()

    def _must_go_on(self) -> bool:
        """Whether the pause ends now, or something in it cannot wait."""
        return bool(self._urgent) or self._has_plenty or self._closing.is_set()

    def _round(self) -> bool:
        """Commit what is pending now, in the pause only what is urgent; whether there was anything."""
        with self._woken:
            in_pause = monotonic() < self._due_at and not self._has_plenty and not self._closing.is_set()
            submitted, self._urgent = self._urgent, []
            if not in_pause:
                self._has_work = self._has_plenty = False
                submitted, self._submitted = self._submitted + submitted, []
        now_us = self._now()
        sources = [] if in_pause else self._sources
        group = [given for source in sources if (given := _ask(source, now_us)) is not None]
        for appends, cursors, states, done in submitted:
            commit = Commit(received_at_us=now_us, appends=appends, cursors=cursors, states=states)
            group.append((commit, done))
        if not group:
            return False
        started, rows = monotonic(), self.rows
        errors = self._write([commit for commit, _ in group])
        ended = monotonic()
        self.last_duration_s = ended - started
        if not in_pause:
            self._usual_s += (self.last_duration_s - self._usual_s) * _LAST_COUNTS
            pause_s = self._pause_s(self.rows - rows)
            paused_until = max(min(self._due_at, started) + self.last_duration_s, ended - (_AT_ONCE - 1) * pause_s)
            self._due_at = paused_until + pause_s
        for (_, done), error in zip(group, errors, strict=True):
            _tell(done, error)
        return True

    def _pause_s(self, rows: int) -> float:
        """How long to pause after a group of so many: an entry waits while one group is written, through the pause, and
        while its own is written."""
        within_s = self._within_s * (_OF_FEW if rows < _FEW_ROWS else 1)
        return max(within_s - 2 * self._usual_s, within_s * _LEAST_PAUSE)

    def _write(self, commits: Sequence[Commit]) -> list[Exception | None]:
        """Commit them together; if one is at fault, each alone. One outcome for each."""
        try:
            self._commit(commits)
        except OSError as error:  # the disk is full or broken: the same for all
            self.failures += len(commits)
            self.failing = True
            return [error] * len(commits)
        except Exception as error:
            if len(commits) > 1:
                return [self._write([commit])[0] for commit in commits]
            self.failures += 1
            self.failing = True
            return [error]
        self.failing = False
        self.groups += 1
        self.rows += sum(append.batch.num_rows for commit in commits for append in commit.appends)
        return [None] * len(commits)

    def _commit(self, commits: Sequence[Commit]) -> None:
        try:
            self._log.commit(commits, self._companion)
        except Exception as error:
            self._settle(error)
            raise
        self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        if self._companion is not None:
            _tell(self._companion.settle, error)


def _ask(source: Source, now_us: int) -> tuple[Commit, Done] | None:
    try:
        return source(now_us)
    except Exception:
        _logger.exception("a source of the log's writer failed; the others go on")
        return None


def _tell(done: Done, error: Exception | None) -> None:
    try:
        done(error)
    except Exception:
        _logger.exception("a callback of the log's writer failed; the writer goes on")
