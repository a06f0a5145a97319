"""A sensor's session comes through whole: what it has stored, what it measures, and what becomes of it."""

import asyncio
import contextlib
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.bridge.link import LinkLost
from islet.bridge.place import Places
from islet.bridge.run import Given, bridge
from islet.decode import ble_cgm
from islet.decode.ble_cgm import CgmStatus
from islet.decode.ble_events import utc
from islet.model.events import DeviceStatus, Reading
from islet.model.time import to_us
from tests.bridge.memory import FrontDoor, Killed, MemoryRadio
from tests.bridge.sensors import MIDNIGHT, Sensor, Sent, WithBattery

GIVEN = Given(address="C0:FF:EE:00:00:02")
START = utc(MIDNIGHT)


class Wearing:
    """A sensor, its bridge and the front door; the wall's clock is the sensor's, `ahead` of it."""

    def __init__(self, directory: Path, sensor: Sensor, ahead: timedelta = timedelta(0)) -> None:
        self.directory, self.sensor, self.ahead = directory, sensor, ahead
        self.door = FrontDoor()
        self.radio = MemoryRadio(sensor, WithBattery(80))

    def now(self) -> int:
        return to_us(START + timedelta(minutes=self.sensor.minute) + self.ahead)

    async def run(self, *, follow: bool = False) -> int:
        places = Places(self.directory, GIVEN.address)
        return await bridge(self.radio, self.door, places, GIVEN, self.now, follow=follow)

    async def notified(self, octets: bytes, count: int) -> None:
        """The sensor tells by itself; until that many readings are at the door."""
        assert self.radio.link is not None
        self.radio.link.notify(ble_cgm.MEASUREMENT, octets)
        async with asyncio.timeout(5):
            while len(self.values) < count:
                await asyncio.sleep(0)

    @property
    def values(self) -> list[float]:
        return [event.value for event in self.door.events if isinstance(event, Reading)]

    @property
    def times(self) -> list[datetime]:
        return [event.time for event in self.door.events if isinstance(event, Reading)]

    @property
    def statuses(self) -> list[str]:
        return [event.status for event in self.door.events if isinstance(event, DeviceStatus)]


@pytest.mark.parametrize("has_crc", [True, False])
async def test_what_is_stored_is_handed_on_and_then_what_is_measured(tmp_path: Path, has_crc: bool) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT, has_crc=has_crc))
    one.sensor.measure(100, count=3)
    following = asyncio.create_task(one.run(follow=True))
    async with asyncio.timeout(5):
        while len(one.values) < 3:
            await asyncio.sleep(0)
    await one.notified(one.sensor.measure(120), 4)
    await one.notified(one.sensor.measure(130, status=CgmStatus.ABOVE_RANGE), 5)
    assert one.radio.link is not None
    await one.radio.link.close()
    assert await following == 3
    assert one.values == [100, 100, 100, 120, 130]
    assert one.times == [START + timedelta(minutes=5 * number) for number in range(1, 6)]
    assert [event.range for event in one.door.events if isinstance(event, Reading)] == ["within"] * 4 + ["above"]
    [status] = [event for event in one.door.events if isinstance(event, DeviceStatus)]
    assert (status.status, status.battery_percent) == ("ok", 80)


async def test_a_gap_is_filled_and_nothing_comes_twice(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100, count=3)
    assert await one.run() == 3
    one.sensor.measure(110, count=20)  # out of reach
    assert await one.run() == 20
    assert await one.run() == 0
    assert one.values == [100] * 3 + [110] * 20


@settings(max_examples=40)  # each place is kept on the disk
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 12), st.none() | st.integers(0, 14), st.none() | st.integers(0, 14)), max_size=6
    )
)
def test_cut_off_and_killed_anywhere_nothing_of_a_session_is_lost(
    steps: list[tuple[int, int | None, int | None]],
) -> None:
    async def lived() -> None:
        with tempfile.TemporaryDirectory() as directory:
            one = Wearing(Path(directory), Sensor(MIDNIGHT))
            for count, cut, kill in [*steps, (1, None, None)]:
                if count:
                    one.sensor.measure(100, count=count)
                one.radio.cuts, one.door.after = [cut], kill
                with contextlib.suppress(LinkLost, Killed):
                    await one.run()
            every = [START + timedelta(minutes=record.offset_min) for record in one.sensor.records]
            assert sorted(set(one.times)) == every
            if all(kill is None for _, _, kill in steps):
                assert one.times == every

    asyncio.run(lived())


