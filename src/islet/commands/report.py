"""`islet report`: the seven-day report and the three-month programme, of a file, a patient, or everybody."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import click

from islet.clock import wall_us
from islet.commands.as_of_now import store_as_of_now
from islet.commands.report_people import of_file
from islet.decode.imports.choices import choices_of
from islet.decode.imports.found import DateOrder
from islet.errors import NotFound
from islet.gathered import gathered, last_day
from islet.model.people import Patient
from islet.model.time import from_us
from islet.opened import opened_registry
from islet.patterns.findings import NO_WISHES, Wishes
from islet.reports.forms import FORMS, Form, Kind, Wish, file_name, written
from islet.reports.recorded import Recorded
from islet.reports.seven_day import DAYS, TARGETS
from islet.reports.voice import Voice
from islet.searched import search
from islet.settings import Settings
from islet.store.person_days import wishes_of
from islet.web.languages import LANGUAGES, words

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def report() -> None:
    """Reports on paper, on a page or as numbers: the seven-day report, the three-month programme."""


def _options(command: Any) -> Any:
    """The options that both reports have."""
    options = (
        click.option("--patient", metavar="ID", help="A patient of this data directory."),
        click.option("--file", type=_FILE, help="An export (see `islet import`); no server is needed."),
        click.option("--all", "everybody", is_flag=True, help="Every patient of this data directory."),
        click.option(
            "--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day; that of the newest reading else."
        ),
        click.option("--target", default="standard", show_default=True, type=click.Choice(list(TARGETS))),
        click.option(
            "--unit", default="mg/dL", show_default=True, type=click.Choice(["mg/dL", "mmol/L"]), help="Shown."
        ),
        click.option("--language", default="en", show_default=True, type=click.Choice(list(LANGUAGES))),
        click.option("--form", "forms", multiple=True, type=click.Choice(FORMS), help="May be repeated; html else."),
        click.option(
            "--out", type=click.Path(path_type=Path), default=Path(), help="A folder, or - for this terminal."
        ),
        click.option("--name", default="", help="What stands on the page in place of the id; not with --all."),
        click.option("--zone", help="With --file: where days begin, and of local times."),
        click.option("--file-unit", type=click.Choice(["mg/dL", "mmol/L"]), help="With --file, if it does not say."),
        click.option("--date-order", type=click.Choice(["ymd", "dmy", "mdy"]), help="With --file, if it can be two."),
        click.option("--person", metavar="NAME", help="With --file: whose rows, where a table names several people."),
        click.pass_obj,
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the options of a report say."""

    patient: str | None
    file: Path | None
    everybody: bool
    last: datetime | None
    target: str
    unit: str
    language: str
    forms: tuple[Form, ...]
    out: Path
    name: str
    zone: str | None
    file_unit: str | None
    date_order: DateOrder | None
    person: str | None

    @property
    def voice(self) -> Voice:
        return Voice(language=self.language, translations=words(self.language).translations, unit=self.unit)

    @property
    def until(self) -> date | None:
        return None if self.last is None else self.last.date()


@report.command("seven-day")
@click.option("--days", default="7", show_default=True, type=click.Choice([str(days) for days in DAYS]))
@_options
def seven_day(settings: Settings, days: str, **asked: Any) -> None:
    """A page for the patient, one for the care team, one of evidence. Seven days are a short window; --days 14 has GMI."""
    _report(settings, "seven-day", int(days), _Asked(**asked))


@report.command()
@_options
def programme(settings: Settings, **asked: Any) -> None:
    """Ninety days in rolling windows of fourteen, phase by phase, with HbA1c from the laboratory beside GMI."""
    _report(settings, "programme", 7, _Asked(**asked))


def _report(settings: Settings, kind: Kind, days: int, asked: _Asked) -> None:
    if sum((asked.patient is not None, asked.file is not None, asked.everybody)) != 1:
        raise click.UsageError("say whom: --patient ID, --file FILE or --all, one of them")
    if asked.everybody:
        _write_everybody(settings, kind, days, asked)
        return
    wishes = NO_WISHES
    if asked.file is not None:
        choices = choices_of(
            zone=asked.zone or "",
            unit=asked.file_unit or "",
            date_order=asked.date_order or "",
            person=asked.person or "",
        )
        one = of_file(asked.file, id=asked.file.stem, choices=choices, zone=choices.zone)
        until = asked.until or one.last_day() or from_us(wall_us()).date()
    else:
        person, wishes = _patient(settings, asked.patient or "")
        with store_as_of_now(settings) as store:
            until = asked.until or last_day(store, person, wall_us())
            one = gathered(store, person, kind, days, until, named=False)
    wish = Wish(kind=kind, last=until, days=days, target=asked.target)
    for path in _write(replace(one, label=asked.name), wish, asked, wishes):
        click.echo(path)


def _write_everybody(settings: Settings, kind: Kind, days: int, asked: _Asked) -> None:
    """A file for each patient; those without a reading are counted and left out."""
    if str(asked.out) == "-":
        raise click.UsageError("--all writes files: give a folder with --out")
    with opened_registry(settings) as registry:
        people = [(one, wishes_of(registry, one.id)) for one in registry.patients()]
    done = empty = 0
    with (
        store_as_of_now(settings) as store,
        click.progressbar(people, label="reports", show_pos=True) as bar,
    ):
        for person, wishes in bar:
            until = asked.until or last_day(store, person, wall_us())
            one = gathered(store, person, kind, days, until, named=False)
            if not len(one.series):
                empty += 1
                continue
            done += len(_write(one, Wish(kind=kind, last=until, days=days, target=asked.target), asked, wishes))
    click.echo(f"{done} files in {asked.out}; {empty} patients have no readings in these days")


def _write(one: Recorded, wish: Wish, asked: _Asked, wishes: Wishes) -> list[Path]:
    """The report in each form, as a file of its own in the folder, or on the terminal."""
    paths: list[Path] = []
    for form in asked.forms or ("html",):
        content = written(one, wish, form, asked.voice, found=search(wishes))
        if str(asked.out) == "-":
            click.echo(content, nl=False)
            continue
        asked.out.mkdir(parents=True, exist_ok=True)
        path = asked.out / file_name(one, wish, form)
        path.write_bytes(content)
        path.chmod(0o600)  # health data
        paths.append(path)
    return paths


def _patient(settings: Settings, id: str) -> tuple[Patient, Wishes]:
    with opened_registry(settings) as registry:
        found = registry.patient(id)
        if found is None:
            raise NotFound(f"there is no patient {id!r}; `islet patients list` shows all")
        return found, wishes_of(registry, id)
