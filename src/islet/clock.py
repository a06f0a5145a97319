"""The clocks: the wall's, and the platform's, which may run fast in a demonstration."""

import time

from islet.model.time import Now


def wall_us() -> int:
    """The wall's clock. Credentials and certificates are checked against it, whatever the platform's clock says."""
    return time.time_ns() // 1000


def clock(speed: float, not_before_us: int) -> Now:
    """The platform's clock: the wall's, or `speed` times as fast, then beginning no earlier than the log's newest entry,
    so that a demonstration goes on where it ended."""
    if speed == 1.0:
        return wall_us
    began_ns = time.monotonic_ns()
    began_us = max(wall_us(), not_before_us)
    return lambda: began_us + int((time.monotonic_ns() - began_ns) * speed) // 1000
