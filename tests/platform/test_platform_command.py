"""The command as it is installed; other tests fork processes that have imported it already."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.platform.process import free_port


def test_the_installed_command_serves_until_it_is_asked_to_end(tmp_path: Path) -> None:
    port = free_port()
    off = dict.fromkeys(("ISLET_MQTT_TLS_PORT", "ISLET_HTTPS_PORT", "ISLET_MQTT_PLAIN_PORT"), "0")
    environment = {**os.environ, **off, "ISLET_DATA_DIR": str(tmp_path), "ISLET_HTTP_PLAIN_PORT": str(port)}
    command = Path(sys.executable).with_name("islet")
    with (tmp_path / "serve.log").open("wb") as output:
        process = subprocess.Popen([command, "serve"], env=environment, stdout=output, stderr=output)
        try:
            until = time.monotonic() + 60
            while not _is_ready(port) and time.monotonic() < until:
                assert process.poll() is None, output.name
                time.sleep(0.2)
            assert _is_ready(port)
            process.terminate()
            assert process.wait(30) == 0
            assert f"The portal is at http://127.0.0.1:{port}\n" in (tmp_path / "serve.log").read_text("utf-8")
        finally:
            process.kill()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False
