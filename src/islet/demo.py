"""Simulated people: `islet demo` runs them beside the platform, `islet simulate` against one that runs already."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import click

from islet.access.passwords import new_token
from islet.access.sas import ConnectionString
from islet.agent.fleet import run_fleet
from islet.agent.mqtt_client import FaithfulClient
from islet.app import opened_platform, run_until_signal
from islet.clock import wall_us
from islet.model.people import Patient, Role
from islet.model.permissions import PATIENT_GROUP
from islet.model.time import DAY_US, MINUTE_US, Now
from islet.opened import opened_registry
from islet.provision import ensure_worn, front_door, need_mqtt, platform_clock
from islet.settings import Settings
from islet.simulate.population import make_population
from islet.simulate.profiles import PROFILES
from islet.store.base import EntryKind, Registry
from islet.store.consents import set_consent
from islet.store.people import put_person

INTERVAL_MIN = 3
HISTORY_US = DAY_US
"""How much of the past a first demonstration has: a full day on the chart."""

_SIMULATED: Final = "simulated"
"""The tag, and so the group, of all simulated patients."""
_FOLLOWED: Final = "sim-0001"
ADMINISTRATOR, NURSE, PATIENT, PARTNER = "demo", "demo-nurse", "demo-patient", "demo-partner"
_LOG_INS: Final = {
    ADMINISTRATOR: (Role.ADMINISTRATOR, ()),
    NURSE: (Role.CLINICIAN, (f"{PATIENT_GROUP}{_SIMULATED}",)),
    PATIENT: (Role.PATIENT, (_FOLLOWED,)),
    PARTNER: (Role.CARE_PARTNER, (_FOLLOWED,)),
}


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
        patient = Patient(id=id, label=label, profile=profile, tags=(_SIMULATED, profile))
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
    need_mqtt(settings)
    with opened_platform(settings) as platform:
        credentials = provision(platform.registry, patients, settings.hub_name)
        password = make_log_ins(platform.registry, platform.now())
        seen_us = platform.log.newest_received_us()

        async def people() -> None:
            _greet(settings, patients, password, again=bool(seen_us))
            send_from_us = seen_us or platform.now() - HISTORY_US
            await simulate(settings, credentials, platform.now, seed=seed, send_from_us=send_from_us, until_us=None)

        run_until_signal(platform, people)
    click.echo(f"Stopped. The same command goes on where this ended; delete {settings.data_dir} to begin anew.")


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


def make_log_ins(registry: Registry, at_us: int) -> str:
    """The password of everybody who can log in to a demonstration: made once, and shown at every start. Who is missing is
    made; the patient consents to the care partner when that one is new, and may withdraw it."""
    password = registry.secret("demo/password")
    if password is None:
        password = new_token()[:12]
        registry.put_secret("demo/password", password)
    there = {of for one in registry.patients() for of in (one.id, *(f"{PATIENT_GROUP}{tag}" for tag in one.tags))}
    for name, (role, patients) in _LOG_INS.items():
        if registry.user(name) is not None or not there.issuperset(patients):  # some may have been erased
            continue
        put_person(registry, name, role=role, patients=patients, password=password, by=ADMINISTRATOR, at_us=at_us)
        if name == PARTNER:
            set_consent(registry, name, _FOLLOWED, given=True, by=PATIENT, at_us=at_us)
    return password


def _greet(settings: Settings, patients: int, password: str, *, again: bool) -> None:
    click.echo(
        f"\n  Islet runs at http://{settings.host}:{settings.http_plain_port}\n"
        f"  Log in as  {ADMINISTRATOR}  with the password  {password}\n"
        f"  The same password lets in {NURSE} (a clinician), {PATIENT} ({_FOLLOWED}), and {PARTNER} (who follows\n"
        "  that patient)\n\n"
        f"  {patients} simulated people, {settings.speed:g} times as fast as life"
        f"{', going on from the last time' if again else ''}. Ctrl-C ends it.\n"
        "  Not a medical device. Dosing decisions should not be made based on this device.\n"
    )
