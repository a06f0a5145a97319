"""What takes seconds takes turns: all pages share some forty threads, and acknowledging an alarm is not to wait until one
person's reports are made. A report on paper needs some seconds of a processor and 100 MB."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool

from islet.errors import IsletError

AT_ONCE: Final = 2
WAITING: Final = 20
OF_ONE: Final = 3
"""Under way and waiting, of one person."""
RETRY_S: Final = 5

T = TypeVar("T")


class TooBusy(IsletError):
    """As much is being made as one person, or all together, may ask for at once."""

    def __init__(self) -> None:
        super().__init__("too much is being made at once; try again in a moment")


class Turns:
    """AT_ONCE at a time, and WAITING that wait, first come first served; at most OF_ONE of a person. For one event loop."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING, of_one: int = OF_ONE) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most, self._of_one = at_once + waiting, of_one
        self._asked = Counter[str]()

    async def run(self, owner: str, work: Callable[[], T]) -> T:
        """What `work` gives, run in a thread when it is its turn. Raises TooBusy at once, or what it raises."""
        if self._asked[owner] >= self._of_one or self._asked.total() >= self._most:
            raise TooBusy
        self._asked[owner] += 1
        try:
            async with self._turn:
                return await run_in_threadpool(work)
        finally:
            self._asked[owner] -= 1
            if not self._asked[owner]:
                del self._asked[owner]
