"""`islet users`, `islet patients`, `islet devices`: who and what Islet knows."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import click
from msgspec import structs

from islet.access.decide import EVERYBODY
from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import ConnectionString, format_connection_string
from islet.access.x509 import parse_thumbprint
from islet.clock import wall_us
from islet.commands.acting import note, who
from islet.commands.lazy import LazyGroup
from islet.commands.refusals import FiniteRange
from islet.decode.iothub import DEVICE_ID
from islet.errors import BadInput, NotFound
from islet.gateways.authenticate import new_device, with_certificate
from islet.model.people import Patient, Role, User, check_patient
from islet.model.time import DAY_US
from islet.opened import opened_registry
from islet.settings import Settings, listed
from islet.store.base import Registry
from islet.store.device_changes import assign
from islet.store.patient_groups import MAY_HAVE_GROUPS, check_group, group_name
from islet.store.second_factors import put_second_factor
from islet.store.subjects import unlink_subjects

P = ParamSpec("P")
R = TypeVar("R")

_TOGETHER: Final = 1000
_LEAST_PASSWORD: Final = 8  # characters; NIST SP 800-63B, 5.1.1.1
_MAY_SEE_EVERYBODY: Final = frozenset({Role.ADMINISTRATOR, Role.APPLICATION, Role.RESEARCHER})


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
@click.option("--role", type=click.Choice([r.value for r in Role if r is not Role.DEVICE]), help="Needed at first.")
@click.option("--patients", help="Comma-separated ids; group/TAG for those with a tag, * for all.")
@click.option(
    "--password",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    confirmation_prompt=True,
    help="At least 8 characters; asked for when it is needed and not given.",
)
@with_registry
def add_user(registry: Registry, name: str, role: str | None, patients: str | None, password: str | None) -> None:
    """Add somebody, or change of them what is given. A new password logs them out everywhere."""
    known = registry.user(name)
    if known is None:
        if role is None:
            raise click.UsageError("a new user needs a --role")
        if password is None:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        known = User(name=name, role=Role(role), password_hash="")
    changed = structs.replace(
        known,
        role=known.role if role is None else Role(role),
        patients=known.patients if patients is None else listed(patients),
    )
    _check_patients(registry, changed)
    if password is not None:
        if len(password) < _LEAST_PASSWORD:
            raise BadInput(f"password: expected at least {_LEAST_PASSWORD} characters", reason="password")
        changed = structs.replace(changed, password_hash=hash_password(password))
    registry.put_user(changed)
    note(registry, "changed" if known.password_hash else "added", "user", f"{name} as {changed.role}")
    click.echo(f"{name} {'can log in as' if changed.enabled else 'stays disabled as'} {changed.role}")


def _check_patients(registry: Registry, user: User) -> None:
    for patient in user.patients:
        if patient == EVERYBODY:
            if user.role not in _MAY_SEE_EVERYBODY:
                raise BadInput(f"patients: * is not for a {user.role}; give ids", reason="patients")
        elif name := group_name(patient):
            if user.role not in MAY_HAVE_GROUPS:
                raise BadInput(f"patients: a {user.role} has no groups of patients", reason="patients")
            check_group(registry, name)
        elif registry.patient(patient) is None:
            raise NotFound(f"there is no patient {patient!r}; add them first with `islet patients add`")


@users.command("disable")
@click.argument("name")
@with_registry
def disable_user(registry: Registry, name: str) -> None:
    """Log them out everywhere and refuse new log-ins."""
    registry.put_user(structs.replace(_user(registry, name), enabled=False))
    note(registry, "disabled", "user", name)
    click.echo(f"{name} is disabled")


@users.command("enable")
@click.argument("name")
@with_registry
def enable_user(registry: Registry, name: str) -> None:
    """Let a disabled user log in again, with the password they had."""
    registry.put_user(structs.replace(_user(registry, name), enabled=True))
    note(registry, "enabled", "user", name)
    click.echo(f"{name} can log in")


@users.command("revoke")
@click.argument("name")
@with_registry
def revoke_user(registry: Registry, name: str) -> None:
    """End all their sessions and API tokens; they can log in again."""
    registry.delete_sessions(_user(registry, name).name)
    note(registry, "logged out", "user", name)
    click.echo(f"{name} is logged out everywhere; no token of theirs is valid")


@users.command("forget-second-factor")
@click.argument("name")
@with_registry
def forget_second_factor(registry: Registry, name: str) -> None:
    """For somebody who has lost their phone and their recovery codes: the password alone lets them in again."""
    put_second_factor(registry, _user(registry, name).name, None)
    registry.delete_sessions(name)
    note(registry, "removed", "second_factor", name)
    click.echo(f"{name} is asked for no code any more, and has to log in again")


@users.command("unlink")
@click.argument("name")
@with_registry
def unlink_user(registry: Registry, name: str) -> None:
    """Forget their accounts at OpenID providers, and end their sessions; their password lets them in as before."""
    count = unlink_subjects(registry, _user(registry, name).name, by=who(None), at_us=wall_us())
    registry.delete_sessions(name)
    click.echo(f"{count} accounts of {name} are linked no more")


@users.command("token")
@click.argument("name")
@click.option(
    "--days",
    default=90.0,
    show_default=True,
    type=FiniteRange(0, 3650, min_open=True),
    help="How long it is valid.",
)
@with_registry
def user_token(registry: Registry, name: str, days: float) -> None:
    """An API token for an application; shown once."""
    token = new_token()
    now_us = wall_us()
    registry.create_session(token_hash(token), _user(registry, name).name, now_us + round(days * DAY_US), now_us)
    note(registry, "token made", "user", name)
    click.echo(token)


def _user(registry: Registry, name: str) -> User:
    user = registry.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}; `islet users list` shows all")
    return user


@click.group(
    cls=LazyGroup,
    elsewhere={"hba1c": "islet.commands.hba1c:enter_hba1c", "group": "islet.commands.patient_groups:group"},
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
