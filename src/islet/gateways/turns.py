"""Requests of one connection that take a while: a few at a time, the rest in their turn."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_REQUESTS: Final = 32
"""Of one connection that may be under way."""


class Turns:
    """Begins requests in their order, while fewer than MOST_REQUESTS are under way and the peer reads its answers: each
    may be a thousand times as long as what asks for it, and a thousand come in one piece.

    `hold` is told whether the peer should be read no further, `choked` tells whether it does not read.
    """

    def __init__(self, hold: Callable[[bool], None], choked: Callable[[], bool]) -> None:
        self._hold, self._choked = hold, choked
        self._waiting: deque[Callable[[], None]] = deque()
        self._under_way = 0
        self._held = False

    def ask(self, begin: "Callable[[], asyncio.Future[T]]", done: "Callable[[asyncio.Future[T]], None]") -> None:
        """Begin it now or later; `done` is called with what `begin` has returned."""

        def ended(future: "asyncio.Future[Any]") -> None:
            self._under_way -= 1
            done(future)
            self.go_on()

        def go() -> None:
            self._under_way += 1
            begin().add_done_callback(ended)

        self._waiting.append(go)
        self.go_on()

    def go_on(self) -> None:
        """Something has changed: begin what may be begun."""
        while self._waiting and self._under_way < MOST_REQUESTS and not self._choked():
            self._waiting.popleft()()
        held = bool(self._waiting) or self._under_way >= MOST_REQUESTS
        if held is not self._held:
            self._held = held
            self._hold(held)

    def ended(self) -> None:
        """The peer has gone. What it was told that we took is still done, and its answers are for nobody."""
        self._choked = lambda: False
        self.go_on()
