"""One process for each of the roles that must not run twice on one data directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from islet.errors import IsletError

SINGLE: Final = ("engine", "store", "notify", "jobs")
"""Two engines would say everything twice, two notifiers would page twice; gateways and pages may be many. `jobs` is held
while a nightly job runs, by the platform or by hand."""


@contextlib.contextmanager
def only_one(data_dir: Path, roles: Iterable[str]) -> Iterator[None]:
    """Hold the locks of those of `roles` that are SINGLE; the system lets go of them when the process ends, however.

    Raises IsletError when another process holds one.
    """
    with contextlib.ExitStack() as held:
        for role in sorted(set(roles) & set(SINGLE)):
            handle = os.open(data_dir / f"{role}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IsletError(
                    f"the role {role} already runs in another process on {data_dir}; stop that one first"
                ) from None
        yield


def runs(data_dir: Path) -> bool:
    """Whether a process of a platform holds a role on this data directory; nothing is made there. False for processes of
    gateways and pages alone, which hold none."""
    return any(_is_held(data_dir / f"{role}.lock") for role in SINGLE if role != "jobs")


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
