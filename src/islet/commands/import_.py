"""`islet import`: exports of other systems into the log of this data directory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

import click

from islet import imports
from islet.clock import wall_us
from islet.commands.acting import note
from islet.decode.imports.choices import DATE_ORDERS, UNITS, choices_of
from islet.decode.imports.detect import FORMATS, Format, format_named
from islet.decode.imports.found import Choices, DateOrder
from islet.decode.imports.parts import DAMAGED, Part, damaged, parts
from islet.decode.imports.preview import Preview
from islet.errors import BadInput, NotFound
from islet.log.base import Append, Commit
from islet.model.people import Patient
from islet.opened import opened_log, opened_registry
from islet.settings import Settings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--patient", required=True, metavar="ID", help="Whose data it is; known already (`islet patients add`).")
@click.option("--zone", help="Where local times are, as Europe/Vienna; the patient's time zone by default.")
@click.option("--unit", type=click.Choice(UNITS), help="Of glucose, where the file does not say it.")
@click.option("--date-order", type=click.Choice(DATE_ORDERS), help="Where the file's dates can be read in two ways.")
@click.option("--format", "format_name", type=click.Choice(sorted(FORMATS)), help="Found out by default.")
@click.option(
    "--mapping", multiple=True, metavar="WHAT=HEADING", help="Of a table: time=Zeit, glucose=Zucker; may be repeated."
)
@click.option(
    "--meal-time", multiple=True, metavar="MEAL=HH:MM", help="Of a diary without clock times; may be repeated."
)
@click.option("--person", metavar="NAME", help="Of a table of several people: whose rows, as its column names them.")
@click.option("--preview", is_flag=True, help="Only say what is in the files.")
@click.pass_obj
def import_(
    settings: Settings,
    files: tuple[Path, ...],
    patient: str,
    zone: str | None,
    unit: str | None,
    date_order: DateOrder | None,
    format_name: str | None,
    mapping: tuple[str, ...],
    meal_time: tuple[str, ...],
    person: str | None,
    preview: bool,
) -> None:
    """Read exports (Clarity, LibreView, Tidepool, Apple Health, tables …) into the log. Importing twice changes nothing.

    Each file is checked first; of one with an error nothing is imported."""
    known = _patient(settings, patient)
    choices = choices_of(
        zone=zone or known.time_zone,
        unit=unit or "",
        date_order=date_order or "",
        mapping=mapping,
        meal_times=meal_time,
        person=person or "",
    )
    chosen = format_named(format_name) if format_name else None
    wrong = [name for file in files for name in _one(settings, file, patient, choices, chosen, only_look=preview)]
    if wrong:
        raise BadInput(f"nothing was imported from {', '.join(wrong)}", reason="file")


def _one(
    settings: Settings, file: Path, patient: str, choices: Choices, chosen: Format | None, *, only_look: bool
) -> list[str]:
    """Check what is in a file, say it, and import it; the names of the exports in it that could not be."""
    wrong: list[str] = []
    name = file.name
    try:
        with file.open("rb") as stream:
            for part in parts(stream, file.name):
                name = part.name
                with _bar(part, "checking") as progress:
                    looked = imports.look(part, choices, chosen, latest_us=wall_us(), progress=progress)
                for line in _told(looked, choices.zone):
                    click.echo(line, err=looked.error is not None and not looked.beside)
                if looked.error is not None:
                    wrong += [] if looked.beside else [part.name]
                elif not only_look and looked.format is not None:
                    _append(settings, part, patient, choices, looked.format)
    except BadInput as error:
        click.echo(f"{name}: {error}", err=True)
        wrong.append(name)
    except DAMAGED:
        click.echo(damaged(name), err=True)
        wrong.append(name)
    return wrong


def _append(settings: Settings, part: Part, patient: str, choices: Choices, format: Format) -> None:
    """Into the log, and into the audit trail how much that was, also where it ends before all of it is there."""
    writer = replace(settings, roles=("import",))  # else a Kafka log would take us for the engine, and shut it out
    done = imports.Appended(0, 0)
    with opened_registry(settings) as registry, opened_log(writer) as log, _bar(part, "importing") as progress:
        now_us = max(wall_us(), log.newest_received_us())

        def write(appends: Sequence[Append]) -> None:
            log.commit([Commit(received_at_us=now_us, appends=appends)])

        known = imports.Known(log, patient)
        try:
            for one in imports.append(
                part, choices, format, known=known, write=write, now_us=now_us, progress=progress
            ):
                done = imports.Appended(done.new + one.new, done.known + one.known)
        finally:
            note(registry, f"imported {done.new} events", "patient", patient)
    click.echo(f"  {done.new} events are new in the log, {done.known} were there already")


@contextmanager
def _bar(part: Part, label: str) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of an export; shown only on a terminal."""
    with click.progressbar(length=max(1, part.bytes), label=f"{label} {part.name}", show_pos=False) as bar:
        yield lambda reached: bar.update(max(0, reached - bar.pos))
        bar.update(bar.length - bar.pos if bar.length else 0)


def _told(looked: imports.Looked, zone: tzinfo | None) -> Iterator[str]:
    """What is in an export, or why it cannot be read, a line a fact."""
    if looked.error is not None or looked.format is None:
        yield f"{looked.name}: {'left out; ' if looked.beside else ''}{looked.error}"
        if looked.error is not None and looked.error.reason == "empty":
            yield from _left_out(looked.preview)
        return
    found = looked.preview
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(found.events.items()))
    yield f"{looked.name}: {looked.format.title}; {counts}"
    if found.first and found.last:
        first, last = (at.astimezone(zone).isoformat(sep=" ", timespec="minutes") for at in (found.first, found.last))
        yield f"  {first} to {last}, time zone {zone}"
    if found.units:
        beyond = f"; {found.beyond} below or above what the sensor shows" if found.beyond else ""
        yield f"  glucose in {' and '.join(sorted(found.units))}{beyond}"
    yield f"  devices: {', '.join(f'{device} ({count})' for device, count in sorted(found.devices.items()))}"
    if found.assumed:
        yield f"  {found.assumed} events have no time of day in the file; theirs is assumed"
    yield from _left_out(found)


def _left_out(preview: Preview) -> Iterator[str]:
    for reason, left_out in sorted(preview.left_out.items()):
        yield f"  left out: {left_out.count}, first in line {left_out.first_line}: {reason}"


def _patient(settings: Settings, id: str) -> Patient:
    with opened_registry(settings) as registry:
        patient = registry.patient(id)
    if patient is None:
        raise NotFound(f"there is no patient {id!r}; add them first with `islet patients add`")
    return patient
