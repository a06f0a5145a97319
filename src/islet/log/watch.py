"""Waiting for the log to change, whichever process changed it."""

import threading
from collections.abc import Callable
from time import sleep

_POLL_S = 0.005
SELDOM_S = 0.05
"""How late another process's commit may be seen: while they come, and when there was none for a while. Our own is seen
at once."""
_MORE_S = 0.005
_AFTER_ERROR_S = 1.0


class Watch:
    """The log's version: how many entries were ever appended. Grows only.

    `look` gives the version on the disk; it is called every few ms in a thread of its own while somebody waits.
    """

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self._version = 0
        self._waiting = 0
        self._grown = threading.Condition()
        self._needed = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def grown_to(self, version: int) -> None:
        """Wake who waits for it."""
        with self._grown:
            if version > self._version:
                self._version = version
                self._grown.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Block until the version is more than `seen`, or the time is over; the version."""
        with self._grown:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._poll, name="log-watch", daemon=True)
                self._thread.start()
            self._waiting += 1
            self._needed.set()
            try:
                self._grown.wait_for(lambda: self._version > seen or self._closed, timeout_s)
            finally:
                self._waiting -= 1
            return self._version

    def _poll(self) -> None:
        pause_s = _POLL_S
        while not self._closed:
            self._needed.wait()
            try:
                version = self._look()
                pause_s = _POLL_S if version > self._version else min(pause_s + _MORE_S, SELDOM_S)
                self.grown_to(version)
            except Exception:  # the reader that is waiting will meet the same error, and say it
                sleep(_AFTER_ERROR_S)
            sleep(pause_s)
            with self._grown:
                if not self._waiting and not self._closed:
                    self._needed.clear()

    def close(self) -> None:
        """Let go of everybody who waits, and of the thread."""
        with self._grown:
            self._closed = True
            self._grown.notify_all()
        self._needed.set()
        if self._thread is not None:
            self._thread.join()
