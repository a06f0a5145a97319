"""Supervised threads: each calls one step again and again until it is told to stop."""

import threading
from collections.abc import Callable

import structlog

_log = structlog.get_logger("islet.worker")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Worker:
    """A thread around `step`, which does a bit of work or waits a moment for some, and returns.

    A step that raises is logged (class of the error only: messages may come from data) and tried again after a pause
    that doubles up to five seconds; `failing` is true meanwhile. `before` runs once, first, and is tried again alike.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        *,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self.failing = False
        self.failures = 0
        self.ready = threading.Event()
        self._step, self._before, self._after = step, before, after
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"islet-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end after the step that it is in."""
        self._stop.set()

    def join(self, timeout_s: float = 30.0) -> bool:
        """Wait for the end; whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        if self._before is not None:
            self._until_done(self._before)
        self.ready.set()
        while not self._stop.is_set():
            self._until_done(self._step)
        if self._after is not None:
            self._tried(self._after)

    def _until_done(self, work: Callable[[], object]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._tried(work) and not self._stop.wait(pause_s):
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _tried(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except Exception as error:
            self.failing = True
            self.failures += 1
            _log.error("worker_failed", worker=self.name, error=type(error).__name__, exc_info=self.failures == 1)
            return False
        self.failing = False
        return True
