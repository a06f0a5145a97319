"""`islet hub`: the keys with which services come to the front door."""

import click

from islet.access.sas import POLICIES, ConnectionString, format_connection_string
from islet.clock import wall_us
from islet.commands.acting import who
from islet.decode.event_hub import ENTITY
from islet.model.time import iso
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.hub_policies import Renewed, Which, ensure_policy_keys, policy_key, renew_key, renewals

_POLICY = click.argument("policy", type=click.Choice(sorted(POLICIES)))


@click.group()
def hub() -> None:
    """The front door's own credentials."""


@hub.command("policies")
@click.pass_obj
def policies(settings: Settings) -> None:
    """Name, what it grants, and when its primary and its secondary key were made anew."""
    with opened_registry(settings) as registry:
        renewed = renewals(registry)
    for policy, rights in POLICIES.items():
        made = renewed.get(policy, Renewed())
        instants = (iso(us) if us else "-" for us in (made.primary_us, made.secondary_us))
        click.echo("\t".join((policy, ",".join(rights), *instants)))


@hub.command("connection-string")
@_POLICY
@click.option("--secondary", is_flag=True, help="With the secondary key.")
@click.option("--event-hub", is_flag=True, help="As libraries for Event Hubs take it (see the setting event_hub).")
@click.pass_obj
def connection_string(settings: Settings, policy: str, secondary: bool, event_hub: bool) -> None:
    """The connection string of a hub policy, as IoT Hub's service SDKs take it. It is a secret."""
    with opened_registry(settings) as registry:
        ensure_policy_keys(registry)
        key = policy_key(registry, policy, Which.SECONDARY if secondary else Which.PRIMARY)
    if event_hub:
        where = f"Endpoint=sb://{settings.hub_name}/"
        click.echo(f"{where};SharedAccessKeyName={policy};SharedAccessKey={key};EntityPath={ENTITY}")
    else:
        click.echo(_written(settings, policy, key))


@hub.command("renew")
@_POLICY
@click.argument("key", type=click.Choice([one.value for one in Which]))
@click.pass_obj
def renew(settings: Settings, policy: str, key: str) -> None:
    """Make one of a policy's keys anew and print the new connection string.

    What the old key has signed is refused at once; connections that came in with it end within a second. To keep
    services going: renew the secondary key, give it to them, then renew the primary one.
    """
    with opened_registry(settings) as registry:
        ensure_policy_keys(registry)
        made = renew_key(registry, policy, Which(key), by=who(None), at_us=wall_us())
    click.echo(_written(settings, policy, made))


def _written(settings: Settings, policy: str, key: str) -> str:
    return format_connection_string(ConnectionString(host=settings.hub_name, policy=policy, key=key))
