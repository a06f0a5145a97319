"""`islet audit`: who changed what, and whether the trail is whole."""

import sys
from collections.abc import Iterator
from typing import Final

import click

from islet.access.audit import AuditLine, first_broken
from islet.commands.people import with_registry
from islet.model.time import iso
from islet.store.base import Registry

_AT_ONCE: Final = 1000


@click.group()
def audit() -> None:
    """The audit trail: who changed rules and settings, when, from what to what."""


@audit.command("list")
@click.option("--after", default=0, show_default=True, type=click.IntRange(min=0), help="Lines behind this number.")
@click.option("--kind", help="Only what concerns this kind, as rule or rule_setting.")
@click.option("--values", is_flag=True, help="With what stood there before and what stands there now.")
@with_registry
def list_lines(registry: Registry, after: int, kind: str | None, values: bool) -> None:
    """Number, instant (UTC), who, what was done, and to what."""
    for line in _lines(registry, after):
        if kind in (None, line.kind):
            click.echo(f"{line.number}\t{iso(line.at_us)}\t{line.by}\t{line.action}\t{line.kind} {line.id}")
            if values:
                click.echo(f"\tbefore: {line.before or '-'}\n\tafter:  {line.after or '-'}")


@audit.command()
@click.option("--noted", help="NUMBER:SEAL, as an earlier call told: the line has to be there with that seal.")
@with_registry
def verify(registry: Registry, noted: str | None) -> None:
    """Whether every line follows from those before it; tells the last seal. Noted elsewhere, it shows later whether
    lines were cut off, or all were made anew."""
    last: list[AuditLine] = []
    number, _, seal = (noted or "").partition(":")
    missing = [noted] if noted else []

    def noting() -> Iterator[AuditLine]:
        for line in _lines(registry, 0):
            last[:] = [line]
            if (str(line.number), line.seal) == (number, seal):
                missing.clear()
            yield line

    broken = first_broken(noting())
    if broken is not None:
        click.echo(f"line {broken} does not follow from those before it: it, or one before it, was changed or removed")
        sys.exit(1)
    if missing:
        click.echo(f"line {number} is not there with the seal that was noted: lines were cut off, or made anew")
        sys.exit(1)
    count, seal = (last[0].number, last[0].seal) if last else (0, "-")
    click.echo(f"{count} lines, all whole; last seal {count}:{seal}")


def _lines(registry: Registry, after: int) -> Iterator[AuditLine]:
    while lines := registry.audit(after, _AT_ONCE):
        yield from lines
        after = lines[-1].number
