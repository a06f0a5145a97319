"""Jobs over many devices with Microsoft's own SDKs, unmodified."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Missing, own_host
from tests.gateways.hub import Hub
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(91)


@pytest.fixture(autouse=True)
def devices(hub: Hub) -> None:
    for id in ("cgm-1", "pump-1"):
        hub.door.add_device(id)


async def python_script(hub: Hub, missing: Missing, name: str) -> None:
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(hub.certificates.authority)}
    command = [sys.executable, str(Path(__file__).with_name(name)), hub.service_text()]
    result = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
    )
    if result.returncode == 77:
        missing("azure-iot-hub")
    assert result.returncode == 0, result.stderr


def registry_file(directory: Path, container: str, name: str = "devices.txt") -> list[dict[str, object]]:
    """The lines of a file that an export has written."""
    text = (directory / "registry-files" / container / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_the_job_manager_for_python_exports_and_imports_the_registry(
    hub: Hub, missing: Missing, tmp_path: Path
) -> None:
    await python_script(hub, missing, "registry_jobs_sdk.py")
    exported = registry_file(tmp_path, "backup")
    assert [line["id"] for line in exported] == ["cgm-1", "pump-1"]
    kept = hub.door.registry.device("cgm-1")
    assert kept is not None and kept.primary_key in json.dumps(exported)
    assert kept.primary_key not in json.dumps(registry_file(tmp_path, "without-keys"))


async def test_the_registry_for_node_exports_imports_lists_and_cancels(
    hub: Hub, missing: Missing, tmp_path: Path
) -> None:
    require_node(missing)
    script = await Script.started(hub, "registry_jobs.js", hub.service_text())
    assert await script.said() == {
        "exported": "completed",
        "imported": "completed",
        "listed": 2,
        "cancelled": "completed",
    }
    assert await script.ended() == 0
    assert len(registry_file(tmp_path, "backup")) == 2


async def test_the_job_manager_for_python_starts_follows_and_cancels_jobs(hub: Hub, missing: Missing) -> None:
    await python_script(hub, missing, "jobs_sdk.py")


async def test_the_job_client_for_node_does_too_and_lists_them(hub: Hub, missing: Missing) -> None:
    require_node(missing)
    script = await Script.started(hub, "jobs.js", hub.service_text())
    assert await script.said() == {
        "status": "completed",
        "done": 2,
        "cancelled": "cancelled",
        "listed": ["calls", "twins"],
        "steps": [["cgm-1", "completed"], ["pump-1", "completed"]],
    }
    assert await script.ended() == 0
