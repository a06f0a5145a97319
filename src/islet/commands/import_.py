"""`islet import`: exports of other systems into the log of this data directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

import click

from islet import imports
from islet.clock import wall_us
from islet.commands.import_files import DAMAGED, Part, parts
from islet.decode.imports.detect import FORMATS, Format, detected, format_named
from islet.decode.imports.found import Choices, DateOrder
from islet.decode.imports.generic import HEADINGS
from islet.decode.imports.local_times import written
from islet.decode.imports.preview import Preview
from islet.errors import BadInput, NotFound
from islet.model.people import Patient
from islet.model.time_zones import named_zone
from islet.opened import opened_log, opened_registry
from islet.settings import Settings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_ORDERS: Final = ("ymd", "dmy", "mdy")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--patient", required=True, metavar="ID", help="Whose data it is; known already (`islet patients add`).")
@click.option("--zone", help="Where local times are, as Europe/Vienna; the patient's time zone by default.")
@click.option("--unit", type=click.Choice(["mg/dL", "mmol/L"]), help="Of glucose, where the file does not say it.")
@click.option("--date-order", type=click.Choice(_ORDERS), help="Where the file's dates can be read in two ways.")
@click.option("--format", "format_name", type=click.Choice(sorted(FORMATS)), help="Found out by default.")
@click.option(
    "--mapping", multiple=True, metavar="WHAT=HEADING", help="Of a table: time=Zeit, glucose=Zucker; may be repeated."
)
@click.option(
    "--meal-time", multiple=True, metavar="MEAL=HH:MM", help="Of a diary without clock times; may be repeated."
)
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
    preview: bool,
) -> None:
    """Read exports (Clarity, LibreView, Tidepool, Apple Health, tables …) into the log. Importing twice changes nothing.

    Each file is checked first; of one with an error nothing is imported."""
    choices = Choices(
        zone=named_zone(zone or _patient(settings, patient).time_zone, "--zone"),
        unit=unit,
        date_order=date_order,
        mapping=_pairs(mapping, "--mapping", known=HEADINGS),
        meal_times=_meal_times(meal_time),
    )
    if zone is not None:
        _patient(settings, patient)
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
        for part in parts(file):
            name = part.name
            found = _checked(part, choices, chosen)
            if found is None:
                wrong.append(name)
            elif not only_look and found.events:
                _append(settings, part, patient, choices, chosen)
    except BadInput as error:
        click.echo(f"{name}: {error}", err=True)
        wrong.append(name)
    except DAMAGED:
        click.echo(f"{name}: expected a zip archive that is whole and without a password", err=True)
        wrong.append(name)
    return wrong


def _checked(part: Part, choices: Choices, chosen: Format | None) -> Preview | None:
    """What is in an export, which is said; None where it cannot be understood. Of an archive, what is no export (a
    picture, a letter) is left out, and told."""
    try:
        format = chosen or detected(part.stream, mapped=bool(choices.mapping))
    except BadInput as error:
        if not part.archived:
            raise
        click.echo(f"{part.name}: left out; {error}")
        return Preview()
    try:
        with _bar(part, "checking") as progress:
            found = imports.check(part.stream, choices, format, latest_us=wall_us(), progress=progress)
    except BadInput as error:
        click.echo(f"{part.name}: {error}", err=True)
        return None
    for line in _told(part.name, format, found, choices.zone):
        click.echo(line)
    return found


def _append(settings: Settings, part: Part, patient: str, choices: Choices, chosen: Format | None) -> None:
    writer = replace(settings, roles=("import",))  # else a Kafka log would take us for the engine, and shut it out
    with opened_log(writer) as log, _bar(part, "importing") as progress:
        done = imports.append(part.stream, choices, chosen, log=log, patient=patient, now=wall_us, progress=progress)
    click.echo(f"  {done.new} events are new in the log, {done.known} were there already")


@contextmanager
def _bar(part: Part, label: str) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of an export; shown only on a terminal."""
    with click.progressbar(length=max(1, part.bytes), label=f"{label} {part.name}", show_pos=False) as bar:
        yield lambda reached: bar.update(max(0, reached - bar.pos))
        bar.update(bar.length - bar.pos if bar.length else 0)


def _told(name: str, format: Format, found: Preview, zone: tzinfo | None) -> Iterator[str]:
    """What is in a file, a line a fact."""
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(found.events.items()))
    yield f"{name}: {format.title}; {counts}"
    if found.first and found.last:
        first, last = (at.astimezone(zone).isoformat(sep=" ", timespec="minutes") for at in (found.first, found.last))
        yield f"  {first} to {last}, time zone {zone}"
    if found.units:
        beyond = f"; {found.beyond} below or above what the sensor shows" if found.beyond else ""
        yield f"  glucose in {' and '.join(sorted(found.units))}{beyond}"
    yield f"  devices: {', '.join(f'{device} ({count})' for device, count in sorted(found.devices.items()))}"
    if found.assumed:
        yield f"  {found.assumed} events have no time of day in the file; theirs is assumed"
    for reason, left_out in sorted(found.left_out.items()):
        yield f"  left out: {left_out.count}, first in line {left_out.first_line}: {reason}"


def _patient(settings: Settings, id: str) -> Patient:
    with opened_registry(settings) as registry:
        patient = registry.patient(id)
    if patient is None:
        raise NotFound(f"there is no patient {id!r}; add them first with `islet patients add`")
    return patient


def _pairs(given: tuple[str, ...], option: str, known: object = None) -> dict[str, str]:
    pairs = dict[str, str]()
    for one in given:
        what, equals, value = one.partition("=")
        if not equals or not value or (isinstance(known, dict) and what not in known):
            allowed = f"; {', '.join(known)}" if isinstance(known, dict) else ""
            raise click.UsageError(f"{option}: expected NAME=VALUE{allowed}; got {one[:60]!r}")
        pairs[what] = value
    return pairs


def _meal_times(given: tuple[str, ...]) -> dict[str, str]:
    times = {meal.lower(): clock for meal, clock in _pairs(given, "--meal-time").items()}
    for clock in times.values():
        if written(f"2000-01-01 {clock}") is None:
            raise click.UsageError(f"--meal-time: expected HH:MM; got {clock[:20]!r}")
    return times
