"""The whole way: a virtual sensor, `islet bridge ble` in a process of its own that is killed, a platform, its log."""

# ruff: noqa: E402 - what follows `require` needs it

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from islet.access.sas import ConnectionString, format_connection_string
from islet.clock import wall_us
from islet.decode.ble_events import utc
from islet.model.people import Patient
from islet.model.time import from_us
from islet.model.topics import Topic
from islet.opened import opened_log, opened_registry
from islet.provision import ensure_worn
from islet.settings import Settings, load
from tests.bridge.extra import require
from tests.bridge.sensors import Sensor
from tests.platform.process import PlatformProcess, free_port

require("bumble")

from tests.bridge.virtual import SENSOR_ADDRESS, on_the_air

PATIENCE_S = 90  # two commands begin, each in a process of its own


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"ISLET_DATA_DIR": str(tmp_path), "ISLET_MQTT_TLS_PORT": str(free_port())})


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[PlatformProcess]:
    one = PlatformProcess(
        settings.data_dir, {"ISLET_MQTT_TLS_PORT": str(settings.mqtt_tls_port), "ISLET_ROLES": "gateway"}
    )
    one.start()
    await asyncio.to_thread(one.wait_until_ready)
    yield one
    one.kill()


def started() -> Sensor:
    """A sensor whose session began three hours ago by its own clock; of the last twenty minutes it has nothing yet."""
    began = from_us(wall_us()).replace(tzinfo=None, second=0, microsecond=0) - timedelta(hours=3)
    sensor = Sensor(began)
    sensor.measure(100, count=32)
    sensor.minute = 180
    return sensor


def times(settings: Settings) -> list[datetime]:
    """Of the readings in the log of a platform that was stopped."""
    found = []
    with opened_log(settings) as log:
        for partition, end in enumerate(log.end(Topic.GLUCOSE_READINGS)):
            offset = 0
            while offset < end:
                entries = log.read(Topic.GLUCOSE_READINGS, partition, offset)
                assert entries is not None
                found += [from_us(row["time_us"]) for row in entries.batch.to_pylist()]
                offset = entries.next_offset
    return sorted(found)


async def test_a_bridge_that_is_killed_goes_on_where_it_was_without_loss(
    platform: PlatformProcess, settings: Settings, tmp_path: Path
) -> None:
    with opened_registry(settings) as registry:
        device = ensure_worn(registry, Patient(id="p-1"), "cgm-1", settings.hub_name)
    key = tmp_path / "cgm-1"
    key.write_text(format_connection_string(ConnectionString(host="localhost", device="cgm-1", key=device.key)))
    ports, sensor = (free_port(), free_port()), started()
    command = [
        *(sys.executable, "-m", "islet.cli", "bridge", "ble", SENSOR_ADDRESS, "--device", str(key)),
        *("--authority", str(tmp_path / "certificates" / "authority.pem"), "--port", str(settings.mqtt_tls_port)),
        "--hci",
    ]
    environment = {**os.environ, "ISLET_DATA_DIR": str(tmp_path)}
    place = tmp_path / "bridge" / f"{SENSOR_ADDRESS.replace(':', '-')}.json"
    async with on_the_air(ports[0], sensor), asyncio.timeout(PATIENCE_S):
        first = await asyncio.create_subprocess_exec(*command, f"tcp-client:127.0.0.1:{ports[0]}", env=environment)
        while not place.exists() or b'"offset_min":160' not in place.read_bytes():
            await asyncio.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        sensor.minute = 160
        sensor.measure(110, count=4)
    async with on_the_air(ports[1], sensor), asyncio.timeout(PATIENCE_S):
        second = await asyncio.create_subprocess_exec(
            *command, f"tcp-client:127.0.0.1:{ports[1]}", "--once", env=environment, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await second.communicate()
        assert (second.returncode, said) == (0, b"4 records were handed on\n")
    assert await asyncio.to_thread(platform.stop) == 0
    assert sensor.start.utc is not None
    assert times(settings) == [utc(sensor.start.utc) + timedelta(minutes=one.offset_min) for one in sensor.records]
