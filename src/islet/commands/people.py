"""`islet users`, `islet patients`, `islet devices`: who and what Islet knows."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import click
from msgspec import structs

from islet.access.actions import Action
from islet.access.sas import ConnectionString, format_connection_string
from islet.access.x509 import parse_thumbprint
from islet.clock import wall_us
from islet.commands.acting import note, who
from islet.commands.lazy import LazyGroup
from islet.commands.refusals import FiniteRange
from islet.decode.iothub import DEVICE_ID
from islet.erasure.users import remove_user
from islet.errors import BadInput, NotFound
from islet.gateways.authenticate import new_device, with_certificate
from islet.model.people import Patient, Role, User, check_patient
from islet.model.time import DAY_US
from islet.opened import opened_registry
from islet.settings import Settings, listed
from islet.store import people
from islet.store.base import Registry
from islet.store.consents import State, followings
from islet.store.device_changes import assign
from islet.store.grants import make_key

P = ParamSpec("P")
R = TypeVar("R")

_TOGETHER: Final = 1000


def with_registry(command: Callable[Concatenate[Registry, P], R]) -> Callable[P, R]:
    """Give a command the registry of the data directory."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        settings: Settings = click.get_current_context().obj
        with opened_registry(settings) as registry:
            return command(registry, *args, **kwargs)

    return wrapped


@click.group()
def users() -> None:
    """People and applications that log in."""


@users.command("list")
@with_registry
def list_users(registry: Registry) -> None:
    """Name, role and the patients they may see."""
    for user in registry.users():
        click.echo(f"{user.name}\t{user.role}\t{','.join(user.patients) or '-'}\t{'' if user.enabled else 'disabled'}")


@users.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in people.ROLES]), help="Needed at first.")
@click.option("--patients", help="Comma-separated ids; group/TAG for those with a tag, * for all.")
@click.option(
    "--password",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    confirmation_prompt=True,
    help="At least 8 characters; asked for when it is needed and not given.",
)
@click.option("--invite", is_flag=True, help="Show a link, once, with which they choose a password within 3 days.")
@with_registry
def add_user(
    registry: Registry, name: str, role: str | None, patients: str | None, password: str | None, invite: bool
) -> None:
    """Add somebody, or change of them what is given. A new password, or a link, logs them out everywhere."""
    known = registry.user(name)
    if invite and password is not None:
        raise click.UsageError("--invite lets them choose a password; give one of the two")
    if known is None and role is None:
        raise click.UsageError("a new user needs a --role")
    if known is None and password is None and not invite and role != Role.APPLICATION:  # which comes with keys
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    changed = people.put_person(
        registry,
        name,
        role=None if role is None else Role(role),
        patients=None if patients is None else listed(patients),
        password=password,
        by=who(None),
        at_us=wall_us(),
    )
    click.echo(f"{name} {'can log in as' if changed.enabled else 'stays disabled as'} {changed.role}")
    _tell_who_is_asked(registry, changed)
    if known is None and changed.role is Role.APPLICATION:
        click.echo(f"`islet keys add {name}` makes a key that it comes with")
    if invite:
        _tell_the_link(registry, name)


def _tell_who_is_asked(registry: Registry, user: User) -> None:
    asked = [
        one.patient for one in followings(registry, user.patients) if one.user == user and one.state is State.ASKED
    ]
    if asked:
        click.echo(
            f"{user.name} sees nothing of {', '.join(asked)} before consent is given: see `islet permissions consents`"
        )


def _tell_the_link(registry: Registry, name: str) -> None:
    settings: Settings = click.get_current_context().obj
    now_us = wall_us()
    token = people.invite(registry, name, now_us + people.INVITED_US, by=who(None), at_us=now_us)
    click.echo(f"{settings.public_url.rstrip('/')}/invitation/{token}")


@users.command("disable")
@click.argument("name")
@with_registry
def disable_user(registry: Registry, name: str) -> None:
    """Log them out everywhere and refuse new log-ins."""
    people.set_enabled(registry, name, False, by=who(None), at_us=wall_us())
    click.echo(f"{name} is disabled")


@users.command("enable")
@click.argument("name")
@with_registry
def enable_user(registry: Registry, name: str) -> None:
    """Let a disabled user log in again, with the password they had."""
    people.set_enabled(registry, name, True, by=who(None), at_us=wall_us())
    click.echo(f"{name} can log in")


@users.command("remove")
@click.argument("name")
@click.confirmation_option(prompt="Remove this account, and all that was theirs, for good?")
@with_registry
def remove_someone(registry: Registry, name: str) -> None:
    """Remove somebody for good, with keys, contacts, permissions and consents. The audit trail keeps what they did."""
    remove_user(registry, name, by=who(None), at_us=wall_us())
    click.echo(f"{name} is removed")


@users.command("revoke")
@click.argument("name")
@with_registry
def revoke_user(registry: Registry, name: str) -> None:
    """End all their sessions, tokens, keys and links; they can log in again."""
    people.end_sessions(registry, name, by=who(None), at_us=wall_us())
    click.echo(f"{name} is logged out everywhere; no token or key of theirs is valid")


@users.command("forget-second-factor")
@click.argument("name")
@with_registry
def forget_second_factor(registry: Registry, name: str) -> None:
    """For somebody who has lost their phone and their recovery codes: the password alone lets them in again."""
    people.forget_second_factor(registry, name, by=who(None), at_us=wall_us())
    click.echo(f"{name} is asked for no code any more, and has to log in again")


@users.command("unlink")
@click.argument("name")
@with_registry
def unlink_user(registry: Registry, name: str) -> None:
    """Forget their accounts at OpenID providers, and end their sessions; their password lets them in as before."""
    count = people.unlink(registry, name, by=who(None), at_us=wall_us())
    click.echo(f"{count} accounts of {name} are linked no more")


