"""A real platform in a process of its own, which a test may kill.

The processes are forked from one that has imported the platform already: to import it costs two thirds of the CPU of a
start. What they run is the command itself.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

_START_S = 60.0
_SETTLE_S = 30.0


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["islet.cli", "islet.app"])


def _serve(environment: Mapping[str, str], output: Path) -> None:
    """`islet serve` in this process."""
    from islet.cli import main

    os.environ.clear()
    os.environ.update(environment)
    with output.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    main(["serve"])


class PlatformProcess:
    """`islet serve` on a data directory, with plain listeners on free ports."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.data_dir = data_dir
        self.mqtt_port, self.http_port = free_port(), free_port()
        self._environment = {
            **os.environ,
            "ISLET_DATA_DIR": str(data_dir),
            "ISLET_MQTT_TLS_PORT": "0",
            "ISLET_HTTPS_PORT": "0",
            "ISLET_MQTT_PLAIN_PORT": str(self.mqtt_port),
            "ISLET_HTTP_PLAIN_PORT": str(self.http_port),
            **(environment or {}),
        }
        self._process: ForkServerProcess | None = None
        self.url = f"http://{self.host}:{self.http_port}"
        # one for all questions: to read the authorities of the web for each costs more CPU than the answer
        self.http = httpx.Client(base_url=self.url, verify=False, timeout=_SETTLE_S)

    def start(self) -> None:
        """Start it; does not wait."""
        self._process = _FORKS.Process(target=_serve, args=(self._environment, self.data_dir / "serve.log"))
        self._process.start()

    def wait_until_ready(self, patience_s: float = _START_S) -> None:
        """Return once all its workers have caught up with their past."""
        until = time.monotonic() + patience_s
        assert self._process is not None
        while time.monotonic() < until:
            assert self._process.exitcode is None, f"islet serve ended: see {self.data_dir / 'serve.log'}"
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self._process.kill()  # or it would hold up the end of the tests
        raise AssertionError(f"islet serve is not ready after {patience_s:g} s: see {self.data_dir / 'serve.log'}")

    def wait_until_settled(self, patience_s: float = _SETTLE_S) -> None:
        """Return once the engine and the store have taken in everything."""
        until = time.monotonic() + patience_s
        lags: dict[str, int] = {}
        while time.monotonic() < until:
            lags = self._lags()
            if any("engine" in name for name in lags) and not any(lags.values()):
                return
            time.sleep(0.05)
        raise AssertionError(f"not settled after {patience_s:g} s: {lags}; see {self.data_dir / 'serve.log'}")

    def _lags(self) -> dict[str, int]:
        lines = self.http.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("islet_consumer_lag{"))
        return {name: int(float(value)) for name, value in pairs}

    def wait(self) -> int:
        """Wait for it to end by itself; its exit code."""
        return self._ended(_START_S)

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait for the graceful end; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        assert self._process.pid is not None
        os.kill(self._process.pid, number)
        return self._ended(_SETTLE_S)

    def _ended(self, patience_s: float) -> int:
        assert self._process is not None
        self._process.join(patience_s)
        code = self._process.exitcode
        assert code is not None, f"islet serve has not ended after {patience_s:g} s"
        self._process = None
        return code

    def cpu_s(self) -> float:
        """User and system CPU seconds that it has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
