"""Last wills that wait a while before they are said (OASIS MQTT Version 5.0, 3.1.3.2.2)."""

import asyncio
from collections.abc import Callable


class Wills:
    """One for all connections of a process; all methods belong to the loop's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}

    def leave(self, client_id: str, delay_s: float, say: Callable[[], None]) -> None:
        """`say` it when the delay is over, unless the client comes back before."""
        self.is_back(client_id, clean=True)
        timer = asyncio.get_running_loop().call_later(delay_s, self.is_back, client_id, True)
        self._waiting[client_id] = timer, say

    def is_back(self, client_id: str, clean: bool) -> None:
        """The client is there again, and nothing is said [MQTT-3.1.3-9]; where it begins anew (`clean`), its earlier
        session has ended, and with it the delay."""
        timer, say = self._waiting.pop(client_id, (None, None))
        if timer is not None and say is not None:
            timer.cancel()
            if clean:
                say()

    def say_all(self) -> None:
        """The process ends, and nobody would remember them."""
        for client_id in list(self._waiting):
            self.is_back(client_id, clean=True)
