"""`islet patients hba1c`: a laboratory's value, entered by hand."""

from dataclasses import replace
from datetime import datetime

import click

from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.refusals import FiniteRange
from islet.entered import hba1c
from islet.errors import NotFound
from islet.log.base import Commit
from islet.opened import opened_log, opened_registry
from islet.settings import Settings


@click.command("hba1c")
@click.argument("id")
@click.argument("value", type=FiniteRange(0, 200))
@click.option("--unit", default="%", show_default=True, type=click.Choice(["%", "mmol/mol"]))
@click.option("--drawn", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The day when the blood was drawn.")
@click.pass_obj
def enter_hba1c(settings: Settings, id: str, value: float, unit: str, drawn: datetime) -> None:
    """Enter a laboratory's HbA1c; reports show it beside the readings."""
    with opened_registry(settings) as registry:
        patient = registry.patient(id)
        if patient is None:
            raise NotFound(f"there is no patient {id!r}; add them first with `islet patients add`")
        rows = hba1c(patient, value, unit, drawn.date(), wall_us())
        with opened_log(replace(settings, roles=("import",))) as log:
            log.commit([Commit(received_at_us=max(wall_us(), log.newest_received_us()), appends=rows)])
        registry.note("entered HbA1c", "patient", id, by=who(None), at_us=wall_us())
    click.echo(f"HbA1c of {drawn:%Y-%m-%d} is in the log")
