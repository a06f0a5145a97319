"""`islet patients export`: all that is kept of a patient, as a ZIP of open formats."""

import os
from pathlib import Path

import click

from islet.clock import wall_us
from islet.commands.acting import note
from islet.commands.as_of_now import store_as_of_now
from islet.errors import NotFound
from islet.exports import export_patient
from islet.opened import opened_registry
from islet.settings import Settings


@click.command()
@click.argument("id")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(settings: Settings, id: str, file: Path) -> None:
    """Write all that is kept of a patient into a ZIP that only you can read: events (which `islet import` takes again),
    readings as a table, alerts. It is not encrypted."""
    with opened_registry(settings) as registry, store_as_of_now(settings) as store:
        patient = registry.patient(id)
        if patient is None:
            raise NotFound(f"there is no patient {id!r}; `islet patients list` shows all")
        note(registry, "exported", "patient", id)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as to:
            export_patient(store, registry, patient, to, now_us=wall_us())
    click.echo(f"{file} holds all that is kept of {id}")
