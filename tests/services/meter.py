"""What a run costs: CPU seconds of all processes of its session, looked at a few times a second (Linux)."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.2


class Meter:
    """Looks from its start on until `stop`."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        """Instants (s since 1970) and CPU seconds used until then."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[tuple[float, float]]:
        self._ended.set()
        self._thread.join()
        return self.seen

    def _run(self) -> None:
        while not self._ended.is_set():
            self.seen.append((time.time(), session_cpu_s()))  # noqa: TID251
            self._ended.wait(_EVERY_S)


def session_cpu_s() -> float:
    """CPU seconds of the processes of this session, and of those of their children that have ended."""
    session, total = os.getsid(0), 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session:
                total += sum(map(int, fields[11:15]))  # its own and its children's, in user and system mode
    return total / _TICKS
