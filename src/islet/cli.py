"""The command `islet`: its options, serve and demo; every other command is a file of the room `commands`."""

import asyncio
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from islet import __version__
from islet.commands.lazy import LazyGroup
from islet.commands.refusals import SEED, FiniteRange
from islet.settings import Settings, checked, listed, load, passed_over

_ELSEWHERE: Final = {
    "alarms": "alarms:alarms",
    "audit": "audit:audit",
    "authorities": "authorities:authorities",
    "bridge": "bridge:bridge",
    "certs": "storage:certs",
    "devices": "people:devices",
    "forecast": "forecast:forecast",
    "groups": "permissions:groups",
    "hub": "hub:hub",
    "import": "import_:import_",
    "jobs": "jobs:jobs",
    "keys": "permissions:keys",
    "metrics": "metrics:metrics",
    "patients": "people:patients",
    "patterns": "patterns:patterns",
    "permissions": "permissions:permissions",
    "report": "report:report",
    "rules": "rules:rules",
    "spark": "spark:spark",
    "store": "storage:store",
    "users": "people:users",
}
"""Commands that are in files of the room `commands`."""


@click.group(
    cls=LazyGroup,
    elsewhere={name: f"islet.commands.{place}" for name, place in _ELSEWHERE.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
@click.option("--settings", "file", type=click.Path(path_type=Path), help="TOML file with settings.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept (setting data_dir).")
@click.pass_context
def main(context: click.Context, file: Path | None, data_dir: Path | None) -> None:
    """Islet: glucose readings in, alarms out in milliseconds. Not a medical device."""
    settings = load(file, os.environ)
    if context.invoked_subcommand != "check":  # which tells them among its findings
        for sentence in passed_over(os.environ):
            click.echo(f"Warning: {sentence}", err=True)
    context.obj = replace(settings, data_dir=data_dir) if data_dir else settings


@main.command()
@click.option("--roles", help="Comma-separated roles of this process (all of them by default).")
@click.option("--speed", type=float, help="Run the platform's clock this many times faster.")
@click.pass_obj
def serve(settings: Settings, roles: str | None, speed: float | None) -> None:
    """Run the platform until Ctrl-C or SIGTERM, then drain and stop."""
    from islet.app import opened_platform, run_until_signal
    from islet.opened import first_administrator

    if roles is not None:
        settings = replace(settings, roles=listed(roles))
    if speed is not None:
        settings = replace(settings, speed=speed)
    with opened_platform(checked(settings)) as platform:
        password = first_administrator(platform.registry)
        if password is not None:
            click.echo(f"First start: log in as admin with the password {password} (it is shown only once)")
        run_until_signal(platform, partial(_tell_the_portal, settings))


async def _tell_the_portal(settings: Settings) -> None:
    """Where people find the portal, once it is open."""
    here = settings.public_url
    if not here and settings.https_port:
        here = f"https://{settings.hub_name}:{settings.https_port}"
    elif not here and settings.http_plain_port:
        here = f"http://{settings.host}:{settings.http_plain_port}"
    if here and "web" in settings.roles:
        click.echo(f"The portal is at {here}")


@main.command()
@click.option("--patients", default=25, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--speed", default=60.0, show_default=True, type=FiniteRange(1, 3600))
@click.option("--seed", default=7, show_default=True, type=SEED)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Where the page is, on this machine only.",
)
@click.pass_obj
def demo(settings: Settings, patients: int, speed: float, seed: int, port: int) -> None:
    """The whole platform with simulated patients, on this machine, in fast motion."""
    from islet.demo import run_demo

    data_dir = settings.data_dir if settings.data_dir != Settings().data_dir else Path("demo-data")
    quiet = replace(settings, log_level="warning", log_format="text")
    chosen = checked(replace(quiet, data_dir=data_dir, speed=speed, http_plain_port=port))
    run_demo(chosen, patients=patients, seed=seed)


@main.command()
@click.option("--patients", default=25, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option(
    "--minutes",
    default=0,
    type=click.IntRange(min=0),
    help="Stop after this many simulated minutes; 0 goes on until Ctrl-C.",
)
@click.option("--seed", default=7, show_default=True, type=SEED)
@click.pass_obj
def simulate(settings: Settings, patients: int, minutes: int, seed: int) -> None:
    """Simulated people whose devices speak MQTT to a platform that runs on this data directory."""
    from islet.demo import run_simulation

    click.echo(f"{run_simulation(settings, patients=patients, minutes=minutes, seed=seed)} events are acknowledged")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed", default=600.0, show_default=True, type=FiniteRange(1, 1_000_000), help="Times faster than life."
)
@click.option("--patient", help="Patient id; made from the file's name by default.")
@click.pass_obj
def replay(settings: Settings, file: Path, speed: float, patient: str | None) -> None:
    """Send a real person's workbook through the front door, as a device, with its times moved to now."""
    from islet.replay import run

    asyncio.run(run(settings, file, speed=speed, patient=patient))


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def agent(arguments: tuple[str, ...]) -> None:
    """A device: keeps what it measures until the platform has it (`islet agent --help`)."""
    from islet.agent.__main__ import main as run

    sys.exit(run(arguments))


@main.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Say what is wrong with this installation, and how to mend it."""
    from islet.opened import check_kafka, opened_log, opened_registry
    from islet.operations.check import findings
    from islet.provision import failing_parts

    def opens() -> None:
        with opened_registry(settings):
            if settings.log != "kafka":  # which is asked for itself
                with opened_log(settings):
                    pass

    found = findings(
        settings,
        os.environ,
        opens=opens,
        kafka=partial(check_kafka, settings),
        failing=partial(failing_parts, settings),
    )
    for finding in found:
        click.echo(f"{'ok  ' if finding.ok else 'MEND'}  {finding.what}: {finding.says}")
    sys.exit(0 if all(finding.ok for finding in found) else 1)


@main.command("settings")
@click.pass_obj
def show_settings(settings: Settings) -> None:
    """All settings with their present value (secrets hidden), unit and meaning."""
    from dataclasses import fields

    for one in fields(Settings):
        unit = one.metadata["unit"]
        value = "***" if unit == "secret" and getattr(settings, one.name) else getattr(settings, one.name)
        click.echo(
            f"{one.name} = {value}{f' {unit}' if unit and unit != 'secret' else ''}\n    {one.metadata['sentence']}"
        )


if __name__ == "__main__":
    main()
