"""The command as it is installed; other tests fork processes that have imported it already."""

import os
import socket
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


def test_a_port_that_is_taken_is_named_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        off = {"ISLET_HTTPS_PORT": "0", "ISLET_HTTP_PLAIN_PORT": str(free_port()), "ISLET_HOST": "127.0.0.1"}
        environment = {**os.environ, **off, "ISLET_DATA_DIR": str(tmp_path), "ISLET_MQTT_TLS_PORT": port}
        command = [str(Path(sys.executable).with_name("islet")), "serve"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=25)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
    assert "did_not_stop" not in ended.stdout + ended.stderr


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False
