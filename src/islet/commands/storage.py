"""`islet store` and `islet certs`: what is on the disk."""

import click

from islet.clock import wall_us
from islet.commands.as_of_now import store_as_of_now
from islet.gateways.certificates import ensure_certificates
from islet.opened import opened_log, opened_store
from islet.operations.locks import only_one
from islet.settings import Settings
from islet.store.rebuild import rebuild as rebuild_from_log


@click.group()
def store() -> None:
    """The store of readings, events and alerts."""


@store.command()
@click.pass_obj
def rebuild(settings: Settings) -> None:
    """Drop what is derived from the log, and read the log again. What is older than the log stays. Refused while a
    process with the role store runs."""
    with (
        only_one(settings.data_dir, ["store"]),
        opened_log(settings) as log,
        opened_store(settings) as derived,
        click.progressbar(length=1000, label="rebuilding", show_pos=False) as bar,
    ):
        shown = 0

        def progress(done: int, of: int) -> None:
            nonlocal shown
            reached = 1000 * done // max(of, 1)
            bar.update(reached - shown)
            shown = reached

        rebuild_from_log(derived, log, progress)
        counts = derived.counts()
    click.echo(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))


@store.command()
@click.pass_obj
def counts(settings: Settings) -> None:
    """How much of each kind there is, with all that the log holds."""
    with store_as_of_now(settings) as derived:
        for what, count in sorted(derived.counts().items()):
            click.echo(f"{what}\t{count}")


@click.command()
@click.pass_obj
def certs(settings: Settings) -> None:
    """Make (or renew) the local CA and the server's certificate; prints the CA file that devices have to trust."""
    paths = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
    click.echo(str(paths.authority))
