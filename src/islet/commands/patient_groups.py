"""`islet patients group`: the groups of patients, who is in them, and who has them."""

import click

from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.people import with_registry
from islet.engine import groups
from islet.engine.rulebook import RuleBook
from islet.store.base import Registry
from islet.store.patient_groups import (
    assign_group,
    assigned,
    check_group,
    members,
    put_members,
)

_PATIENTS = click.argument("patients", nargs=-1, required=True)


@click.group("group")
def group() -> None:
    """Groups of patients: those with one tag, for rules and for who sees them."""


@group.command("list")
@with_registry
def list_groups(registry: Registry) -> None:
    """Name, patients, and the users who have it."""
    having = assigned(registry.users())
    for name, patients in members(registry.patients()).items():
        click.echo(f"{name}\t{','.join(patients)}\t{','.join(having.get(name, ())) or '-'}")


@group.command("add")
@click.argument("name")
@_PATIENTS
@with_registry
def add(registry: Registry, name: str, patients: tuple[str, ...]) -> None:
    """Add PATIENTS to a group, which is made where there is none."""
    put_members(registry, name, add=patients, by=who(None), at_us=wall_us())
    _tell(registry, name)


@group.command("remove")
@click.argument("name")
@_PATIENTS
@with_registry
def remove(registry: Registry, name: str, patients: tuple[str, ...]) -> None:
    """Take PATIENTS out of a group; who sees them by it does so no more."""
    put_members(registry, check_group(registry, name), remove=patients, by=who(None), at_us=wall_us())
    _tell(registry, name)


@group.command("rename")
@click.argument("name")
@click.argument("to")
@with_registry
def rename(registry: Registry, name: str, to: str) -> None:
    """Give a group another name, also where rules, users and permissions name it."""
    groups.rename(registry, RuleBook(registry), name, to, by=who(None), at_us=wall_us())
    click.echo(f"group {name} is {to} now")


@group.command("delete")
@click.argument("name")
@with_registry
def delete(registry: Registry, name: str) -> None:
    """End a group: its patients stay, without it, and what was set or granted for it holds no more."""
    groups.delete(registry, RuleBook(registry), name, by=who(None), at_us=wall_us())
    click.echo(f"group {name} is no more")


@group.command("assign")
@click.argument("name")
@click.argument("user")
@click.option("--end", is_flag=True, help="The group's patients are theirs no more.")
@with_registry
def assign(registry: Registry, name: str, user: str, end: bool) -> None:
    """Make the group's patients, of today and later, those of a clinician, a researcher or an application."""
    assign_group(registry, user, name, given=not end, by=who(None), at_us=wall_us())
    click.echo(f"{user} {'has the group no more' if end else f'has the patients of {name}'}")


def _tell(registry: Registry, name: str) -> None:
    click.echo(f"group {name} has {len(members(registry.patients()).get(name, ()))} patients")
