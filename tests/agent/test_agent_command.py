"""`islet agent` as a command: what it needs, and what it refuses."""

import subprocess
import sys
from pathlib import Path

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
