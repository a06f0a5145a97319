"""What the device shows, sounds or does for its patient: lines on the console, or a command of the owner's."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from islet.decode.iothub_twins import JsonObject

HOOK_ENDS_WITHIN_S: Final = 30.0


class Outlet(Protocol):
    """Where prompts, warnings and signals go."""

    async def tell(self, kind: str, said: JsonObject) -> str:
        """Do it; "" once it is done, otherwise why it could not be. Must not raise.

        `kind` is prompt, warning, locate or interval.
        """


class Console:
    """A line of JSON for each."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def tell(self, kind: str, said: JsonObject) -> str:
        self._write(msgspec.json.encode({"kind": kind, **said}).decode())
        return ""


class Hook:
    """The owner's program, started for each; it gets the JSON on its standard input, and `ISLET_KIND`. Exit code 0 means
    done."""

    def __init__(self, command: str, ends_within_s: float = HOOK_ENDS_WITHIN_S) -> None:
        self._command, self._ends_within_s = command, ends_within_s

    async def tell(self, kind: str, said: JsonObject) -> str:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(
            self._command, stdin=pipe, env={**os.environ, "ISLET_KIND": kind}, start_new_session=True
        )
        try:
            line = msgspec.json.encode({"kind": kind, **said}) + b"\n"
            async with asyncio.timeout(self._ends_within_s):
                await process.communicate(line)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return f"the hook did not end within {self._ends_within_s:g} s"
        return "" if process.returncode == 0 else f"the hook ended with {process.returncode}"
