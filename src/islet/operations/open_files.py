"""How many files and sockets the process may have open."""

import contextlib
import resource


def allow_as_many_as_may_be() -> None:
    """Raise the soft limit to the hard one. The usual 1,024 are fewer than devices that connect, and without a file
    left nothing is stored either. For who owns the process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited", and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
