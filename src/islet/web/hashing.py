"""Password checks take turns: argon2 needs 64 MiB and some 50 ms of the processor for each."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool

AT_ONCE: Final = 2
WAITING: Final = 40
"""About a second of them. More would wait longer than a person at a log-in page does."""
RETRY_S: Final = 2

T = TypeVar("T")


class Hashing:
    """AT_ONCE checks at a time, and WAITING that wait for their turn, first come first served. For one event loop."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._room = at_once + waiting

    @property
    def full(self) -> bool:
        """Whether one more would be too many; ask before `run`, without an await between."""
        return self._room <= 0

    async def run(self, check: Callable[[], T]) -> T:
        """What `check` gives, run in a thread when it is its turn."""
        self._room -= 1
        try:
            async with self._turn:
                return await run_in_threadpool(check)
        finally:
            self._room += 1
