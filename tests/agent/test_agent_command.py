"""`islet agent` as a command: what it needs, and what it refuses."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from islet.gateways.certificates import ensure_certificates, server_ssl_context
from islet.model.topics import Topic
from tests.gateways.door import Door, reading

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
HEAVY = ("numpy", "pyarrow", "numba", "apsw", "duckdb", "cryptography", "httpx", "starlette", "click", "structlog")


def test_it_imports_nothing_of_the_platform() -> None:
    script = f"import islet.agent.__main__, sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


def agent(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "islet.agent", "--folder", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_without_a_key_it_says_what_to_give(tmp_path: Path) -> None:
    refused = agent(tmp_path)
    assert refused.returncode == 1 and "--claim" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--platform", "https://a:port", "--claim", "x"), "https://islet.example:8443"),
        (("--platform", "https://[a", "--claim", "x"), "https://islet.example:8443"),
        (("--connection-string", f"HostName=a;DeviceId=a;SharedAccessKey={KEY}", "--mqtt", "a:99999"), "host:port"),
        (("--connection-string", "HostName=a;DeviceId=a;SharedAccessKey=?", "--mqtt", "a:1"), "base64"),
    ],
)
def test_what_cannot_be_understood_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    refused = agent(tmp_path, *words)
    assert refused.returncode == 1 and said in refused.stderr and "Traceback" not in refused.stderr


def test_two_do_not_share_a_folder(tmp_path: Path) -> None:
    text = f"HostName=localhost;DeviceId=a;SharedAccessKey={KEY}"
    command = [sys.executable, "-m", "islet.agent", "--folder", str(tmp_path), "--connection-string", text]
    command += ["--mqtt", "127.0.0.1:1", "--plain"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        try:
            assert first.stderr is not None and "front door" in first.stderr.readline()
            refused = agent(tmp_path, "--connection-string", text)
            assert refused.returncode == 1 and "another agent" in refused.stderr
        finally:
            first.terminate()
    assert first.returncode == 0


async def test_it_speaks_tls_and_sends_what_comes_on_standard_input(tmp_path: Path) -> None:
    real_us = time.time_ns() // 1000  # noqa: TID251 (OpenSSL checks certificates by the machine's clock)
    certificates = ensure_certificates(tmp_path / "tls", "localhost", real_us)
    async with Door.opened(hub="localhost", wall_now=lambda: real_us, tls=server_ssl_context(certificates)) as door:
        key = door.add_device("box-1").primary_key
        command = [sys.executable, "-m", "islet.agent", "--folder", str(tmp_path / "agent"), "--stdin"]
        command += ["--mqtt", f"localhost:{door.port}", "--authority", str(certificates.authority)]
        command += ["--connection-string", f"HostName=localhost;DeviceId=box-1;SharedAccessKey={key}"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        assert process.stdin is not None
        process.stdin.write(reading(101) + b"\n?\n" + reading(102))
        process.stdin.close()
        async with asyncio.timeout(20):
            while not door.rows(Topic.GLUCOSE_READINGS):
                await asyncio.sleep(0.05)
        process.terminate()
        _, said = await process.communicate()
        assert process.returncode == 0
        assert b"lines of the standard input that were refused: 1\n" in said
        assert door.rows(Topic.GLUCOSE_READINGS)[0]["value"] == 101
