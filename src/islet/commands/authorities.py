"""`islet authorities`: who may sign certificates of devices."""

from pathlib import Path

import click

from islet.access.x509 import thumbprint
from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.people import with_registry
from islet.gateways.authorities import named_authorities, put_authority, remove_authority
from islet.store.base import Registry


@click.group()
def authorities() -> None:
    """Certificate authorities whose devices may come in: the certificate's common name is the device's id."""


@authorities.command("list")
@with_registry
def list_authorities(registry: Registry) -> None:
    """Name and SHA-256 thumbprint."""
    for name, authority in named_authorities(registry).items():
        click.echo(f"{name}\t{thumbprint(authority.der)}")


@authorities.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_registry
def add_authority(registry: Registry, name: str, file: Path) -> None:
    """Trust an authority: FILE is its own certificate, PEM or DER."""
    click.echo(put_authority(registry, name, file.read_bytes(), by=who(None), at_us=wall_us()))


@authorities.command("remove")
@click.argument("name")
@with_registry
def remove(registry: Registry, name: str) -> None:
    """Trust it no more; its devices are disconnected within a second."""
    remove_authority(registry, name, by=who(None), at_us=wall_us())
    click.echo(f"authority {name} is trusted no more")
