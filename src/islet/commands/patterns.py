"""`islet patterns`: what moves a person's glucose, and what to do about it, with the evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from islet.commands.as_of_now import store_as_of_now
from islet.commands.patterns_files import days_in
from islet.decode.imports.found import Choices
from islet.errors import NotFound
from islet.metrics.ranges import PRESETS
from islet.model.time import DAY_US
from islet.model.time_zones import named_zone
from islet.opened import opened_registry
from islet.patterns.advise import advise
from islet.patterns.find import find
from islet.patterns.findings import Advice, Finding, PersonDays, Preferences
from islet.patterns.label_texts import SEVERITY, WHEELS
from islet.patterns.pattern_texts import NOTHING
from islet.patterns.told import Translate, advice_told, told
from islet.settings import Settings
from islet.store.person_days import stored_days, wishes_of
from islet.web.languages import LANGUAGES, words

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIABETES: Final = ("type_1", "type_2", "gestational", "unknown")


@click.command()
@click.option("--patient", metavar="ID", help="Of this data directory; the days up to their newest reading.")
@click.option(
    "--file", "files", multiple=True, type=_FILE, help="Any export that `islet import` reads; may be repeated."
)
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 366), help="How many, of --patient.")
@click.option("--zone", default="UTC", show_default=True, help="Of --file: where local times are, and days begin.")
@click.option("--unit", default="mg/dL", show_default=True, type=click.Choice(["mg/dL", "mmol/L"]), help="To show.")
@click.option("--file-unit", type=click.Choice(["mg/dL", "mmol/L"]), help="Of --file, where it does not say it.")
@click.option("--person", metavar="NAME", help="Of --file: whose rows, where a table names several people.")
@click.option("--goals", default="standard", show_default=True, type=click.Choice(list(PRESETS)), help="Whose goals.")
@click.option("--diabetes", type=click.Choice(_DIABETES), help="Where it is not kept, or another.")
@click.option("--like", multiple=True, metavar="FOOD", help="To be named first; may be repeated.")
@click.option("--dislike", multiple=True, metavar="FOOD", help="Not to be named; may be repeated.")
@click.option("--allergy", multiple=True, metavar="FOOD", help="Never to be named, nor what has it; may be repeated.")
@click.option("--cuisine", default="", type=click.Choice(["", "chinese", "western"]))
@click.option("--language", default="en", show_default=True, type=click.Choice(list(LANGUAGES)))
@click.option("--json", "as_json", is_flag=True, help="Everything, with all evidence, as one JSON document.")
@click.pass_obj
def patterns(settings: Settings, /, **given: Any) -> None:
    """What moves a person's glucose, and what to do about it. Not a medical device."""
    person = _with_wishes(_person(settings, given), given)
    goals = PRESETS[given["goals"]]
    findings = find(person, goals)
    advice = advise(findings, person, goals)
    if given["as_json"]:
        document = {"person": person.id, "goals": goals.name, "findings": findings, "advice": advice}
        click.echo(msgspec.json.encode(document).decode())
        return
    for line in _lines(findings, advice, words(given["language"]).text, given["unit"]):
        click.echo(line)


def _person(settings: Settings, given: dict[str, Any]) -> PersonDays:
    if bool(given["patient"]) == bool(given["files"]):
        raise click.UsageError("say whose: either --patient ID or --file FILE")
    if given["files"]:
        zone = named_zone(given["zone"], "--zone")
        return days_in(given["files"], Choices(zone=zone, unit=given["file_unit"], person=given["person"]))
    with opened_registry(settings) as registry, store_as_of_now(settings) as store:
        patient = registry.patient(given["patient"])
        if patient is None:
            raise NotFound(f"there is no patient {given['patient']!r} in this data directory")
        newest = next((one.time_us for one in store.latest([patient.id])), 0)
        wishes = wishes_of(registry, patient.id)
        return stored_days(store, patient, newest + 1 - given["days"] * DAY_US, newest + 1, wishes=wishes)


def _with_wishes(person: PersonDays, given: dict[str, Any]) -> PersonDays:
    """The person with what the options say, beside what is kept of them."""
    kept = person.preferences
    wishes = Preferences(
        likes=(*kept.likes, *given["like"]),
        dislikes=(*kept.dislikes, *given["dislike"]),
        allergies=(*kept.allergies, *given["allergy"]),
        cuisine=given["cuisine"] or kept.cuisine,
    )
    return replace(person, diabetes=given["diabetes"] or person.diabetes, preferences=wishes)


def _lines(findings: Sequence[Finding], advice: Sequence[Advice], translate: Translate, unit: str) -> Iterator[str]:
    """Findings by wheel, then advice in order."""
    if not findings:
        yield translate(NOTHING)
    for wheel, title in WHEELS.items():
        here = [one for one in findings if one.wheel is wheel]
        if not here:
            continue
        yield translate(title)
        for one in here:
            said = told(one, translate, unit)
            yield f"  {said.title} ({translate(SEVERITY[one.severity])}, {said.confidence})"
            yield f"    {said.sentence}"
            yield from (f"    - {caveat}" for caveat in said.caveats)
    for number, one_advice in enumerate(advice, start=1):
        said = advice_told(one_advice, translate, unit)
        yield f"{number}. {said.sentence} {' '.join(said.caveats)}".rstrip()
        yield f"   {said.title}; {said.confidence}; {said.source}"
