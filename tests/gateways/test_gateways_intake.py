"""What every gateway relies on: each offer is told of exactly once, whatever happens to the others."""

import asyncio

from islet.decode.telemetry import Arrival
from islet.gateways.intake import Intake
from islet.model.topics import Topic
from tests.gateways.door import Door, reading


async def test_one_who_raises_when_told_does_not_cost_the_others_their_acknowledgement(door: Door) -> None:
    told: list[int] = []

    def broken(number: int, error: Exception | None) -> None:
        raise RuntimeError("a fault of a gateway")

    door.log.gate.clear()
    for number, tell in enumerate(
        (lambda number, _: told.append(number), broken, lambda number, _: told.append(number))
    ):
        door.intake.offer(Arrival("cgm-1", "p-1", reading(101 + number)), tell, number)
    door.log.gate.set()
    await door.intake.settled()
    assert told == [0, 2]


async def test_offers_of_a_group_are_told_in_their_order_with_what_the_commit_raised(door: Door) -> None:
    told: list[tuple[int, Exception | None]] = []

    def done(number: int, error: Exception | None) -> None:
        told.append((number, error))

    failure = OSError("the disk is full")
    for number in range(100):
        door.log.error = failure if number >= 50 else None
        door.intake.offer(Arrival("cgm-1", "p-1", reading(100 + number)), done, number)
        if number in (49, 99):
            await door.intake.settled()
    assert told == [(number, None if number < 50 else failure) for number in range(100)]
    assert (door.intake.accepted, door.intake.failed) == (50, 50)
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 50


async def test_crowded_means_that_more_waits_than_should_be_in_memory(door: Door) -> None:
    async with Door.opened(most_bytes=1000) as small:
        small.log.gate.clear()
        crowded = [small.intake.offer(Arrival("d", "p-1", bytes(300)), lambda *_: None, None) for _ in range(3)]
        assert crowded == [False, False, True]
        small.log.gate.set()
        await small.intake.settled()
        assert not small.intake.crowded


def test_the_writer_is_woken_once_for_each_group_and_told_of_plenty() -> None:
    woken: list[bool] = []

    class Writer:
        def add_source(self, source: object) -> None: ...

        def wake(self, *, plenty: bool = False) -> None:
            woken.append(plenty)

    intake = Intake(Writer(), lambda *_: None, future_us=0)
    for number in range(2):
        for _ in range(600):
            intake.offer(Arrival("cgm-1", "p-1", b"?"), lambda *_: None, None)
        assert woken == [False, True] * (number + 1)
        assert intake.drain(0) is not None


async def test_settled_returns_at_once_when_nothing_is_under_way(door: Door) -> None:
    async with asyncio.timeout(1):
        await door.intake.settled()
