"""Simulated people: `islet demo` runs them beside the platform, `islet simulate` against one that runs already."""

import asyncio
import random
from collections.abc import Sequence

import click

from islet.access.passwords import hash_password, new_token
from islet.access.sas import ConnectionString
from islet.agent.fleet import run_fleet
from islet.agent.mqtt_client import FaithfulClient
from islet.app import opened_platform, run_until_signal
from islet.clock import wall_us
from islet.model.people import Patient, Role, User
from islet.model.time import DAY_US, MINUTE_US, Now
from islet.opened import opened_registry
from islet.provision import ensure_worn, front_door, platform_clock
from islet.settings import Settings
from islet.simulate.population import make_population
from islet.simulate.profiles import PROFILES
from islet.store.base import EntryKind, Registry

INTERVAL_MIN = 3
HISTORY_US = DAY_US
"""How much of the past a first demonstration has: a full day on the chart."""


class _Nobody:
    """The device of a simulated person who was erased."""

    async def publish(self, payload: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


def provision(registry: Registry, patients: int, hub_name: str) -> list[ConnectionString | None]:
    """Simulated patients sim-0001 … with a device each, made where they are not there; the devices' credentials, None of
    those who were erased."""
    credentials: list[ConnectionString | None] = []
    for number in range(patients):
        profile = PROFILES[number % len(PROFILES)]
        id = f"sim-{number + 1:04d}"
        label = f"{profile.capitalize()} {number // len(PROFILES) + 1}"
        patient = Patient(id=id, label=label, profile=profile, tags=("simulated", profile))
        gone = registry.entry(EntryKind.ERASED, id) is not None
        credentials.append(None if gone else ensure_worn(registry, patient, f"{id}-cgm", hub_name))
    return credentials


async def simulate(
    settings: Settings,
    credentials: Sequence[ConnectionString | None],
    now: Now,
    *,
    seed: int,
    send_from_us: int,
    until_us: int | None,
) -> int:
    """People who have lived for a day before `send_from_us`, and go on with `now`; how many events they sent."""
    start_us = (send_from_us - DAY_US) // MINUTE_US * MINUTE_US
    population = await asyncio.to_thread(
        make_population, len(credentials), seed, start_us=start_us, interval_min=INTERVAL_MIN
    )
    address = front_door(settings)
    clients = [
        _Nobody() if one is None else FaithfulClient(address, one, wall_us, random.Random(i))
        for i, one in enumerate(credentials)
    ]
    try:
        return await run_fleet(population, clients, now=now, send_from_us=send_from_us, until_us=until_us)
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def run_demo(settings: Settings, *, patients: int, seed: int) -> None:
    """The platform and the people beside it, in one process, until Ctrl-C. A second start goes on from the first."""
    with opened_platform(settings) as platform:
        credentials = provision(platform.registry, patients, settings.hub_name)
        password = _demo_password(platform.registry)
        seen_us = platform.log.newest_received_us()

        async def people() -> None:
            _greet(settings, patients, password, again=bool(seen_us))
            send_from_us = seen_us or platform.now() - HISTORY_US
            await simulate(settings, credentials, platform.now, seed=seed, send_from_us=send_from_us, until_us=None)

        run_until_signal(platform, people)
    click.echo("Stopped. `make demo` goes on where this ended; delete the folder demo-data to begin anew.")


def run_simulation(settings: Settings, *, patients: int, minutes: int, seed: int) -> int:
    """People beside a platform that runs already on this data directory, by its clock; how many events they sent.

    `minutes` are the platform's; 0 goes on until cancelled. Raises IsletError when no platform answers.
    """
    now = platform_clock(settings).running(wall_us)
    with opened_registry(settings) as registry:
        credentials = provision(registry, patients, settings.hub_name)
    began_us = now()
    until_us = began_us + minutes * MINUTE_US if minutes else None
    return asyncio.run(simulate(settings, credentials, now, seed=seed, send_from_us=began_us, until_us=until_us))


def _demo_password(registry: Registry) -> str:
    """The administrator's password of a demonstration: made once, and shown at every start."""
    password = registry.secret("demo/password")
    if password is None:
        password = new_token()[:12]
        registry.put_secret("demo/password", password)
    user = registry.user("demo")
    if user is None:
        registry.put_user(User(name="demo", role=Role.ADMINISTRATOR, password_hash=hash_password(password)))
    return password


def _greet(settings: Settings, patients: int, password: str, *, again: bool) -> None:
    click.echo(
        f"\n  Islet runs at http://{settings.host}:{settings.http_plain_port}\n"
        f"  Log in as  demo  with the password  {password}\n\n"
        f"  {patients} simulated people, {settings.speed:g} times as fast as life"
        f"{', going on from the last time' if again else ''}. Ctrl-C ends it.\n"
        "  Not a medical device. Dosing decisions should not be made based on this device.\n"
    )
