"""`islet devices job`: one command, method or desired configuration to many devices, at the platform that runs here."""

import json
from typing import Any

import click

from islet.commands.hub_client import HubClient
from islet.settings import Settings, listed


@click.group("job")
def job() -> None:
    """One command, method or desired configuration to many devices."""


@job.command("start")
@click.argument("id")
@click.option("--command", "command_name", help="A command for each mailbox, also of devices that are away: prompt …")
@click.option("--method", help="A method of each device, called when it is there.")
@click.option("--desired", help="Desired properties as JSON, merged into each twin.")
@click.option("--body", default="{}", show_default=True, help="Arguments of the command or method, as JSON.")
@click.option("--devices", help="Comma-separated ids; without it those --where tells.")
@click.option("--where", help="A condition as `tags.ward = 4`; * means all devices.")
@click.option("--minutes", default=60.0, show_default=True, help="How long it is tried.")
@click.pass_obj
def start_job(
    settings: Settings,
    id: str,
    command_name: str | None,
    method: str | None,
    desired: str | None,
    body: str,
    devices: str | None,
    where: str | None,
    minutes: float,
) -> None:
    """Start a job; `islet devices job show ID` tells how far it is."""
    if sum(one is not None for one in (command_name, method, desired)) != 1:
        raise click.UsageError("give one of --command, --method and --desired")
    if (devices is None) == (where is None):
        raise click.UsageError("give either --devices or --where (* for all devices)")
    asked: dict[str, object] = {"jobId": id, "maxExecutionTimeInSeconds": round(minutes * 60)}
    if desired is not None:
        asked |= {"type": "scheduleUpdateTwin", "updateTwin": {"properties": {"desired": _json("--desired", desired)}}}
    elif method is not None:
        call = {"methodName": method, "payload": _json("--body", body)}
        asked |= {"type": "scheduleDeviceMethod", "cloudToDeviceMethod": call}
    else:
        message = {**_json("--body", body), "command": command_name}
        asked |= {"type": "scheduleCommand", "cloudToDeviceMessage": message}
    asked |= {"deviceIds": listed(devices)} if devices is not None else {"queryCondition": where}
    click.echo(_line(HubClient(settings).call("PUT", f"/jobs/v2/{id}", asked)))


@job.command("list")
@click.pass_obj
def list_jobs(settings: Settings) -> None:
    """Id, type, status, and devices that are done, failed and all; newest first."""
    for one in HubClient(settings).call("GET", "/jobs/v2/query"):
        click.echo(_line(one))


@job.command("show")
@click.argument("id")
@click.pass_obj
def show_job(settings: Settings, id: str) -> None:
    """How a job stands, and what has become of it at each device."""
    hub = HubClient(settings)
    click.echo(_line(hub.call("GET", f"/jobs/v2/{id}")))
    query = {"query": "SELECT * FROM devices.jobs WHERE jobId = '{}'".format(id.replace("'", "\\'"))}
    for step in hub.call("POST", "/devices/query", query):
        answer = step["outcome"].get("deviceMethodResponse")
        said = json.dumps(answer) if answer else (step["error"] or {}).get("description", "")
        click.echo(f"{step['deviceId']}\t{step['status']}\ttries {step['tries']}\t{said}")


@job.command("cancel")
@click.argument("id")
@click.pass_obj
def cancel_job(settings: Settings, id: str) -> None:
    """Ask no more devices; what was asked already may still be done."""
    click.echo(_line(HubClient(settings).call("POST", f"/jobs/v2/{id}/cancel")))


def _line(one: dict[str, Any]) -> str:
    counts = one["deviceJobStatistics"]
    done = f"{counts['succeededCount']} done, {counts['failedCount']} failed of {counts['deviceCount']}"
    return f"{one['jobId']}\t{one['type']}\t{one['status']}\t{done}"


def _json(option: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.UsageError(f"{option}: expected a JSON object")
    return found