def of_keys(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of a new key or token."""
    days = FiniteRange(0, 3650, min_open=True)
    for option in (
        click.option("--purpose", default="", help="What it is for, in words."),
        click.option("--only", help=f"Comma-separated actions that it is for, of {', '.join(Action)}."),
        click.option("--days", default=90.0, show_default=True, type=days, help="How long it is valid."),
    ):
        command = option(command)
    return command


def new_key(registry: Registry, name: str, days: float, only: str | None, purpose: str) -> str:
    """A key of a user, to be shown once. Raises BadInput, NotFound."""
    now_us = wall_us()
    scope = None if only is None else listed(only)
    return make_key(registry, name, now_us + round(days * DAY_US), scope, purpose, by=who(None), at_us=now_us)[1]


@users.command("token")
@click.argument("name")
@of_keys
@with_registry
def user_token(registry: Registry, name: str, days: float, only: str | None, purpose: str) -> None:
    """A token with which a program does what somebody may, or less; shown once. `islet keys` lists and revokes it."""
    click.echo(new_key(registry, name, days, only, purpose))


@click.group(
    cls=LazyGroup,
    elsewhere={
        "erase": "islet.commands.erasing:erase",
        "export": "islet.commands.exporting:export",
        "group": "islet.commands.patient_groups:group",
        "hba1c": "islet.commands.hba1c:enter_hba1c",
    },
)
def patients() -> None:
    """People who wear sensors."""


@patients.command("list")
@with_registry
def list_patients(registry: Registry) -> None:
    """Id, profile, tags and time zone."""
    for patient in registry.patients():
        click.echo(f"{patient.id}\t{patient.profile or '-'}\t{','.join(patient.tags) or '-'}\t{patient.time_zone}")


@patients.command("add")
@click.argument("id")
@click.option("--label", help="What staff call them; never leaves the portal.")
@click.option("--time-zone", help="As Europe/Vienna; UTC for a new patient.")
@click.option("--tags", help="Comma-separated; they take the place of the earlier ones.")
@with_registry
def add_patient(registry: Registry, id: str, label: str | None, time_zone: str | None, tags: str | None) -> None:
    """Add a patient, or change of them what is given."""
    known = registry.patient(id) or Patient(id=id)
    changed = structs.replace(
        known,
        label=known.label if label is None else label,
        time_zone=known.time_zone if time_zone is None else time_zone,
        tags=known.tags if tags is None else listed(tags),
    )
    check_patient(changed)
    registry.put_patient(changed)
    note(registry, "put", "patient", id)
    click.echo(f"patient {id} is there")


@click.group(
    cls=LazyGroup,
    elsewhere={
        "claim-code": "islet.commands.device_claims:claim_code",
        "disable": "islet.commands.device_registry:disable_device",
        "enable": "islet.commands.device_registry:enable_device",
        "job": "islet.commands.device_jobs:job",
        "nightscout": "islet.commands.device_apps:nightscout_address",
        "renew-key": "islet.commands.device_registry:renew_key",
        "show": "islet.commands.device_registry:show_device",
        "unassign": "islet.commands.device_registry:unassign_device",
    },
)
def devices() -> None:
    """Sensors, phones and gateways."""


@devices.command("list")
@click.option("--search", default="", help="Only those with this in their id or their patient's.")
@with_registry
def list_devices(registry: Registry, search: str) -> None:
    """Id, patient, state and how it proves who it is."""
    after = ""
    while found := registry.find_devices(search, after=after, limit=_TOGETHER):
        for device in found:
            state = "enabled" if device.enabled else "disabled"
            click.echo(f"{device.id}\t{device.patient or '-'}\t{state}\t{device.authentication}")
        after = found[-1].id


@devices.command("add")
@click.argument("id")
@click.option("--patient", default="", help="Whose device it is.")
@click.option("--thumbprint", default="", help="It proves who it is with a certificate: SHA-1 or SHA-256 of it.")
@click.option("--signed", is_flag=True, help="It proves who it is with a certificate of one of `islet authorities`.")
@click.pass_obj
def add_device(settings: Settings, id: str, patient: str, thumbprint: str, signed: bool) -> None:
    """Register a device and print its connection string, once."""
    if thumbprint and signed:
        raise click.UsageError("--thumbprint and --signed are two ways; give one")
    if not DEVICE_ID.fullmatch(id) or "#" in id or "+" in id:  # IoT Hub's ids without MQTT's wildcards
        raise BadInput("device id: expected 1 to 128 of A-Z a-z 0-9 - . % _ * ? ! ( ) , = @ $ '", reason="device_id")
    with opened_registry(settings) as registry:
        if patient and registry.patient(patient) is None:
            raise NotFound(f"there is no patient {patient!r}; add them first with `islet patients add`")
        device = new_device(id, wall_us(), patient)
        if thumbprint or signed:
            device = with_certificate(device, parse_thumbprint(thumbprint))
        registry.create_device(device)
        note(registry, "added", "device", id)
    if device.primary_key:
        told = ConnectionString(host=settings.hub_name, device=id, key=device.primary_key)
        click.echo(format_connection_string(told))
    else:
        click.echo(f"HostName={settings.hub_name};DeviceId={id};x509=true")


@devices.command("assign")
@click.argument("id")
@click.argument("patient")
@with_registry
def assign_device(registry: Registry, id: str, patient: str) -> None:
    """Give a device to a patient; its next event is theirs."""
    assign(registry, id, patient, by=who(None), at_us=wall_us())
    click.echo(f"device {id} is worn by {patient}")
