"""`islet rules`: which rules there are, what one would have found, and what is set for whom."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import click
from msgspec import structs

from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.refusals import FiniteRange
from islet.commands.try_rule import tried
from islet.engine.frontmatter import line_of
from islet.engine.history_check import check_asked
from islet.engine.in_force import Rules
from islet.engine.parameters import Layer, Override
from islet.engine.rulebook import RuleBook
from islet.engine.rules import Rule, check_rule, load_rules, read_rule
from islet.engine.standing import Place, Standing, standings
from islet.errors import BadInput, NotFound, RuleRefused
from islet.model.people import Patient, Role
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.base import Registry
from islet.web.languages import LANGUAGES

P = ParamSpec("P")
R = TypeVar("R")

_BY: Final = click.option("--by", help="For whom you do this; the trail names them beside your account.")
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def with_book(command: Callable[Concatenate[Registry, RuleBook, P], R]) -> Callable[P, R]:
    """Give a command the registry of the data directory, and its rule book."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        settings: Settings = click.get_current_context().obj
        with opened_registry(settings) as registry:
            return command(registry, RuleBook(registry), *args, **kwargs)

    return wrapped


def with_place(command: Callable[P, R]) -> Callable[P, R]:
    """Options that say for whom: everybody, a group, or a patient."""
    group = click.option("--group", metavar="TAG", help="Of the patients with this tag.")
    patient = click.option("--patient", metavar="ID", help="Of this patient alone.")
    return group(patient(command))


@click.group()
def rules() -> None:
    """The alarm rules: what is shipped, what is yours, and what is set for whom."""


@rules.command("list")
@with_place
@click.option("--lang", default="en", show_default=True, type=click.Choice(list(LANGUAGES)), help="Language of titles.")
@with_book
def list_rules(registry: Registry, book: RuleBook, group: str | None, patient: str | None, lang: str) -> None:
    """Name, severity, on or off, title, parameters; in brackets who set it, where that is not the rule itself."""
    now = book.current()
    for one in standings(now, _place(registry, group, patient)):
        click.echo(
            "\t".join((one.rule.name, one.rule.severity, _state(one), now.titles(lang)[one.rule.name], _levels(one)))
        )
    for broken in now.broken:
        click.echo(f"{broken.name}\tLEFT OUT\t{broken.reason}")


@rules.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.pass_obj
def check(settings: Settings, files: tuple[Path, ...]) -> None:
    """Whether each FILE is a rule that can run here; if not, the line, the reason and what is allowed."""
    beside, shipped = list(_known_rules(settings)), {rule.name: rule.sql for rule in load_rules()}
    failed = False
    for file in files:
        try:
            rule = read_rule(_text(file))
            if shipped.get(rule.name, rule.sql) != rule.sql:
                reason = f"{rule.name!r} is a rule that is shipped; choose another name"
                raise RuleRefused(reason, line=line_of(rule.sql, "name"))
            check_rule(rule, beside)
            check_asked(rule, beside)
        except (RuleRefused, BadInput) as error:
            failed = True
            click.echo(f"{file}: {error}")
        else:
            beside = [*(other for other in beside if other.name != rule.name), rule]
            click.echo(f"{file}: {rule.name} is a rule that can run")
    sys.exit(1 if failed else 0)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadInput("expected text in UTF-8", reason="rule") from None


def _known_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules beside which another one has to stand; where nothing is installed, those that are shipped."""
    if not (settings.data_dir / "store.db").exists():
        return load_rules()
    with opened_registry(settings) as registry:
        return RuleBook(registry).current().plan.rules


@rules.command("try")
@click.argument("rule", metavar="RULE|FILE")
@click.option("--patient", required=True, metavar="ID", help="Whose readings.")
@click.option("--days", default=14.0, show_default=True, type=FiniteRange(0, 366, min_open=True))
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Write an SVG picture here.")
@click.option("--draw/--no-draw", default=None, help="Draw a small picture of characters (in a terminal by default).")
@with_book
def try_rule(
    registry: Registry,
    book: RuleBook,
    rule: str,
    patient: str,
    days: float,
    picture: Path | None,
    draw: bool | None,
) -> None:
    """What a rule of the book, or one in a FILE, would have found in a patient's last days. Nobody is told."""
    settings: Settings = click.get_current_context().obj
    now = book.current()
    named = {one.name: one for one in now.plan.rules}
    if rule in named:
        found = named[rule]
    elif Path(rule).is_file():
        found = read_rule(_text(Path(rule)))
        check_rule(found, now.plan.rules)
    else:
        raise NotFound(f"{rule!r} is neither a rule of the book (`islet rules list`) nor a file")
    drawing = sys.stdout.isatty() if draw is None else draw
    for line in tried(settings, now, found, _patient(registry, patient), days, picture, drawing=drawing):
        click.echo(line)


