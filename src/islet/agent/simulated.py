"""A simulated person whose sensor an agent reads, for demonstrations. Needs NumPy; loaded only when it is asked for."""

import asyncio
from typing import Final

from islet.agent.device import Device
from islet.agent.disk import QueueFull
from islet.agent.fleet import run_fleet
from islet.model.time import HOUR_US, Now
from islet.simulate.population import make_population

_LIVED_BEFORE_US: Final = 24 * HOUR_US


class _Kept:
    """Takes what the person's sensor says into the agent's queue."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def publish(self, payload: bytes) -> None:
        while True:
            try:
                self._device.take([payload])
                return
            except QueueFull:
                await asyncio.sleep(1.0)


async def measure(device: Device, now: Now) -> None:
    """Measure until cancelled; what was lived before is not sent."""
    population = make_population(1, 7, start_us=now() - _LIVED_BEFORE_US)
    await run_fleet(population, [_Kept(device)], now=now, send_from_us=now())
