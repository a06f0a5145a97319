"""`islet users`, `islet patients`, `islet devices`, `islet hub`: who and what Islet knows."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
from msgspec import structs

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import POLICIES, ConnectionString, format_connection_string
from islet.app import opened_registry, wall_us
from islet.errors import IsletError, NotFound
from islet.gateways.authenticate import ensure_policy_keys, new_device, policy_secret
from islet.model.people import Patient, Role, User
from islet.model.time import DAY_US
from islet.settings import Settings
from islet.store.base import Registry

P = ParamSpec("P")
R = TypeVar("R")


def with_registry(command: Callable[Concatenate[Registry, P], R]) -> Callable[P, R]:
    """Give a command the registry of the data directory; Islet's own errors become one sentence."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        settings: Settings = click.get_current_context().obj
        try:
            with opened_registry(settings) as registry:
                return command(registry, *args, **kwargs)
        except IsletError as error:
            raise click.ClickException(str(error)) from error

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
@click.option("--role", type=click.Choice([r.value for r in Role if r is not Role.DEVICE]), required=True)
@click.option("--patients", default="", help="Comma-separated ids; * for all (applications).")
@click.password_option(help="Asked for when not given.")
@with_registry
def add_user(registry: Registry, name: str, role: str, patients: str, password: str) -> None:
    """Add somebody, or change their role, patients and password."""
    assigned = tuple(p for p in patients.split(",") if p)
    registry.put_user(User(name=name, role=Role(role), password_hash=hash_password(password), patients=assigned))
    click.echo(f"{name} can log in as {role}")


@users.command("disable")
@click.argument("name")
@with_registry
def disable_user(registry: Registry, name: str) -> None:
    """Log them out everywhere and refuse new log-ins."""
    registry.put_user(structs.replace(_user(registry, name), enabled=False))
    click.echo(f"{name} is disabled")


@users.command("token")
@click.argument("name")
@click.option("--days", default=90.0, show_default=True, help="How long it is valid.")
@with_registry
def user_token(registry: Registry, name: str, days: float) -> None:
    """An API token for an application; shown once."""
    token = new_token()
    registry.create_session(token_hash(token), _user(registry, name).name, wall_us() + round(days * DAY_US))
    click.echo(token)


def _user(registry: Registry, name: str) -> User:
    user = registry.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}; `islet users list` shows all")
    return user


@click.group()
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
@click.option("--label", default="", help="What staff call them; never leaves the portal.")
@click.option("--time-zone", default="UTC", show_default=True)
@click.option("--tags", default="", help="Comma-separated.")
@with_registry
def add_patient(registry: Registry, id: str, label: str, time_zone: str, tags: str) -> None:
    """Add a patient, or change one."""
    marks = tuple(t for t in tags.split(",") if t)
    registry.put_patient(Patient(id=id, label=label, time_zone=time_zone, tags=marks))
    click.echo(f"patient {id} is there")


@click.group()
def devices() -> None:
    """Sensors, phones and gateways."""


@devices.command("list")
@with_registry
def list_devices(registry: Registry) -> None:
    """Id, patient and state."""
    for device in registry.devices():
        click.echo(f"{device.id}\t{device.patient or '-'}\t{'enabled' if device.enabled else 'disabled'}")


@devices.command("add")
@click.argument("id")
@click.option("--patient", default="", help="Whose device it is.")
@click.pass_obj
def add_device(settings: Settings, id: str, patient: str) -> None:
    """Register a device and print its connection string, once."""
    try:
        with opened_registry(settings) as registry:
            if patient and registry.patient(patient) is None:
                raise NotFound(f"there is no patient {patient!r}; add them first with `islet patients add`")
            device = new_device(id, wall_us(), patient)
            registry.create_device(device)
    except IsletError as error:
        raise click.ClickException(str(error)) from error
    click.echo(format_connection_string(ConnectionString(host=settings.hub_name, device=id, key=device.primary_key)))


@devices.command("assign")
@click.argument("id")
@click.argument("patient")
@with_registry
def assign_device(registry: Registry, id: str, patient: str) -> None:
    """Give a device to a patient; its next event is theirs."""
    device = registry.device(id)
    if device is None or registry.patient(patient) is None:
        raise NotFound(f"there is no {'device' if device is None else 'patient'} of that id")
    registry.update_device(structs.replace(device, patient=patient))
    click.echo(f"device {id} is worn by {patient}")


@click.group()
def hub() -> None:
    """The front door's own credentials."""


@hub.command("connection-string")
@click.argument("policy", type=click.Choice(sorted(POLICIES)))
@click.pass_obj
def connection_string(settings: Settings, policy: str) -> None:
    """The connection string of a hub policy, as IoT Hub's service SDKs take it. It is a secret."""
    try:
        with opened_registry(settings) as registry:
            ensure_policy_keys(registry)
            key = registry.secret(policy_secret(policy)) or ""
    except IsletError as error:
        raise click.ClickException(str(error)) from error
    click.echo(format_connection_string(ConnectionString(host=settings.hub_name, policy=policy, key=key)))
