"""A meter's records come through whole, whatever is cut off, killed, erased or damaged."""

import asyncio
import contextlib
import tempfile
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.bridge.link import LinkLost
from islet.bridge.place import Places
from islet.bridge.run import Given, bridge
from islet.errors import BadInput, IsletError
from islet.model.events import Meal, Reading
from tests.bridge.memory import FrontDoor, Killed, MemoryRadio
from tests.bridge.sensors import Meter, Sent

ADDRESS = "C0:FF:EE:00:00:01"
GIVEN = Given(address=ADDRESS, zone=ZoneInfo("Europe/Vienna"))


async def run(radio: MemoryRadio, door: FrontDoor, directory: Path) -> int:
    """One connection of a bridge that has just been started."""
    return await bridge(radio, door, Places(directory, ADDRESS), GIVEN, lambda: 0)


def values(door: FrontDoor) -> list[float]:
    return [event.value for event in door.events if isinstance(event, Reading)]


async def test_only_what_is_new_is_handed_on_and_its_context_with_it(tmp_path: Path) -> None:
    meter, door = Meter(), FrontDoor()
    radio = MemoryRadio(meter)
    meter.measure("0.0067")
    meter.measure("0.0041", carbs="0.054")
    assert await run(radio, door, tmp_path) == 2
    first, second, meal = door.events
    assert isinstance(first, Reading)
    assert (first.value, first.unit, first.method) == (6.7, "mmol/L", "capillary")
    assert first.time.astimezone(UTC).isoformat() == "2026-11-20T23:00:00+00:00"
    assert isinstance(second, Reading)
    assert meal == Meal(time=second.time, carbs_g=54, text="breakfast")
    assert await run(radio, door, tmp_path) == 0
    meter.measure("0.0125")
    assert await run(radio, door, tmp_path) == 1
    assert values(door) == [6.7, 4.1, 12.5]


@settings(max_examples=40)  # each place is kept on the disk
@given(
    count=st.integers(1, 40),
    cuts=st.lists(st.none() | st.integers(0, 45), max_size=6),
    kills=st.lists(st.none() | st.integers(0, 45), max_size=6),
)
def test_cut_off_and_killed_anywhere_nothing_is_lost(
    count: int, cuts: list[int | None], kills: list[int | None]
) -> None:
    async def lived() -> None:
        meter, door = Meter(), FrontDoor()
        radio = MemoryRadio(meter)
        for _ in range(count):
            meter.measure("0.0067")
        with tempfile.TemporaryDirectory() as directory:
            for cut, kill in zip([*cuts, *[None] * len(kills), None], [*kills, *[None] * len(cuts), None], strict=True):
                radio.cuts, door.after = [cut], kill
                with contextlib.suppress(LinkLost, Killed):
                    await run(radio, door, Path(directory))
        assert {event.time for event in door.events} == {
            one.local_time.replace(tzinfo=ZoneInfo("Europe/Vienna")) for one, _ in meter.records if one.local_time
        }
        if not any(kill is not None for kill in kills):
            assert len(door.events) == count  # and nothing came twice

    asyncio.run(lived())


async def test_a_meal_that_was_cut_off_comes_later(tmp_path: Path) -> None:
    meter, door = Meter(), FrontDoor()
    radio = MemoryRadio(meter)
    meter.measure("0.0067", carbs="0.020")
    meter.measure("0.0050", carbs="0.054")
    radio.cuts = [3]  # between the second measurement and its context
    with pytest.raises(LinkLost):
        await run(radio, door, tmp_path)
    await run(radio, door, tmp_path)
    assert [event.carbs_g for event in door.events if isinstance(event, Meal)] == [20, 54]


async def test_after_a_meter_was_erased_its_new_records_come(tmp_path: Path) -> None:
    for erased_to in (1, 3, 5):  # fewer records than were known, as many, more
        meter, door = Meter(), FrontDoor()
        radio = MemoryRadio(meter)
        for _ in range(3):
            meter.measure("0.0067")
        await run(radio, door, tmp_path / str(erased_to))
        meter.records.clear()
        for number in range(erased_to):
            meter.measure("0.0050", minute=100 + 5 * number)
        assert await run(radio, door, tmp_path / str(erased_to)) == erased_to
        assert values(door) == [6.7] * 3 + [5.0] * erased_to


async def test_a_meter_that_cannot_choose_is_asked_for_all(tmp_path: Path) -> None:
    meter, door = Meter(only_all=True), FrontDoor()
    radio = MemoryRadio(meter)
    for _ in range(3):
        meter.measure("0.0067")
        await run(radio, door, tmp_path)
    assert values(door) == [6.7] * 3


async def test_a_record_that_was_damaged_once_is_asked_for_again(tmp_path: Path) -> None:
    meter, door = Meter(), FrontDoor()
    for value in ("0.0067", "0.0050", "0.0041"):
        meter.measure(value)
    meter.damage = [1]
    assert await run(MemoryRadio(meter), door, tmp_path) == 3
    assert values(door) == [6.7, 5.0, 4.1]


async def test_a_record_that_stays_damaged_does_not_stop_the_others(tmp_path: Path) -> None:
    meter, door = Meter(), FrontDoor()
    for value in ("0.0067", "0.0050", "0.0041"):
        meter.measure(value)
    meter.damage = [1, 1]
    assert await run(MemoryRadio(meter), door, tmp_path) == 2
    assert values(door) == [6.7, 4.1]


async def test_another_record_that_is_damaged_the_second_time_is_not_left_out(tmp_path: Path) -> None:
    class Unlucky(Meter):
        def written(self, characteristic: int, value: bytes) -> Sent:
            self.damage.append(next(turns))
            return super().written(characteristic, value)

    meter, door, turns = Unlucky(), FrontDoor(), iter((1, 2))
    for value in ("0.0067", "0.0050", "0.0041", "0.0055"):
        meter.measure(value)
    assert await run(MemoryRadio(meter), door, tmp_path) == 4
    assert values(door) == [6.7, 5.0, 4.1, 5.5]


async def test_a_meter_needs_a_zone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--zone"):
        await bridge(MemoryRadio(Meter()), FrontDoor(), Places(tmp_path, ADDRESS), Given(address=ADDRESS), lambda: 0)


def test_a_place_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "C0-FF-EE-00-00-01.json").write_bytes(b"{")
    with pytest.raises(IsletError, match="remove the file"):
        Places(tmp_path, ADDRESS)
