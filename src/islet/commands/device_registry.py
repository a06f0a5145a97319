"""`islet devices show|disable|enable|unassign|renew-key`: one device of the registry."""

from collections.abc import Iterator
from urllib.parse import quote

import click

from islet.access.sas import ConnectionString, format_connection_string
from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.hub_client import HubClient
from islet.errors import IsletError, NotFound
from islet.model.people import Device
from islet.model.time import iso
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store import device_changes
from islet.store.hub_policies import Which


@click.command("show")
@click.argument("id")
@click.pass_obj
def show_device(settings: Settings, id: str) -> None:
    """What the registry has of a device (never a key), and of one at a running platform whether it is there."""
    with opened_registry(settings) as registry:
        device = registry.device(id)
    if device is None:
        raise NotFound(f"there is no device {id!r}; `islet devices list` shows all")
    for name, text in (*_registered(device), *_there(settings, id)):
        click.echo(f"{name}\t{text or '-'}")


@click.command("disable")
@click.argument("id")
@click.option("--reason", default="", help="Kept with the device, and shown: as lost, or stolen.")
@click.pass_obj
def disable_device(settings: Settings, id: str, reason: str) -> None:
    """Let a device in nowhere; what it has open ends within a second."""
    with opened_registry(settings) as registry:
        device_changes.disable(registry, id, reason, by=who(None), at_us=wall_us())
    click.echo(f"device {id} is disabled")


@click.command("enable")
@click.argument("id")
@click.pass_obj
def enable_device(settings: Settings, id: str) -> None:
    """Let a disabled device in again, with the credential that it had."""
    with opened_registry(settings) as registry:
        device_changes.enable(registry, id, by=who(None), at_us=wall_us())
    click.echo(f"device {id} is enabled")


@click.command("unassign")
@click.argument("id")
@click.pass_obj
def unassign_device(settings: Settings, id: str) -> None:
    """Take a device from its patient; what it sends from now on is nobody's."""
    with opened_registry(settings) as registry:
        device_changes.assign(registry, id, "", by=who(None), at_us=wall_us())
    click.echo(f"device {id} is nobody's")


@click.command("renew-key")
@click.argument("id")
@click.argument("key", type=click.Choice([one.value for one in Which]))
@click.pass_obj
def renew_key(settings: Settings, id: str, key: str) -> None:
    """Make one of a device's two keys anew and print its connection string, once.

    What the old key has signed is refused at once; a connection that came in with it ends within a second. To keep the
    device going: renew the secondary key, give it to the device, then renew the primary one.
    """
    with opened_registry(settings) as registry:
        device = device_changes.renew_device_key(registry, id, Which(key), by=who(None), at_us=wall_us())
    told = ConnectionString(host=settings.hub_name, device=id, key=getattr(device, f"{key}_key"))
    click.echo(format_connection_string(told))


def _registered(device: Device) -> Iterator[tuple[str, str]]:
    yield "id", device.id
    yield "patient", device.patient
    yield "state", "enabled" if device.enabled else f"disabled {device.status_reason}".rstrip()
    yield "registered", iso(device.created_us) if device.created_us else ""
    yield "enrollment", device.enrollment
    yield "authentication", device.authentication
    yield "primary thumbprint", device.primary_thumbprint
    yield "secondary thumbprint", device.secondary_thumbprint


def _there(settings: Settings, id: str) -> Iterator[tuple[str, str]]:
    """What only the running platform knows."""
    try:
        found = HubClient(settings, "registryRead").call("GET", f"/devices/{quote(id, safe='')}")
    except IsletError as error:
        yield "connection", f"not known: {error}"
        return
    yield "connection", found["connectionState"].lower()
    seen = str(found["lastActivityTime"])
    yield "last seen", "" if seen.startswith("0001") else seen
    yield "commands that wait", str(found["cloudToDeviceMessageCount"])
