"""Calls of a device's methods that it has yet to answer."""

import asyncio
from typing import Final

from islet.gateways.presence import NoAnswer

MOST_METHOD_BYTES: Final = 128 * 1024


class MethodCalls:
    """Those of one connection, by the number that each is sent with. Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._called = 0

    def begin(self) -> tuple[str, "asyncio.Future[tuple[int, bytes]]"]:
        """The number of a new call, and its answer: a status and a payload."""
        call: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._called += 1
        rid = f"{self._called:x}"
        self._calls[rid] = call
        call.add_done_callback(lambda _: self._calls.pop(rid, None))
        return rid, call

    def answer(self, rid: str, status: int, payload: bytes) -> None:
        """The device has answered; nobody is told where that is too late."""
        call = self._calls.get(rid)
        if call is not None and not call.done():
            call.set_result((status, payload))

    def fail(self) -> None:
        """The device has gone: there will be no answers."""
        for call in self._calls.values():
            if not call.done():
                call.set_exception(NoAnswer("The device went away before it answered."))
        self._calls = {}
