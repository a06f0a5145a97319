"""`islet devices claim-code`: what a person gives to a new device, so that it gets its key itself."""

import click

from islet.clock import wall_us
from islet.commands.refusals import FiniteRange
from islet.gateways.claims import make_claim
from islet.model.time import MINUTE_US
from islet.opened import opened_registry
from islet.settings import Settings


@click.command("claim-code")
@click.argument("id")
@click.option("--patient", default="", help="Whose device it is; by default the device brings a pseudonym.")
@click.option(
    "--minutes", default=60.0, show_default=True, type=FiniteRange(1, 7 * 24 * 60), help="How long the code is good."
)
@click.pass_obj
def claim_code(settings: Settings, id: str, patient: str, minutes: float) -> None:
    """A code for a new device, printed once; `islet agent --claim CODE` redeems it."""
    with opened_registry(settings) as registry:
        code = make_claim(
            registry, id, patient, by="command line", now_us=wall_us(), life_us=round(minutes * MINUTE_US)
        )
    click.echo(code)
