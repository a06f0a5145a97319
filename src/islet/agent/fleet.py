"""Simulated people's devices: one MQTT connection each, to a real front door."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np
import structlog

from islet.errors import AccessDenied
from islet.model.codec import encode_event
from islet.model.events import DeviceStatus, Reading
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, Now, from_us
from islet.simulate.population import Population, Tick, care_events, tick

_log = structlog.get_logger("islet.agent")

_LIMITS: Final[dict[int, Literal["below", "within", "above"]]] = {-1: "below", 0: "within", 1: "above"}
_BATTERY_LASTS_US: Final = 10 * DAY_US
_STATUS_EVERY_US: Final = 6 * HOUR_US
_POLL_S: Final = 0.05
_TOGETHER: Final = 16  # events of one device under way at once


class Client(Protocol):
    """What a device needs of its connection."""

    async def publish(self, payload: bytes) -> None:
        """Return once the event is in the log."""


async def run_fleet(
    population: Population,
    clients: Sequence[Client],
    *,
    now: Now,
    send_from_us: int,
    until_us: int | None = None,
) -> int:
    """Let everybody live up to `now`, and on with it until `until_us` (None: until cancelled); how many events were
    acknowledged.

    `clients[i]` is the device of person i. Events before `send_from_us` are lived but not sent. A device that cannot
    send keeps its events, in order, until it can; one that is turned away sends no more, and the others go on.
    """
    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in clients]
    async with asyncio.TaskGroup() as group:
        senders = [group.create_task(_send_all(c, q)) for c, q in zip(clients, queues, strict=True)]
        while until_us is None or population.time_us < until_us:
            if population.time_us + population.interval_min * MINUTE_US > now():
                await asyncio.sleep(_POLL_S)
                continue
            for person, payload in _payloads(tick(population), send_from_us):
                if not senders[person].done():
                    queues[person].put_nowait(payload)
            await asyncio.sleep(0)
        for queue in queues:
            queue.put_nowait(None)
    return sum(sender.result() for sender in senders)


async def _send_all(client: Client, queue: "asyncio.Queue[bytes | None]") -> int:
    """Send what is queued, in order but for a few that are under way together, until None comes or the front door does
    not let the device in any more: it was disabled, or taken out. How many were acknowledged."""
    sent = 0
    while (payload := await queue.get()) is not None:
        together = [payload]
        while len(together) < _TOGETHER and not queue.empty():
            following = queue.get_nowait()
            if following is None:
                queue.put_nowait(None)
                break
            together.append(following)
        ends = await asyncio.gather(*(client.publish(one) for one in together), return_exceptions=True)
        errors = [end for end in ends if isinstance(end, BaseException)]
        sent += len(ends) - len(errors)
        if any(isinstance(error, AccessDenied) for error in errors):
            _log.info("device_turned_away")
            break
        if errors:
            raise errors[0]
    return sent


def _payloads(lived: Tick, send_from_us: int) -> list[tuple[int, bytes]]:
    """What each person's device has to say after an interval, as (person, JSON)."""
    payloads = []
    people = range(len(lived.cgm_mg_dl))
    if lived.acts_us >= send_from_us:
        payloads += [(person, encode_event(event)) for person, event in care_events(lived)]
    if lived.time_us >= send_from_us:
        time = from_us(lived.time_us)
        for person in np.flatnonzero(~np.isnan(lived.cgm_mg_dl)).tolist():
            value, limit = float(lived.cgm_mg_dl[person]), _LIMITS[int(lived.range[person])]
            reading = Reading(time=time, value=value, unit="mg/dL", range=limit)
            payloads.append((person, encode_event(reading)))
        if lived.time_us % _STATUS_EVERY_US < MINUTE_US:
            payloads += [(person, encode_event(_status(person, lived))) for person in people]
    return payloads


def _status(person: int, lived: Tick) -> DeviceStatus:
    """Battery: each device is charged every ten days, on its own day."""
    used = (lived.time_us + person * DAY_US) % _BATTERY_LASTS_US / _BATTERY_LASTS_US
    return DeviceStatus(time=from_us(lived.time_us), battery_percent=float(round(100 - 85 * used)))
