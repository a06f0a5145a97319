"""A real agent in a process of its own, which a test may kill, and a sensor that speaks to its socket."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.platform.process import PlatformProcess

_ANSWERS_WITHIN_S = 10.0


class AgentProcess:
    """`islet agent` on a folder, at a platform with plain listeners; what it shows is added to `shown` (JSON lines)."""

    def __init__(self, folder: Path, platform: PlatformProcess, code: str, *more: str) -> None:
        self.folder, self.shown, self.socket = folder, folder / "shown", folder / "agent.sock"
        folder.mkdir()
        self._command = [
            *(sys.executable, "-m", "islet.agent", "--folder", str(folder), "--plain"),
            *("--mqtt", f"127.0.0.1:{platform.mqtt_port}", "--platform", platform.url, "--claim", code),
            *("--hook", f"cat >> {self.shown}"),
            *more,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(self._command, env=os.environ, stdout=output, stderr=output)

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._process = None
        return code

    def rss_kb(self) -> int:
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def cpu_s(self) -> float:
        """User and system CPU seconds that it has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def waiting(self) -> int:
        """Events that are not in the platform's log yet, by a copy: while it runs, its file is its own."""
        while True:
            with tempfile.TemporaryDirectory() as copy, contextlib.suppress(sqlite3.Error):  # it was written meanwhile
                for name in ("agent.db-wal", "agent.db"):
                    shutil.copy(self.folder / name, copy)
                with contextlib.closing(sqlite3.connect(Path(copy) / "agent.db")) as disk:
                    (left,) = disk.execute("SELECT count(*) FROM event").fetchone()
                return int(left)

    def told(self) -> list[dict[str, object]]:
        """What was shown to the patient."""
        return [json.loads(line) for line in self.shown.read_text().splitlines()] if self.shown.exists() else []


class Sensor:
    """Sends lines in order, each until the agent has said that it is safe; in a thread of its own."""

    def __init__(self, path: Path, lines: list[bytes], together: int = 50) -> None:
        self._path, self._lines, self._together = path, lines, together
        self.acknowledged = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self.acknowledged < len(self._lines):
            try:
                self._talk()
            except OSError:
                time.sleep(0.02)

    def _talk(self) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWERS_WITHIN_S)
            line.connect(str(self._path))
            with line.makefile("rb") as answers:
                while some := self._lines[self.acknowledged : self.acknowledged + self._together]:
                    line.sendall(b"\n".join(some) + b"\n")
                    for _ in some:
                        answer = answers.readline()
                        if not answer:
                            raise OSError
                        assert json.loads(answer) == {"ok": True}
                        self.acknowledged += 1
                    time.sleep(0.005)
