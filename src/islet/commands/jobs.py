"""`islet jobs`: what is done once a night, and doing it now."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import click

from islet.clock import clock
from islet.commands.as_of_now import store_as_of_now
from islet.engine.rulebook import RuleBook
from islet.jobs.schedule import Schedule
from islet.jobs.shipped import shipped
from islet.log.group_commit import GroupCommit
from islet.model.job_runs import Run
from islet.model.time import iso
from islet.opened import opened_log, opened_registry, opened_store
from islet.operations import logs
from islet.operations.locks import only_one
from islet.settings import Settings
from islet.store.base import Store


@contextmanager
def opened_schedule(
    settings: Settings, opened: Callable[[Settings], AbstractContextManager[Store]] = opened_store
) -> Iterator[Schedule]:
    """The jobs of a data directory, over its store as it is `opened`; a platform may run on it meanwhile."""
    with opened_log(settings) as log, opened(settings) as store, opened_registry(settings) as registry:
        now = clock(settings.speed, log.newest_received_us())
        with closing(GroupCommit(log, now, within_s=0.0)) as commit:
            yield shipped(
                store,
                registry,
                RuleBook(registry).current,
                commit,
                now,
                zone=settings.jobs_time_zone,
                hour=settings.jobs_hour,
                alone=lambda: only_one(settings.data_dir, ["jobs"]),
            )


@click.group()
def jobs() -> None:
    """Work that is done once a night over everybody."""


@jobs.command("list")
@click.pass_obj
def list_jobs(settings: Settings) -> None:
    """Name, what it does, how the last run went, and when the next one is due."""
    with opened_schedule(settings) as schedule:
        for one in schedule.status():
            click.echo(f"{one.name}\t{one.sentence}\t{said(one.run)}\tnext {iso(one.next_due_us)}")


@jobs.command("run")
@click.argument("name")
@click.pass_obj
def run_job(settings: Settings, name: str) -> None:
    """Do it now, over all that the log holds, whenever it is due. Refused while another job runs."""
    logs.configure("error", "text")
    with opened_schedule(settings, store_as_of_now) as schedule:
        run = schedule.run(name)
    click.echo(said(run))
    if run.outcome == "failed":
        raise click.ClickException(f"the job {name} failed ({run.error}); the log of this command says more")


def said(run: Run | None) -> str:
    """How a run went, in a few words.

    >>> said(None)
    'never ran'
    """
    if run is None:
        return "never ran"
    counts = ", ".join(f"{count} {what}" for what, count in run.counts.items())
    return f"{run.outcome} {iso(run.ended_us)} {run.error or counts}".strip()
