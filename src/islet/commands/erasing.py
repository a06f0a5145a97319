"""`islet patients erase`: all that is kept of a patient, for good."""

import click

from islet.clock import wall_us
from islet.commands.acting import who
from islet.erasure.patients import erase_patient
from islet.opened import opened_holders
from islet.settings import Settings


@click.command()
@click.argument("id")
@click.confirmation_option(prompt="Erase all that is kept of this patient, for good?")
@click.pass_obj
def erase(settings: Settings, id: str) -> None:
    """Erase all that is kept of a patient: readings, events, alerts, messages, devices, files, settings, account.

    Entries of the log go with its age; until then nobody is given them. Backups are yours to look after. The audit trail
    stays, with the id, which is never given again. May be done while Islet runs, and again where it was interrupted.
    """
    with opened_holders(settings) as holders:
        erase_patient(holders, id, by=who(None), at_us=wall_us())
    click.echo(f"{id} is erased; what the log has goes within {settings.retention_days:g} days")
