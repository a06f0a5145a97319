"""The whole path on a whole platform: an official SDK, a real person's recording, a graceful stop."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.exceptions import CredentialError
from click.testing import CliRunner

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import ConnectionString, format_connection_string, new_key
from islet.cli import main
from islet.clock import wall_us
from islet.model.events import Reading
from islet.model.people import Patient, Role, User
from islet.model.time import HOUR_US, MINUTE_US, from_us, iso
from islet.opened import opened_registry
from islet.provision import PlatformClock, ensure_worn
from islet.replay import moved
from islet.settings import Settings, load
from tests.conftest import Missing, need_ports, own_host
from tests.platform.process import PlatformProcess

HOST = own_host(84)
READINGS = 1000
"""Rises from 50 in steps of 0.2 mg/dL: a low at first, a high at the end."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "ISLET_DATA_DIR": str(tmp_path),
        "ISLET_HOST": HOST,
        "ISLET_HUB_NAME": HOST,
        "ISLET_MQTT_TLS_PORT": "8883",
        "ISLET_HTTPS_PORT": "8443",
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load(None, environment)


@pytest.fixture
def platform(environment: dict[str, str], tmp_path: Path, missing: Missing) -> Iterator[PlatformProcess]:
    need_ports(missing, HOST, 8883)
    one = PlatformProcess(tmp_path, environment, host=HOST)
    one.start()
    yield one
    one.kill()


def token(settings: Settings) -> str:
    """An application's token to everything."""
    secret = new_token()
    with opened_registry(settings) as registry:
        user = User(name="test", role=Role.ADMINISTRATOR, password_hash=hash_password(new_token()))
        registry.put_user(user)
        registry.create_session(token_hash(secret), "test", wall_us() + HOUR_US)
    return secret


@pytest.fixture
async def http(platform: PlatformProcess, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    platform.wait_until_ready()
    headers = {"Authorization": f"Bearer {token(settings)}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers) as client:
        yield client


def sdk(settings: Settings, key: str) -> IoTHubDeviceClient:
    authority = settings.data_dir / "certificates" / "authority.pem"
    text = format_connection_string(ConnectionString(host=HOST, device="cgm-1", key=key))
    return IoTHubDeviceClient.create_from_connection_string(
        text, server_verification_cert=authority.read_text(), connection_retry=False
    )


async def test_a_thousand_readings_of_the_official_sdk_are_on_the_page_and_in_alarms(
    platform: PlatformProcess, http: httpx.AsyncClient, settings: Settings
) -> None:
    with opened_registry(settings) as registry:
        key = ensure_worn(registry, Patient(id="p-1"), "cgm-1", HOST).key
    begin_us = wall_us() - READINGS * 3 * MINUTE_US
    client = sdk(settings, key)
    await client.connect()
    async with asyncio.TaskGroup() as sending:
        for number in range(READINGS):
            at = iso(begin_us + number * 3 * MINUTE_US)
            event = {"type": "reading", "time": at, "value": 50 + number * 0.225, "unit": "mg/dL"}
            sending.create_task(client.send_message(Message(json.dumps(event))))  # type: ignore[no-untyped-call]
    await client.shutdown()
    await asyncio.to_thread(platform.wait_until_settled)
    series = (await http.get("/api/patients/p-1/series", params={"hours": 72})).json()
    assert len(series["points"]["time_us"]) == READINGS
    alerts = (await http.get("/api/alerts")).json()
    rules = {alert["rule"] for alert in alerts["active"] + alerts["recent"]}
    assert {"urgent_low", "low", "high"} <= rules


async def test_the_official_sdk_with_a_wrong_key_is_refused(platform: PlatformProcess, settings: Settings) -> None:
    with opened_registry(settings) as registry:
        ensure_worn(registry, Patient(id="p-1"), "cgm-1", HOST)
    platform.wait_until_ready()
    client = sdk(settings, new_key())
    with pytest.raises(CredentialError):
        await client.connect()
    await client.shutdown()


async def test_a_real_recording_goes_through_the_front_door_and_a_stop_is_graceful(
    platform: PlatformProcess,
    http: httpx.AsyncClient,
    settings: Settings,
    environment: dict[str, str],
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = shared_data / "shanghai/Shanghai_T1DM/1002_2_20210909.xls"
    result = await asyncio.to_thread(CliRunner().invoke, main, ["replay", str(file), "--speed", "1000000"])
    assert result.exit_code == 0, result.output
    assert "events are acknowledged" in result.output
    await asyncio.to_thread(platform.wait_until_settled)
    series = (await http.get("/api/patients/1002_2_20210909/series", params={"hours": 24 * 14})).json()
    times_us = series["points"]["time_us"]
    assert len(times_us) > 200
    assert series["now_us"] - times_us[-1] < HOUR_US
    assert await asyncio.to_thread(platform.stop) == 0


def test_moved_events_end_now_and_are_never_ahead_of_the_clock() -> None:
    events = [Reading(time=from_us(minute * MINUTE_US), value=100.0, unit="mg/dL") for minute in (0, 60, 600)]
    for platform_speed in (1.0, 60.0, 600.0):
        clock = PlatformClock(10**15, platform_speed)
        replayed = moved(events, clock, 600.0)
        for event, original in zip(replayed, events, strict=True):
            sent_after_us = (original.time - events[0].time).total_seconds() / 600.0 * platform_speed * 1e6
            ahead_us = event.time.timestamp() * 1e6 - (clock.now_us + sent_after_us)
            assert ahead_us <= 1000
        assert replayed[-1].time.timestamp() * 1e6 >= clock.now_us - 1000


def test_a_platform_stopped_before_its_first_reading_starts_again_and_a_second_one_beside_it_is_refused(
    tmp_path: Path,
) -> None:
    first, second = PlatformProcess(tmp_path), PlatformProcess(tmp_path)
    try:
        first.start()
        first.wait_until_ready()
        second.start()
        assert second.wait() == 1
        assert "already runs in another process" in (tmp_path / "serve.log").read_text()
        assert first.stop() == 0
        first.start()
        first.wait_until_ready()
        assert first.http.get("/healthz").status_code == 200
    finally:
        first.kill()
        second.kill()
