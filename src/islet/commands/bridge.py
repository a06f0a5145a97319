"""`islet bridge`: a Bluetooth meter or sensor as a device of a platform, here or elsewhere."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import click

from islet.access.sas import ConnectionString, parse_connection_string
from islet.agent.mqtt_client import Address, FaithfulClient
from islet.bridge.link import Radio
from islet.bridge.place import Places
from islet.bridge.run import Given, bridge_on
from islet.bridge.run import bridge as bridge_once
from islet.clock import wall_us
from islet.decode import ble_cgm, ble_glucose
from islet.errors import BadInput, IsletError
from islet.gateways.certificates import client_ssl_context
from islet.model.time_zones import named_zone
from islet.operations import logs
from islet.settings import Settings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_KINDS: Final = {ble_cgm.SERVICE: "sensor", ble_glucose.SERVICE: "meter"}
_HCI: Final = click.option(
    "--hci", metavar="NAME", help="A Bluetooth controller of its own (usb:0, serial:/dev/ttyACM0) past the machine's."
)
_STATE: Final = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it keeps how far it is; bridge/ by default.",
)


@click.group()
def bridge() -> None:
    """Bluetooth meters and sensors. Needs the extra `ble`."""


@bridge.command("scan")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(0.1, 300))
@_HCI
@_STATE
@click.pass_obj
def scan(settings: Settings, seconds: float, hci: str | None, state: Path | None) -> None:
    """Glucose meters and sensors in reach: address, kind, loudness, name."""

    async def look(radio: Radio) -> None:
        for one in sorted(await radio.scan(seconds), key=lambda one: -one.rssi_dbm):
            kinds = [kind for service, kind in _KINDS.items() if service in one.services]
            if kinds:
                click.echo(f"{one.address}\t{'+'.join(kinds)}\t{one.rssi_dbm} dBm\t{one.name or '-'}")

    _run(settings, look, hci, _directory(settings, state))


@bridge.command("ble")
@click.argument("address")
@click.option("--device", "device", required=True, type=_FILE, help="File with the device's connection string.")
@click.option("--authority", type=_FILE, help="Certificate that the platform's is signed by; the system's by default.")
@click.option("--port", default=8883, show_default=True, type=click.IntRange(1, 65535), help="MQTT over TLS.")
@click.option("--zone", help="Where a meter's clock is set for, as Europe/Vienna. A sensor needs none.")
@click.option("--pair", is_flag=True, help="Pair with it, if that was not done before.")
@click.option("--once", is_flag=True, help="Hand on what is stored, and end.")
@_HCI
@_STATE
@click.pass_obj
def ble(
    settings: Settings,
    address: str,
    device: Path,
    authority: Path | None,
    port: int,
    zone: str | None,
    pair: bool,
    once: bool,
    hci: str | None,
    state: Path | None,
) -> None:
    """Hand on the records of the meter or sensor at ADDRESS, and follow it until Ctrl-C.

    Goes on where it ended; what was not acknowledged is sent again."""
    directory = _directory(settings, state)
    places = Places(directory, address)
    given = Given(address=address, zone=None if zone is None else named_zone(zone, "--zone"), pair=pair)
    credentials = _credentials(device)
    door = Address(host=credentials.host, port=port, tls=client_ssl_context(authority))

    async def work(radio: Radio) -> None:
        rng = random.SystemRandom()
        sender = FaithfulClient(door, credentials, wall_us, rng)
        try:
            if once:
                count = await bridge_once(radio, sender, places, given, wall_us, follow=False)
                click.echo(f"{count} records were handed on")
            else:
                await bridge_on(radio, sender, places, given, wall_us, rng)
        finally:
            await sender.close()

    _run(settings, work, hci, directory)


def _run(
    settings: Settings, work: Callable[[Radio], Coroutine[Any, Any, None]], hci: str | None, directory: Path
) -> None:
    logs.configure(settings.log_level, settings.log_format)
    for library in ("bumble", "bleak"):  # their messages show what was measured
        logging.getLogger(library).setLevel(logging.CRITICAL)

    async def run() -> None:
        radio = await _radio(hci, directory)
        try:
            await work(radio)
        finally:
            await radio.close()

    asyncio.run(run())


async def _radio(hci: str | None, directory: Path) -> Radio:
    try:
        if hci is None:
            from islet.bridge.bleak_radio import BleakRadio

            return BleakRadio()
        from islet.bridge.bumble_radio import BumbleRadio
    except ImportError as error:
        raise IsletError(f"Bluetooth needs the extra `ble`: pip install 'islet[ble]' ({error.name})") from None
    return await BumbleRadio.open(hci, directory, _passkey)


async def _passkey() -> int:
    return int(
        await asyncio.to_thread(click.prompt, "The six digits that the sensor shows", type=click.IntRange(0, 999_999))
    )


def _directory(settings: Settings, state: Path | None) -> Path:
    return state or settings.data_dir / "bridge"


def _credentials(file: Path) -> ConnectionString:
    credentials = parse_connection_string(file.read_text(encoding="ascii", errors="replace").strip())
    if not credentials.device:
        raise BadInput(f"{file}: expected a device's connection string, with DeviceId", reason="connection_string")
    return credentials
