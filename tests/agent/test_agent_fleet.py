"""Simulated people's devices: everything that is lived is sent, in order, as events that the front door understands."""

import asyncio

import pytest

from islet.agent.fleet import run_fleet
from islet.errors import AccessDenied
from islet.model.codec import decode_event
from islet.model.events import AnyEvent, DeviceStatus, Reading
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, to_us
from islet.simulate.population import make_population

START_US = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
PEOPLE = 5


class Front:
    """A front door that acknowledges after a turn of the loop, and keeps what came."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    async def publish(self, payload: bytes) -> None:
        await asyncio.sleep(0)
        self.events.append(decode_event(payload))


async def lived(*, send_from_us: int, until_us: int) -> list[Front]:
    population = make_population(PEOPLE, 7, start_us=START_US)
    doors = [Front() for _ in range(PEOPLE)]
    sent = await run_fleet(
        population, doors, now=lambda: START_US + 2 * DAY_US, send_from_us=send_from_us, until_us=until_us
    )
    assert sent == sum(len(door.events) for door in doors)
    return doors


async def test_a_day_of_readings_arrives_in_order_for_everybody() -> None:
    for door in await lived(send_from_us=START_US, until_us=START_US + DAY_US):
        times = [to_us(event.time) for event in door.events if isinstance(event, Reading)]
        assert times == sorted(set(times))
        assert 400 <= len(times) <= 480  # every three minutes, but for dropouts
        assert any(isinstance(event, DeviceStatus) for event in door.events)


async def test_what_was_lived_before_the_beginning_is_not_sent() -> None:
    begin_us = START_US + 6 * HOUR_US
    for door in await lived(send_from_us=begin_us, until_us=begin_us + HOUR_US):
        assert all(to_us(event.time) >= begin_us for event in door.events)
        assert sum(isinstance(event, Reading) for event in door.events) >= 15


async def test_nobody_lives_ahead_of_the_clock() -> None:
    now_us = START_US + HOUR_US
    population = make_population(1, 7, start_us=START_US)
    front = Front()
    running = asyncio.create_task(run_fleet(population, [front], now=lambda: now_us, send_from_us=START_US))
    while population.time_us + 3 * MINUTE_US <= now_us or len(front.events) < 10:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert max(to_us(event.time) for event in front.events) <= now_us


async def test_one_that_is_turned_away_sends_no_more_and_the_others_go_on() -> None:
    class Turned(Front):
        async def publish(self, payload: bytes) -> None:
            if len(self.events) >= 40:
                raise AccessDenied("no more")
            await super().publish(payload)

    population = make_population(2, 7, start_us=START_US)
    doors = [Turned(), Front()]
    until_us = START_US + DAY_US
    sent = await run_fleet(population, doors, now=lambda: until_us, send_from_us=START_US, until_us=until_us)
    assert sent == sum(len(door.events) for door in doors)
    assert len(doors[0].events) == 40 and len(doors[1].events) > 400


async def test_what_else_goes_wrong_is_not_passed_over() -> None:
    class Broken(Front):
        async def publish(self, payload: bytes) -> None:
            raise OSError("the cable")

    population = make_population(1, 7, start_us=START_US)
    with pytest.raises(ExceptionGroup) as found:
        await run_fleet(population, [Broken()], now=lambda: START_US + DAY_US, send_from_us=START_US)
    assert isinstance(found.value.exceptions[0], OSError)
