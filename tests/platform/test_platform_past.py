"""What comes late, from the future, or under another rule: on a whole platform, with all its workers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from islet.app import Platform, opened_platform
from islet.decode.telemetry import Arrival, Decoded, decode_arrivals
from islet.engine.parameters import Override
from islet.engine.rulebook import RuleBook
from islet.log.base import Append
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Patient, Role
from islet.model.time import MINUTE_US, RECORDS_SINCE_US, from_us, iso
from islet.opened import opened_registry
from islet.settings import Settings

FAST = 120.0
"""What takes a minute takes half a second."""
SPRING_1961_US = -275_011_200_000_000  # 1961-04-15T00:00:00Z (GNU date)


def settings(tmp_path: Path) -> Settings:
    roles = ("engine", "store", "notify")
    return replace(
        Settings(mqtt_tls_port=0, https_port=0, log_level="error"), data_dir=tmp_path, roles=roles, speed=FAST
    )


def on_a_platform(tmp_path: Path, story: Callable[[Platform], Awaitable[None]]) -> None:
    """Serve, let the story happen, stop."""
    with opened_platform(settings(tmp_path)) as platform:
        platform.registry.put_patient(Patient(id="anna"))

        async def beside() -> None:
            await until(lambda: not platform.starting())
            try:
                await asyncio.wait_for(story(platform), 30)
            finally:
                platform.stop()

        asyncio.run(platform.run(beside))


async def until(there: Callable[[], bool]) -> None:
    while not there():
        await asyncio.sleep(0.01)


async def send(platform: Platform, values: dict[int, float]) -> None:
    """Readings, by how many minutes ago they were measured, through the decoder and into the log."""
    now_us = platform.now()
    arrivals = arrived({now_us - ago * MINUTE_US: value for ago, value in values.items()})
    await taken(platform, decode_arrivals(arrivals, now_us, round(platform.settings.future_min * MINUTE_US)))


async def import_of_1961(platform: Platform) -> None:
    """A day of readings as an import brings them, with a low at noon that lasts half an hour."""
    values = {SPRING_1961_US + 5 * n * MINUTE_US: 60.0 if 144 <= n < 150 else 110.0 for n in range(288)}
    await taken(platform, decode_arrivals(arrived(values), platform.now(), 0, since_us=RECORDS_SINCE_US))


def arrived(values: dict[int, float]) -> list[Arrival]:
    return [
        Arrival("cgm", "anna", encode_event(Reading(time=from_us(time_us), value=value, unit="mg/dL")))
        for time_us, value in values.items()
    ]


async def taken(platform: Platform, decoded: Decoded) -> None:
    appends = [Append(topic=topic, batch=batch) for topic, batch in decoded.batches.items()]
    await asyncio.to_thread(platform.commit.commit, appends)


def said(platform: Platform, rule: str) -> list[tuple[bool, bool]]:
    """Of each alert of a rule: whether it is retrospective, and whether it is active."""
    return [(one.retrospective, one.active) for one in platform.store.alerts() if one.rule == rule]


def test_a_low_that_comes_hours_late_is_found_as_history_and_pages_nobody(tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        await send(platform, {10: 120, 5: 121, 0: 122})
        await until(lambda: bool(platform.store.latest(["anna"])))
        await send(platform, {ago: 60 if 185 < ago < 215 else 110 for ago in range(240, 150, -5)})
        await until(lambda: said(platform, "low") == [(True, False)])
        await send(platform, {0: 260})
        assert platform.alarms is not None
        outbox = platform.alarms.outbox
        await until(lambda: outbox.counts()["sent"] > 0)
        await until(lambda: said(platform, "high") == [(False, True)])
        assert outbox.counts()["sent"] + outbox.counts()["not_sent"] == 1, "the high of now, and not the low of then"

    on_a_platform(tmp_path, story)


def test_an_import_of_1961_beside_readings_of_now_is_history_and_delays_no_alarm(tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        await send(platform, {10: 120, 5: 121, 0: 122})
        await until(lambda: bool(platform.store.latest(["anna"])))
        await import_of_1961(platform)
        await until(lambda: said(platform, "low") == [(True, False)])
        (low,) = (one for one in platform.store.alerts() if one.rule == "low")
        assert (iso(low.onset_us), iso(low.cleared_us or 0)) == ("1961-04-15T12:00:00Z", "1961-04-15T12:30:00Z")
        await send(platform, {4: 100, 0: 260})  # the late one is taken: the lateness bound is where it was
        await until(lambda: said(platform, "high") == [(False, True)])
        assert platform.alarms is not None
        outbox = platform.alarms.outbox
        await until(lambda: outbox.counts()["sent"] > 0)
        assert outbox.counts()["sent"] + outbox.counts()["not_sent"] == 1, "the high of now, and not the low of 1961"

    on_a_platform(tmp_path, story)


def test_an_import_of_1961_of_somebody_without_a_sensor_is_history_and_leaves_nothing_active(tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        await import_of_1961(platform)
        await until(lambda: said(platform, "low") == [(True, False)])
        assert not [one.rule for one in platform.store.alerts() if one.active or not one.retrospective]
        await send(platform, {0: 260})
        await until(lambda: said(platform, "high") == [(False, True)])
        assert said(platform, "no_data") == []
        assert platform.alarms is not None
        outbox = platform.alarms.outbox
        await until(lambda: outbox.counts()["sent"] > 0)
        assert outbox.counts()["sent"] + outbox.counts()["not_sent"] == 1, "the high of now, and not the low of 1961"

    on_a_platform(tmp_path, story)


def test_a_reading_from_the_future_flags_the_device_until_its_clock_is_right(tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        await send(platform, {-60: 120})
        await until(lambda: said(platform, "device_clock") == [(False, True)])
        await send(platform, {0: 120})
        await until(lambda: said(platform, "device_clock") == [(False, False)])

    on_a_platform(tmp_path, story)


def test_a_limit_that_another_process_sets_holds_for_the_next_reading(tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        await send(platform, {10: 85})
        with opened_registry(settings(tmp_path)) as registry:
            limit = {"low_alarm_mg_dl": 90.0}
            change = Override(rule="low", layer="patient", of="anna", parameters=limit, author="wang", set_us=1)
            RuleBook(registry).set(change, Role.ADMINISTRATOR)
        assert said(platform, "low") == []
        await send(platform, {0: 86})
        await until(lambda: said(platform, "low") == [(False, True)])

    on_a_platform(tmp_path, story)
