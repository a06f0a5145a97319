"""A sensor's bridge, for as long as it runs: waits for the sensor, does one connection's work, and waits again."""

import asyncio
import random
from datetime import tzinfo
from typing import Final

import structlog
from msgspec import Struct

from islet.bridge.forward import Sender
from islet.bridge.link import Link, LinkLost, Radio
from islet.bridge.meter import Meter
from islet.bridge.place import Places
from islet.bridge.sensor import Sensor
from islet.decode import ble_cgm, ble_glucose
from islet.errors import BadInput, ProtocolError
from islet.model.time import Now

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_PAUSE_S: Final = 10.0  # a meter announces itself for a while after it was read

_log = structlog.get_logger("islet.bridge")


class Given(Struct, frozen=True, kw_only=True):
    """What a bridge is told: which sensor, where its clock is set for (a meter's; None: not told), whether to pair."""

    address: str
    zone: tzinfo | None = None
    pair: bool = False


async def bridge(radio: Radio, sender: Sender, places: Places, given: Given, now: Now, *, follow: bool = True) -> int:
    """One connection: hand on what is new, and (where `follow`) follow a sensor until it goes; how many stored records
    were handed on.

    Raises LinkLost, ProtocolError, and BadInput when it is neither a meter nor a sensor, or a meter without zone.
    """
    link = await radio.connect(given.address, pair=given.pair)
    try:
        return await _work(link, sender, places, given, now, follow=follow)
    finally:
        await link.close()


async def bridge_on(radio: Radio, sender: Sender, places: Places, given: Given, now: Now, rng: random.Random) -> None:
    """Until cancelled; after a failure it waits twice as long each time, from a second to a minute.

    Raises what no waiting mends: AccessDenied from the front door, BadInput.
    """
    failures = 0
    while True:
        try:
            count = await bridge(radio, sender, places, given, now)
        except (LinkLost, ProtocolError) as error:
            failures += 1
            _log.info("sensor_gone", reason=str(error))
            pause_s = min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE_S) * rng.uniform(0.5, 1.0)
        else:
            failures = 0
            _log.info("records_handed_on", count=count)
            pause_s = _PAUSE_S
        await asyncio.sleep(pause_s)


async def _work(link: Link, sender: Sender, places: Places, given: Given, now: Now, *, follow: bool) -> int:
    if ble_cgm.MEASUREMENT in link.characteristics:
        sensor = Sensor(link, sender, places, now)
        count = await sensor.read()
        if follow:
            await sensor.follow()
        return count
    if ble_glucose.MEASUREMENT not in link.characteristics:
        raise BadInput("the device is neither a glucose meter nor a sensor of Bluetooth's profiles", reason="sensor")
    if given.zone is None:
        raise BadInput(
            "a meter's times are local: say where with --zone, for example Europe/Vienna", reason="time_zone"
        )
    return await Meter(link, sender, places, given.zone).read()
