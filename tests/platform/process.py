"""A real platform in a process of its own, which a test may kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import httpx

_START_S = 60.0


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


class PlatformProcess:
    """`islet serve` on a data directory, with plain listeners on free ports."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.mqtt_port, self.http_port = free_port(), free_port()
        self.output: IO[bytes] = (data_dir / "serve.log").open("ab")
        self._environment = {
            **os.environ,
            "ISLET_DATA_DIR": str(data_dir),
            "ISLET_MQTT_TLS_PORT": "0",
            "ISLET_HTTPS_PORT": "0",
            "ISLET_MQTT_PLAIN_PORT": str(self.mqtt_port),
            "ISLET_HTTP_PLAIN_PORT": str(self.http_port),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start it; does not wait."""
        command = [sys.executable, "-m", "islet.cli", "serve"]
        self._process = subprocess.Popen(command, env=self._environment, stdout=self.output, stderr=self.output)

    def wait_until_ready(self) -> None:
        """Return once all its workers have caught up with their past."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, f"islet serve ended: see {self.data_dir / 'serve.log'}"
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"islet serve is not ready after {_START_S:g} s: see {self.data_dir / 'serve.log'}")

    def lag(self) -> int:
        """Entries that the engine or the store have not taken in, by its metrics; counts as behind while it starts."""
        page = httpx.get(f"{self.url}/metrics").text
        lags = [line for line in page.splitlines() if line.startswith("islet_consumer_lag")]
        behind = [float(line.rsplit(" ", 1)[1]) for line in lags]
        engine = any('consumer="engine"' in line for line in lags)
        return int(sum(behind)) if engine else 1

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait for the graceful end; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._process = None
        return code