@rules.command()
@click.argument("file", type=_FILE)
@_BY
@with_book
def add(registry: Registry, book: RuleBook, file: Path, by: str | None) -> None:
    """Take the rule in FILE into the book, or a new version of it; the platform uses it at once."""
    rule = book.add(_text(file), by=who(by), at_us=wall_us())
    click.echo(f"{rule.name} is in the book; it looks at {_whom(rule)}")


@rules.command()
@click.argument("name")
@_BY
@with_book
def remove(registry: Registry, book: RuleBook, name: str, by: str | None) -> None:
    """Take a rule of your own out of the book, with all that was set for it; its running alerts end."""
    book.remove(name, by=who(by), at_us=wall_us())
    click.echo(f"{name} is out of the book")


@rules.command("set")
@click.argument("rule")
@click.argument("levels", nargs=-1, metavar="[PARAMETER=VALUE]...")
@with_place
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off.")
@_BY
@with_book
def set_rule(
    registry: Registry,
    book: RuleBook,
    rule: str,
    levels: tuple[str, ...],
    group: str | None,
    patient: str | None,
    enabled: bool | None,
    by: str | None,
) -> None:
    """Switch a rule on or off, or set its parameters: for everybody, a group, or a patient. The rest stays."""
    if enabled is None and not levels:
        raise click.UsageError("say --on, --off or PARAMETER=VALUE; `islet rules reset` takes settings back")
    place = _place(registry, group, patient)
    before = book.current().override(rule, place.layer, place.of) or _override(rule, place.layer, place.of)
    changed = structs.replace(
        before,
        enabled=before.enabled if enabled is None else enabled,
        parameters=before.parameters | dict(map(_level, levels)),
        author=who(by),
        set_us=wall_us(),
    )
    book.set(changed, Role.ADMINISTRATOR)
    _tell(book.current(), rule, place)


@rules.command()
@click.argument("rule")
@with_place
@_BY
@with_book
def reset(
    registry: Registry, book: RuleBook, rule: str, group: str | None, patient: str | None, by: str | None
) -> None:
    """Take back what is set for a rule at one place; what is set for more people, or the rule itself, holds again."""
    place = _place(registry, group, patient)
    book.set(
        structs.replace(_override(rule, place.layer, place.of), author=who(by), set_us=wall_us()), Role.ADMINISTRATOR
    )
    _tell(book.current(), rule, place)


def _tell(now: Rules, rule: str, place: Place) -> None:
    (one,) = (one for one in standings(now, place) if one.rule.name == rule)
    click.echo(f"{rule}: {_state(one)}{', ' if one.levels else ''}{_levels(one)}")


def _override(rule: str, layer: Layer, of: str) -> Override:
    return Override(rule=rule, layer=layer, of=of, author="", set_us=0)


def _place(registry: Registry, group: str | None, patient: str | None) -> Place:
    if group is not None and patient is not None:
        raise click.UsageError("--group or --patient, not both")
    if patient is not None:
        return Place.one(_patient(registry, patient))
    return Place.everybody() if group is None else Place.group(group)


def _patient(registry: Registry, id: str) -> Patient:
    patient = registry.patient(id)
    if patient is None:
        raise NotFound(f"there is no patient {id!r}; `islet patients list` shows all")
    return patient


def _level(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise BadInput(f"expected PARAMETER=VALUE with a number; got {text!r}", reason="parameter") from None


def _state(one: Standing) -> str:
    tags = one.rule.enabled.removeprefix("tags:") if one.rule.enabled.startswith("tags:") else ""
    state = "on" if one.on else f"on for {tags}" if tags and one.set_by == "rule" else "off"
    return state if one.set_by == "rule" else f"{state} ({one.set_by})"


def _levels(one: Standing) -> str:
    return ", ".join(
        f"{level.name} = {level.value:g}{f' {level.parameter.unit}' if level.parameter.unit else ''}"
        + ("" if level.set_by == "rule" else f" ({level.set_by})")
        for level in one.levels
    )


def _whom(rule: Rule) -> str:
    if rule.enabled.startswith("tags:"):
        return f"patients tagged {rule.enabled.removeprefix('tags:')}"
    return "all patients" if rule.enabled == "all" else "nobody until it is switched on"
