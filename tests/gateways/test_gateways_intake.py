"""What every gateway relies on: each offer is told of exactly once, whatever happens to the others."""

import asyncio
from collections.abc import Sequence

import pytest

from islet.decode.telemetry import Arrival, Decoded, decode_arrivals
from islet.gateways.intake import Intake, properties_bytes
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


async def test_arrivals_that_cannot_be_decoded_together_are_told_so(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, Exception | None] = {}

    def faulty(arrivals: Sequence[Arrival], now_us: int, future_us: int) -> Decoded:
        if len(arrivals) > 1:
            raise RuntimeError("a fault of ours")
        return decode_arrivals(arrivals, now_us, future_us)

    monkeypatch.setattr("islet.gateways.intake.decode_arrivals", faulty)
    door.log.gate.clear()
    for number in range(4):
        door.intake.offer(Arrival("cgm-1", "p-1", reading(101)), told.__setitem__, number)
    door.log.gate.set()
    await door.intake.settled()
    assert len(told) == 4
    assert door.intake.accepted + door.intake.failed == 4


async def test_a_device_whose_clock_is_not_set_gets_a_dead_letter_whatever_it_says_of_itself(door: Door) -> None:
    arrival = Arrival("import", "p-1", reading(100, time="1989-12-31T23:59:59Z"), {"import": "1", "since_us": "0"})
    door.intake.offer(arrival, lambda *_: None, None)
    await door.intake.settled()
    assert door.rows(Topic.GLUCOSE_READINGS) == []
    assert [row["type"] for row in door.rows(Topic.DEAD_LETTERS)] == ["past"]


async def test_crowded_means_that_more_waits_than_should_be_in_memory(door: Door) -> None:
    async with Door.opened(most_bytes=1000) as small:
        small.log.gate.clear()
        crowded = [small.intake.offer(Arrival("d", "p-1", bytes(300)), lambda *_: None, None) for _ in range(3)]
        assert crowded == [False, False, True]
        small.log.gate.set()
        await small.intake.settled()
        assert not small.intake.crowded


async def test_what_stands_beside_a_payload_is_in_memory_too(door: Door) -> None:
    async with Door.opened(most_bytes=10_000) as small:
        small.log.gate.clear()
        arrivals = [Arrival("cgm-1", "p-1", b"{}", {"note": "x" * 9_000})]
        beside = properties_bytes(arrivals)
        assert not small.intake.offer_all(arrivals, lambda _, __: None, None, beside)
        assert small.intake.offer_all(arrivals, lambda _, __: None, None, beside)
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


async def test_what_is_nested_deeper_than_can_be_read_is_a_dead_letter_and_costs_nobody_else_anything(
    door: Door,
) -> None:
    told: list[tuple[str, Exception | None]] = []
    deep = b'{"type":"note","time":"2026-11-21T08:00:00Z","text":"-","more":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_001
    door.log.gate.clear()
    for device, payload in (("cgm-1", reading(101)), ("cgm-bad", deep), ("cgm-2", reading(102))):
        door.intake.offer(Arrival(device, "p-1", payload), lambda one, error: told.append((one, error)), device)
    door.log.gate.set()
    await door.intake.settled()
    assert told == [("cgm-1", None), ("cgm-bad", None), ("cgm-2", None)]
    assert [row["device"] for row in door.rows(Topic.DEAD_LETTERS)] == ["cgm-bad"]


async def test_an_arrival_that_cannot_be_decoded_by_our_fault_costs_no_other_its_acknowledgement(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Exception | None] = {}

    def faulty(arrivals: Sequence[Arrival], now_us: int, future_us: int) -> Decoded:
        if any(one.device == "cgm-bad" for one in arrivals):
            raise RuntimeError("a fault of ours")
        return decode_arrivals(arrivals, now_us, future_us)

    monkeypatch.setattr("islet.gateways.intake.decode_arrivals", faulty)
    door.log.gate.clear()
    for device in ("cgm-0", "cgm-1", "cgm-bad", "cgm-2"):
        door.intake.offer(Arrival(device, "p-1", reading(101)), told.__setitem__, device)
    door.log.gate.set()
    await door.intake.settled()
    assert [device for device, error in told.items() if error is None] == ["cgm-0", "cgm-1", "cgm-2"]
    assert isinstance(told["cgm-bad"], RuntimeError)
    assert (door.intake.accepted, door.intake.failed) == (3, 1)
