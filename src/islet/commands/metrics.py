"""`islet metrics`: the measures of people's glucose from files, without a platform that runs."""

import json
import math
from pathlib import Path
from typing import Any, Final

import click

from islet.commands.metrics_files import read_people
from islet.decode.imports.choices import DATE_ORDERS, UNITS, choices_of
from islet.decode.imports.detect import FORMATS, format_named
from islet.errors import NotFound
from islet.metrics.document import document
from islet.metrics.people import People, together
from islet.metrics.profile import percentile_profile
from islet.metrics.profile_picture import profile_svg
from islet.metrics.ranges import PRESETS, Goals
from islet.metrics.table import MAGE_ALGORITHM, METRICS, WITHHELD, Material, measured

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_PICTURE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document of everything, also episodes and goals.")
@click.option(
    "--unit", type=click.Choice(UNITS), help="Of glucose, where a file does not say it; mg/dL of id, time, gl."
)
@click.option("--zone", help="Where days begin, and of local times; else times with an offset keep theirs, or UTC's.")
@click.option("--date-order", type=click.Choice(DATE_ORDERS), help="Where an export's dates can be read in two ways.")
@click.option("--format", "format_name", type=click.Choice(sorted(FORMATS)), help="Of exports; found out by default.")
@click.option("--mapping", multiple=True, metavar="WHAT=HEADING", help="Of a table: time=Zeit, glucose=Zucker.")
@click.option("--goals", default="standard", show_default=True, type=click.Choice(list(PRESETS)), help="Whose goals.")
@click.option("--person", metavar="ID", help="Only this person of those in FILE, as it names them.")
@click.option("--picture", type=_PICTURE, help="Write one person's percentile profile of the day here, as SVG.")
@click.option("--tell-all", is_flag=True, help="Tell GMI also below 14 days or 70 % of readings, to compare programs.")
def metrics(
    files: tuple[Path, ...],
    as_json: bool,
    unit: str | None,
    zone: str | None,
    date_order: str | None,
    format_name: str | None,
    mapping: tuple[str, ...],
    goals: str,
    person: str | None,
    picture: Path | None,
    tell_all: bool,
) -> None:
    """Measures of glucose of everybody in FILE: a CSV of many people with the columns id, time, gl, or any export that
    `islet import` reads, of one person, called as the file, or of several with --person. Only a sensor's readings count, no fingersticks."""
    choices = choices_of(zone=zone or "", unit=unit or "", date_order=date_order or "", mapping=mapping)
    chosen = format_named(format_name) if format_name else None
    people = together([read_people(file, choices, chosen, person) for file in files])
    if person is not None:
        people = _only(people, person)
    if picture is not None:
        picture.write_text(_profile(people, PRESETS[goals], unit or "mg/dL"), encoding="utf-8")
    material = Material(people)
    if as_json:
        click.echo(json.dumps(document(material, PRESETS[goals], tell_all=tell_all), ensure_ascii=False))
        return
    for line in _lines(material, tell_all):
        click.echo(line)


def _only(people: People, id: str) -> People:
    if id not in people.ids:
        raise NotFound(f"there is no person {id[:40]!r} in these files")
    return people.one(people.ids.index(id))


def _profile(people: People, goals: Goals, unit: str) -> str:
    if len(people) != 1:
        raise click.UsageError("a picture is of one person; say which with --person ID")
    smooth = percentile_profile(people).smooth_mg_dl[0]
    return profile_svg(smooth, goals, title=f"Percentile profile: {people.ids[0]}", nothing="No readings", unit=unit)


def _lines(material: Material, tell_all: bool) -> list[str]:
    """A table for a terminal: a line a metric, a column a person."""
    values = measured(material, tell_all=tell_all)
    names = [metric.name for metric in METRICS]
    wide = max(len(name) for name in names)
    heads = [id[:14] for id in material.people.ids]
    shown = [f"{'':{wide}}  " + "  ".join(f"{head:>14}" for head in heads)]
    enough = material.sufficiency
    for name, column in (("days_worn", enough.days_worn), ("active_percent", enough.active_percent)):
        shown.append(_line(name, wide, column))
    shown += [_line(name, wide, values[name]) for name in names]
    if not tell_all and not enough.enough.all():
        shown += [f"{name} is not told where there is too little: it {reason}" for name, reason in WITHHELD.items()]
    return [*shown, f"MAGE: {MAGE_ALGORITHM}"]


def _line(name: str, wide: int, column: Any) -> str:
    return f"{name:{wide}}  " + "  ".join(f"{'–':>14}" if math.isnan(value) else f"{value:>14.3f}" for value in column)