async def test_a_damaged_record_is_asked_for_again(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100, count=4)
    one.sensor.damage = [10]
    assert await one.run() == 4


async def test_another_record_that_is_damaged_the_second_time_is_not_left_out(tmp_path: Path) -> None:
    class Unlucky(Sensor):
        def written(self, characteristic: int, value: bytes) -> Sent:
            self.damage.append(next(turns))
            return super().written(characteristic, value)

    one, turns = Wearing(tmp_path, Unlucky(MIDNIGHT)), iter((10, 15))
    one.sensor.measure(100, count=4)
    assert await one.run() == 4


async def test_a_damaged_notification_is_asked_for_again(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100)
    following = asyncio.create_task(one.run(follow=True))
    async with asyncio.timeout(5):
        while not one.values:
            await asyncio.sleep(0)
    octets = bytearray(one.sensor.measure(110))
    octets[3] ^= 1
    await one.notified(bytes(octets), 2)
    following.cancel()
    assert one.values == [100, 110]


async def test_a_new_sensor_begins_a_session_of_its_own(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100, count=3)
    await one.run()
    other = Wearing(tmp_path, Sensor(MIDNIGHT + timedelta(days=10)), ahead=timedelta(days=10))
    other.sensor.measure(110, count=2)
    assert await other.run() == 2
    assert other.times[0] == START + timedelta(days=10, minutes=5)


async def test_a_session_that_begins_while_the_sensor_is_followed_is_followed(tmp_path: Path) -> None:
    """Stopped and started at the sensor or by another collector, without letting the bridge go."""
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100, count=3)
    following = asyncio.create_task(one.run(follow=True))
    async with asyncio.timeout(5):
        while len(one.values) < 3:
            await asyncio.sleep(0)
    one.sensor.records, one.sensor.minute, one.ahead = [], 0, timedelta(days=1)
    one.sensor.start = ble_cgm.CgmSessionStart(local_time=MIDNIGHT + timedelta(days=1), ahead=timedelta(0))
    await one.notified(one.sensor.measure(110), 4)
    await one.notified(one.sensor.measure(120), 5)
    following.cancel()
    assert one.values == [100] * 3 + [110, 120]
    assert one.times[3:] == [START + timedelta(days=1, minutes=5 * number) for number in (1, 2)]


async def test_a_sensor_without_time_is_given_it(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(None))
    one.sensor.measure(100, count=3)
    await one.run()
    assert one.sensor.start.utc == MIDNIGHT
    assert one.times[0] == START + timedelta(minutes=5)


@pytest.mark.parametrize("ahead", [None, timedelta(0)])
async def test_a_sensor_whose_clock_is_wrong_is_dated_by_ours_and_stays_so(
    tmp_path: Path, ahead: timedelta | None
) -> None:
    """Its zone is not told; or it is an hour off, as when summer time was understood in another way."""
    one = Wearing(tmp_path, Sensor(MIDNIGHT + timedelta(hours=1), ahead=ahead))
    one.sensor.measure(100, count=3)
    await one.run()
    assert one.times[0] == START + timedelta(minutes=5)
    one.ahead = timedelta(minutes=30)  # it is slow: the session keeps the time that it has
    one.sensor.measure(100)
    await one.run()
    assert one.times == [START + timedelta(minutes=5 * number) for number in range(1, 5)]


async def test_a_session_whose_clock_is_set_stays_the_same(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100, count=3)
    await one.run()
    one.sensor.start = ble_cgm.CgmSessionStart(local_time=MIDNIGHT + timedelta(hours=1), ahead=timedelta(hours=1))
    one.sensor.measure(100)
    assert await one.run() == 1
    one.sensor.start = ble_cgm.CgmSessionStart(local_time=MIDNIGHT + timedelta(minutes=2), ahead=timedelta(0))
    one.sensor.measure(100)
    assert await one.run() == 1
    assert one.times == [START + timedelta(minutes=5 * number) for number in range(1, 6)]


async def test_the_end_of_a_session_and_a_failure_are_told_once(tmp_path: Path) -> None:
    one = Wearing(tmp_path, Sensor(MIDNIGHT))
    one.sensor.measure(100)
    await one.run()
    for status in (CgmStatus.MALFUNCTION, CgmStatus.SESSION_STOPPED):
        one.sensor.status = status
        one.sensor.measure(100, status=status)
        await one.run()
        await one.run()
    assert one.statuses == ["ok", "sensor_failed", "sensor_expired"]
    assert len(one.values) == 2  # not the one that failed
