"""CPU seconds of a program and of all that it starts, whether it waits for them or not (Linux)."""

import ctypes
import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

_PR_SET_CHILD_SUBREAPER: Final = 36


class Cost(NamedTuple):
    """What a run took; `code` is the program's exit code."""

    cpu_s: float
    wall_s: float
    code: int


def measured(command: Sequence[str], environment: Mapping[str, str], log: Path, timeout_s: float) -> Cost:
    """Run a program to its end, its words going to `log`. Raises TimeoutExpired after ending it and its children."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become our children, and are counted
    before, began = _children_s(), monotonic()
    with log.open("wb") as words:
        program = subprocess.Popen(
            command, env=environment, stdout=words, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, process_group=0
        )
        try:
            code = program.wait(timeout_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, 9)
            _reap()
    return Cost(_children_s() - before, monotonic() - began, code)


def _reap() -> None:
    """Wait for everybody who is left; there are no children but those of this run."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
