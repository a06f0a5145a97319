"""The audit trail for an event loop: lines that come together are written together, with one sync."""

import asyncio
from collections import deque
from typing import Final

import structlog

from islet.model.time import Now
from islet.store.base import Act, Registry
from islet.store.refusals import Refusals

_MOST_TOGETHER: Final = 256
_log = structlog.get_logger("islet.gateways.trail")


class Trail:
    """One for all doors of a process. All methods belong to the loop's thread; `wall_now` dates the lines."""

    def __init__(self, registry: Registry, wall_now: Now) -> None:
        self._registry, self._wall_now = registry, wall_now
        self._asked: deque[tuple[Act, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._refusals = Refusals()

    def note(self, action: str, kind: str, id: str, by: str) -> "asyncio.Future[None]":
        """Done once the line is durable; raises what the disk said."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((Act(action, kind, id, by, self._wall_now()), durable))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="audit-trail")
        return durable

    def note_refusal(self, by: str, wanted: str, reason: str) -> None:
        """Somebody who is known wanted what they may not: a line for all alike within some minutes. Nobody waits."""
        if self._refusals.is_new((by, wanted), self._wall_now()):
            self.note(f"refused: {reason}", "request", wanted, by).add_done_callback(_refusal_noted)

    async def _write(self) -> None:
        try:
            while self._asked:
                group = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST_TOGETHER))]
                try:
                    await asyncio.to_thread(self._registry.note_all, [act for act, _ in group])
                except Exception as error:
                    _settle([durable for _, durable in group], error)
                else:
                    _settle([durable for _, durable in group], None)
        finally:
            self._writing = None


def _settle(waiting: "list[asyncio.Future[None]]", error: Exception | None) -> None:
    for durable in waiting:
        if durable.done():  # the caller has gone
            continue
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(error)


def _refusal_noted(durable: "asyncio.Future[None]") -> None:
    if not durable.cancelled() and durable.exception() is not None:
        _log.error("refusal_not_noted", error=type(durable.exception()).__name__)
