"""`islet devices nightscout`: the address that an app for Nightscout is given."""

import click

from islet.clock import wall_us
from islet.commands.acting import who
from islet.errors import NotFound
from islet.model.units import GLUCOSE_UNITS
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.app_secrets import app_address, end_app_secret, new_app_secret


@click.command("nightscout")
@click.argument("id")
@click.option("--end", is_flag=True, help="Let no app in as this device any more.")
@click.option(
    "--unit", type=click.Choice(GLUCOSE_UNITS), default="mg/dL", help="In which the app shows glucose (mg/dL)."
)
@click.pass_obj
def nightscout_address(settings: Settings, id: str, end: bool, unit: str) -> None:
    """Make the address by which an app that uploads to Nightscout sends as this device, and print it, once.

    It holds a secret; the one that an app had for this device ends at once.
    """
    with opened_registry(settings) as registry:
        if not end:
            secret = new_app_secret(registry, id, by=who(None), now_us=wall_us(), unit=unit)
            portal = settings.public_url or f"https://{settings.hub_name}:{settings.https_port}"
            click.echo(app_address(secret, portal))
        elif end_app_secret(registry, id, by=who(None), now_us=wall_us()):
            click.echo(f"no app is let in as {id} any more")
        else:
            raise NotFound(f"no app is let in as {id!r}")
