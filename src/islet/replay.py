"""`islet replay`: a real person's recording goes through the front door again, as if it were measured now."""

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click
import httpx
from msgspec import Struct, structs

from islet.agent.mqtt_client import FaithfulClient
from islet.app import opened_registry, wall_us
from islet.errors import BadInput, IsletError
from islet.gateways.certificates import client_ssl_context, ensure_certificates
from islet.menu import plug
from islet.model.codec import encode_event
from islet.model.events import AnyEvent, Reading
from islet.model.people import Patient
from islet.model.time import from_us, iso, to_us
from islet.provision import ensure_worn, front_door
from islet.settings import Settings

_STEP_S = 0.02  # how often what is due is sent


class PlatformClock(Struct, frozen=True):
    """What the platform says of its clock: an instant, and how many times faster than the wall's it runs."""

    now_us: int
    speed: float


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
    wearing = plug("importer", "shanghai")(file.read_bytes())
    if not wearing.events:
        raise BadInput("the workbook holds no events", reason="empty")
    id = patient or re.sub(r"[^A-Za-z0-9_-]", "-", file.stem)[:64]
    with opened_registry(settings) as registry:
        wearer = Patient(id=id, label=id, tags=("replayed",))
        credentials = ensure_worn(registry, wearer, f"{id}-replay", settings.hub_name)
    clock = await _platform_clock(settings)
    events = moved(wearing.events, clock, speed)
    readings = sum(isinstance(event, Reading) for event in events)
    click.echo(
        f"{file.name}: {readings} readings and {len(events) - readings} other events of patient {id}, "
        f"{iso(to_us(events[0].time))} to {iso(to_us(events[-1].time))}, {speed:g} times as fast as life"
    )
    client = FaithfulClient(front_door(settings), credentials, wall_us, random.Random(0))
    try:
        await _send(client, events, speed)
    finally:
        await client.close()
    click.echo(f"all {len(events)} events are acknowledged")


async def _platform_clock(settings: Settings) -> PlatformClock:
    paths = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
    base = f"https://{settings.hub_name}:{settings.https_port}"
    try:
        async with httpx.AsyncClient(verify=client_ssl_context(paths.authority)) as http:
            answer = (await http.get(f"{base}/readyz")).raise_for_status().json()
    except httpx.HTTPError as error:
        raise IsletError(
            f"no platform answers at {base} ({type(error).__name__}); start one with `islet serve` on this data directory"
        ) from None
    return PlatformClock(int(answer["now_us"]), float(answer["speed"]))


async def _send(client: FaithfulClient, events: Sequence[AnyEvent], speed: float) -> None:
    """Each event when it is due, at `speed` times life; several may be under way at once."""
    loop = asyncio.get_running_loop()
    began_s, first = loop.time(), events[0].time
    with click.progressbar(length=len(events), label="sending") as bar:
        waiting = list(reversed(events))
        while waiting:
            lived = timedelta(seconds=(loop.time() - began_s) * speed)
            due = []
            while waiting and waiting[-1].time - first <= lived:
                due.append(waiting.pop())
            await asyncio.gather(*(client.publish(encode_event(event)) for event in due))
            bar.update(len(due))
            await asyncio.sleep(_STEP_S)
