"""The bridge over a Bluetooth stack: a virtual controller, and sensors with the services of the profiles."""

# ruff: noqa: E402 - what follows `require` needs it

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from islet.bridge.place import Places
from islet.bridge.run import Given, bridge
from islet.decode import ble_cgm, ble_glucose
from islet.errors import IsletError
from islet.model.events import Meal, Reading
from islet.model.time import to_us
from tests.bridge.extra import require
from tests.bridge.memory import FrontDoor
from tests.bridge.sensors import MIDNIGHT, Meter, Sensor, WithBattery
from tests.platform.process import free_port

require("bumble")

from islet.bridge.bumble_radio import BumbleRadio
from islet.bridge.link import LinkLost
from islet.decode.ble_events import utc
from tests.bridge.virtual import SENSOR_ADDRESS, on_the_air

GIVEN = Given(address=SENSOR_ADDRESS, zone=ZoneInfo("Europe/Vienna"))


async def no_passkey() -> int:
    raise AssertionError("nobody is asked")


async def opened(port: int, directory: Path) -> BumbleRadio:
    return await BumbleRadio.open(f"tcp-client:127.0.0.1:{port}", directory, no_passkey)


async def test_a_meter_is_found_and_read(tmp_path: Path) -> None:
    meter, door, port = Meter(), FrontDoor(), free_port()
    for number in range(20):
        meter.measure("0.0067", carbs="0.054" if number == 7 else None)
    async with on_the_air(port, meter) as virtual:
        radio = await opened(port, tmp_path)
        [found] = await radio.scan(0.2)
        assert found.name == "Virtual sensor"
        assert found.services == {ble_glucose.SERVICE}
        virtual.cut_after = 9
        with pytest.raises(LinkLost):
            await bridge(radio, door, Places(tmp_path, GIVEN.address), GIVEN, lambda: 0)
        cut_off = len(door.events)
        assert 0 < cut_off < 20
        await bridge(radio, door, Places(tmp_path, GIVEN.address), GIVEN, lambda: 0)
        await radio.close()
    assert len([event for event in door.events if isinstance(event, Reading)]) == 20
    assert len([event for event in door.events if isinstance(event, Meal)]) == 1


async def test_a_sensor_is_read_and_followed(tmp_path: Path) -> None:
    sensor, door, port = Sensor(MIDNIGHT), FrontDoor(), free_port()
    sensor.measure(100, count=30)
    now_us = to_us(utc(MIDNIGHT))
    async with on_the_air(port, sensor, WithBattery(70)) as virtual:
        radio = await opened(port, tmp_path)
        places = Places(tmp_path, GIVEN.address)
        following = asyncio.create_task(bridge(radio, door, places, GIVEN, lambda: now_us + sensor.minute * 60_000_000))
        async with asyncio.timeout(10):
            while len(door.events) < 31:
                await asyncio.sleep(0.01)
            await virtual.tell(ble_cgm.MEASUREMENT, sensor.measure(120))
            while len(door.events) < 32:
                await asyncio.sleep(0.01)
            for connection in list(virtual.bumble.connections.values()):
                await connection.disconnect()
            assert await following == 30
        await radio.close()
    assert [event.value for event in door.events if isinstance(event, Reading)] == [100] * 30 + [120]


async def test_a_sensor_that_wants_to_be_paired_is_paired_once(tmp_path: Path) -> None:
    sensor, door, port = Sensor(MIDNIGHT), FrontDoor(), free_port()
    sensor.measure(100, count=3)
    now_us = to_us(utc(MIDNIGHT))
    asked = 0

    async def passkey() -> int:
        nonlocal asked
        asked += 1
        return 123_456

    async with on_the_air(port, sensor, passkey=123_456) as virtual:
        radio = await BumbleRadio.open(f"tcp-client:127.0.0.1:{port}", tmp_path, passkey)
        for pair, count in ((True, 3), (False, 0)):
            given = Given(address=SENSOR_ADDRESS, pair=pair)
            places = Places(tmp_path, SENSOR_ADDRESS)
            assert await bridge(radio, door, places, given, lambda: now_us, follow=False) == count
        assert virtual.pairings == asked == 1
        await radio.close()


async def test_without_being_paired_such_a_sensor_tells_nothing(tmp_path: Path) -> None:
    port = free_port()
    async with on_the_air(port, Sensor(MIDNIGHT), passkey=123_456):
        radio = await opened(port, tmp_path)
        with pytest.raises(LinkLost, match="refused"):
            await bridge(radio, FrontDoor(), Places(tmp_path, SENSOR_ADDRESS), Given(address=SENSOR_ADDRESS), lambda: 0)
        await radio.close()


async def test_a_controller_that_is_not_there_is_said(tmp_path: Path) -> None:
    for name in (f"tcp-client:127.0.0.1:{free_port()}", "carrier-pigeon:1"):
        with pytest.raises(IsletError, match="Bluetooth controller"):
            await BumbleRadio.open(name, tmp_path, no_passkey)
