"""What is fuzzed: how good input looks, and what has to hold for any."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

Check = Callable[[bytes, Random], None]
"""Raises for a finding only: anything but the errors that the decoder promises, or a property that does not hold."""


class Target(NamedTuple):
    """One decoder. `tokens` are pieces that mean something to it."""

    name: str
    check: Check
    seeds: Sequence[bytes]
    tokens: Sequence[bytes] = ()
