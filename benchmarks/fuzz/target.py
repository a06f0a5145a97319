"""What is fuzzed: how good input looks, and what has to hold for any."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import NamedTuple

Check = Callable[[bytes, Random], None]
"""Raises for a finding only: anything but the errors that the decoder promises, or a property that does not hold."""


Opened = Callable[[], AbstractContextManager[Check]]


class Target(NamedTuple):
    """One decoder. `tokens` are pieces that mean something to it. Where `opened` is given, it makes the check."""

    name: str
    check: Check | None = None
    seeds: Sequence[bytes] = ()
    tokens: Sequence[bytes] = ()
    opened: Opened | None = None

    def ready(self) -> AbstractContextManager[Check]:
        """The check, for as long as it is needed."""
        if self.opened is not None:
            return self.opened()
        assert self.check is not None
        return nullcontext(self.check)
