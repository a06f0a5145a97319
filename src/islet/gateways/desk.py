"""Writes to a store of the device side from an event loop: in the order they are asked for, many with one sync."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from islet.store.devices_base import Devices

_MOST_TOGETHER = 256
Result = TypeVar("Result")
_Asked = tuple[Callable[[], Any], asyncio.Future[Any]]
_Told = tuple[asyncio.Future[Any], Any, Exception | None]


class Desk:
    """One thread that does everybody's calls. All methods belong to the loop's thread; made in the running loop."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._loop = asyncio.get_running_loop()
        self._asked: deque[_Asked] = deque()
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="device-desk", daemon=True)
        self._thread.start()

    def ask(self, act: Callable[[], Result]) -> asyncio.Future[Result]:
        """What `act` returns, once what it wrote is durable; raises what it raised, or what the disk said."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self._asked.append((act, future))
        self._woken.set()
        return future

    async def close(self) -> None:
        """Do what was asked, then end."""
        self._closing = True
        self._woken.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            while self._asked:
                group = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST_TOGETHER))]
                self._loop.call_soon_threadsafe(_tell, self._do(group))
            if self._closing:
                return

    def _do(self, group: list[_Asked]) -> list[_Told]:
        told: list[_Told] = []
        try:
            with self._devices.together():
                for act, future in group:
                    try:
                        told.append((future, act(), None))
                    except Exception as error:
                        told.append((future, None, error))
        except Exception as error:  # nothing of the group is durable
            return [(future, None, error) for _, future in group]
        return told


def _tell(told: list[_Told]) -> None:
    for future, result, error in told:
        if future.done():  # the caller has gone
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
