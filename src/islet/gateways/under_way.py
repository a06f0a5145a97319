"""Tasks that nobody awaits: asyncio forgets those that nobody holds."""

import asyncio
from collections.abc import Coroutine


class UnderWay:
    """What was begun and is not done; its length is their number."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
