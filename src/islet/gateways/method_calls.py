"""Calls of a device's methods that it has yet to answer."""

import asyncio
import uuid
from typing import Final

from islet.gateways.presence import NoAnswer

MOST_METHOD_BYTES: Final = 128 * 1024


class MethodCalls:
    """Those of one connection, by the id that each is sent with. Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Future[tuple[int, bytes]]] = {}

    def begin(self) -> tuple[uuid.UUID, "asyncio.Future[tuple[int, bytes]]"]:
        """The id of a new call, and its answer: a status and a payload.

        No other call ever had it: a device that was cut off answers what it was asked before on its next connection.
        """
        call: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        id = uuid.uuid4()
        rid = str(id)
        self._calls[rid] = call
        call.add_done_callback(lambda _: self._calls.pop(rid, None))
        return id, call

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
