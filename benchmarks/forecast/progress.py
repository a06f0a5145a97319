"""A bar on a terminal; silence elsewhere."""

import sys


def bar(what: str, done: float) -> None:
    """Show that this share of something is done."""
    if sys.stderr.isatty():
        print(f"\r{what:<24} [{'#' * int(24 * done):<24}] {done:4.0%}", end="", file=sys.stderr, flush=True)


def no_bar() -> None:
    """Wipe it away."""
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
