"""`islet replay`: a real person's recording goes through the front door again, as if it were measured now."""

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click
from msgspec import structs

from islet.agent.mqtt_client import FaithfulClient
from islet.clock import wall_us
from islet.errors import BadInput
from islet.menu import plug
from islet.model.codec import encode_event
from islet.model.events import AnyEvent, Reading
from islet.model.people import Patient
from islet.model.time import from_us, iso, to_us
from islet.opened import opened_registry
from islet.provision import PlatformClock, ensure_worn, front_door, platform_clock
from islet.settings import Settings

_STEP_S = 0.02  # how often what is due is sent


def moved(events: Sequence[AnyEvent], clock: PlatformClock, speed: float) -> list[AnyEvent]:
    """The events in order, moved to now, so that none is ever ahead of the platform's clock when it is sent.

    Sent at `speed`, the last one is sent when it is due. On a platform that runs at `speed` as well, each is; on a
    slower one the recording begins in the past and catches up.
    """
    ordered = sorted(events, key=lambda event: event.time)
    lasts = ordered[-1].time - ordered[0].time
    begin = from_us(clock.now_us) - lasts * max(0.0, 1.0 - clock.speed / speed)
    return [structs.replace(event, time=event.time - ordered[0].time + begin) for event in ordered]


async def run(settings: Settings, file: Path, *, speed: float, patient: str | None) -> None:
    """Send the recording in `file`, then say what was sent. The platform runs on the same data directory.

    Raises BadInput when no importer understands the file, IsletError when no platform answers.
    """
    id = patient or re.sub(r"[^A-Za-z0-9_-]", "-", file.stem)[:64]
    if not id.strip("-"):  # of two such files the people would be one patient
        raise BadInput("no patient id can be made of the file's name; give one with --patient", reason="patient")
    wearing = plug("importer", "shanghai")(file.read_bytes())
    if not wearing.events:
        raise BadInput("the workbook holds no events", reason="empty")
    clock = await asyncio.to_thread(platform_clock, settings)
    with opened_registry(settings) as registry:
        wearer = Patient(id=id, label=id, tags=("replayed",))
        devices = [ensure_worn(registry, wearer, f"{id}-{kind}", settings.hub_name) for kind in ("cgm", "meter")]
    events = moved(wearing.events, clock, speed)
    readings = sum(isinstance(event, Reading) for event in events)
    click.echo(
        f"{file.name}: {readings} readings and {len(events) - readings} other events of patient {id}, "
        f"{iso(to_us(events[0].time))} to {iso(to_us(events[-1].time))}, {speed:g} times as fast as life"
    )
    door = front_door(settings)
    sensor, meter = (FaithfulClient(door, device, wall_us, random.Random(0)) for device in devices)
    try:
        await _send(sensor, meter, events, speed)
    finally:
        await asyncio.gather(sensor.close(), meter.close())
    click.echo(f"all {len(events)} events are acknowledged")


def _is_capillary(event: AnyEvent) -> bool:
    return isinstance(event, Reading) and event.method == "capillary"


async def _send(sensor: FaithfulClient, meter: FaithfulClient, events: Sequence[AnyEvent], speed: float) -> None:
    """Each event when it is due, at `speed` times life; several may be under way at once. What was measured in a drop
    of blood comes from a device of its own: it may be of the same instant as a sensor's reading, and another value."""
    loop = asyncio.get_running_loop()
    began_s, first = loop.time(), events[0].time
    with click.progressbar(length=len(events), label="sending") as bar:
        waiting = list(reversed(events))
        while waiting:
            lived = timedelta(seconds=(loop.time() - began_s) * speed)
            due = []
            while waiting and waiting[-1].time - first <= lived:
                due.append(waiting.pop())
            senders = [(meter if _is_capillary(event) else sensor, event) for event in due]
            await asyncio.gather(*(sender.publish(encode_event(event)) for sender, event in senders))
            bar.update(len(due))
            await asyncio.sleep(_STEP_S)
