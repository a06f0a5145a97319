"""`islet permissions`, `islet groups`, `islet keys`: who may do what, and why."""

from typing import Final

import click
import msgspec

from islet.access.actions import SUBJECTS, Action
from islet.access.decide import decide
from islet.access.keys import ApiKey
from islet.access.roles import OF_RIGHT, OF_ROLE
from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.lazy import LazyGroup
from islet.commands.people import new_key, of_keys, with_registry
from islet.commands.refusals import FiniteRange
from islet.errors import NotFound
from islet.model.people import Principal, Role
from islet.model.permissions import GRANT_PRIORITY, Permission, Verb
from islet.model.time import DAY_US, iso
from islet.settings import listed
from islet.store.base import EntryKind, Registry
from islet.store.grants import grant, put_group, revoke, revoke_key
from islet.store.principals import Principals, read_groups, read_permissions

_DAYS: Final = FiniteRange(0, 3650, min_open=True)


@click.group(
    cls=LazyGroup,
    elsewhere={
        "consent": "islet.commands.consents:enter_consent",
        "consents": "islet.commands.consents:list_consents",
    },
)
def permissions() -> None:
    """Who may do what for whom: the first line that fits decides, and without one the answer is no."""


@permissions.command("list")
@click.option("--to", "issued_to", help="Only those issued to this principal, as user/anna or group/ward-3.")
@click.option("--roles", is_flag=True, help="Also those that come with roles and hub policies.")
@with_registry
def list_permissions(registry: Registry, issued_to: str | None, roles: bool) -> None:
    """In the order in which they are asked: priority, id, yes or no, to whom, for whom, what, end, reason."""
    found = read_permissions(registry)
    if roles:
        found += [one for rows in (*OF_ROLE.values(), *OF_RIGHT.values()) for one in rows.values()]
    for one in found:
        if issued_to in (None, one.issued_to):
            click.echo(_line(one))


@permissions.command("grant")
@click.option(
    "--to", "issued_to", required=True, help="As user/anna, application/mirror, group/ward-3, role/clinician."
)
@click.option(
    "--for", "principal_for", default="", help="A patient's id, group/TAG, or `assigned`; everybody where not given."
)
@click.option("--action", type=click.Choice([one.value for one in Verb]), help="Every one where not given.")
@click.option("--subjects", default="", help=f"Comma-separated, of {', '.join(SUBJECTS)}; all where not given.")
@click.option("--refuse", is_flag=True, help="The answer is no, where it would be yes.")
@click.option("--priority", default=GRANT_PRIORITY, show_default=True, help="Lower numbers are asked first.")
@click.option("--days", type=_DAYS, help="It ends after so many days.")
@click.option("--reason", default="", help="Why, in words for the person whom it concerns.")
@with_registry
def grant_permission(
    registry: Registry,
    issued_to: str,
    principal_for: str,
    action: str | None,
    subjects: str,
    refuse: bool,
    priority: int,
    days: float | None,
    reason: str,
) -> None:
    """Allow something, or refuse it. It holds at once, also for what is open now."""
    now_us = wall_us()
    wanted = Permission(
        id="",
        issued_to=issued_to,
        principal_for=principal_for,
        action=Verb(action) if action else None,
        filter=listed(subjects) if subjects else (),
        priority=priority,
        authorized=not refuse,
        expires_us=now_us + round(days * DAY_US) if days else 0,
        reason=reason,
    )
    click.echo(_line(grant(registry, wanted, by=who(None), at_us=now_us)))


@permissions.command("revoke")
@click.argument("id")
@with_registry
def revoke_permission(registry: Registry, id: str) -> None:
    """Take a permission away. Sessions and streams that live by it end within a second."""
    revoke(registry, id, by=who(None), at_us=wall_us())
    click.echo(f"{id} holds no more")


@permissions.command()
@click.argument("principal")
@click.argument("action", type=click.Choice([one.value for one in Action]))
@click.argument("patient", required=False)
@with_registry
def explain(registry: Registry, principal: str, action: str, patient: str | None) -> None:
    """Whether PRINCIPAL (as user/anna or device/cgm-1) may do ACTION, for PATIENT, and which line says so."""
    decision = decide(_principal(registry, principal), Action(action), patient)
    line = f"; permission {decision.permission}" if decision.permission else ""
    click.echo(f"{'yes' if decision.allowed else 'no'}: {decision.reason}{line}")


@click.group()
def groups() -> None:
    """Principals that permissions are issued to as one."""


@groups.command("list")
@with_registry
def list_groups(registry: Registry) -> None:
    """Name and members."""
    for name, group in read_groups(registry).items():
        click.echo(f"{name}\t{','.join(group.members)}")


@groups.command("set")
@click.argument("name")
@click.argument("members", nargs=-1)
@with_registry
def set_group(registry: Registry, name: str, members: tuple[str, ...]) -> None:
    """Make or change a group: its MEMBERS, as user/anna; without any it is removed."""
    put_group(registry, name, members, by=who(None), at_us=wall_us())
    click.echo(f"group {name} has {len(members)} members" if members else f"group {name} is removed")


@click.group()
def keys() -> None:
    """Keys of applications, and tokens of people, for the API."""


@keys.command("list")
@with_registry
def list_keys(registry: Registry) -> None:
    """Id, whose it is, end, actions and purpose, of applications' keys and people's tokens; never the key."""
    for id, body in registry.entries(EntryKind.API_KEY).items():
        key = msgspec.json.decode(body, type=ApiKey)
        scope = "everything it may" if key.scope is None else ",".join(key.scope)
        click.echo(f"{id}\t{key.user}\t{iso(key.expires_us)}\t{scope}\t{key.purpose}")


@keys.command("add")
@click.argument("application")
@of_keys
@with_registry
def add_key(registry: Registry, application: str, days: float, only: str | None, purpose: str) -> None:
    """A key for an application; shown once."""
    found = registry.user(application)
    if found is None or found.role is not Role.APPLICATION:
        raise NotFound(f"there is no application {application!r}; make it with `islet users add --role application`")
    click.echo(new_key(registry, application, days, only, purpose))


@keys.command("revoke")
@click.argument("id")
@with_registry
def revoke_api_key(registry: Registry, id: str) -> None:
    """End a key, and all tokens that were made with it."""
    revoke_key(registry, id, by=who(None), at_us=wall_us())
    click.echo(f"{id} is not valid any more")


def _principal(registry: Registry, name: str) -> Principal:
    """Raises NotFound."""
    principals, (kind, _, of) = Principals(registry), name.partition("/")
    device = registry.device(of) if kind == "device" else None
    if device is not None:
        return principals.of_device(device, wall_us())
    user = registry.user(of) if kind in ("user", "application") else None
    if user is None:
        raise NotFound(f"there is no {name}; expected user/…, application/… or device/…")
    return principals.of_user(user, wall_us())


def _line(one: Permission) -> str:
    what = f"{one.action or 'everything'} {','.join(one.filter) or 'of every kind'}"
    ends = iso(one.expires_us) if one.expires_us else "-"
    whom, whose = one.issued_to or "anybody", one.principal_for or "everybody"
    answer = "yes" if one.authorized else "no"
    return f"{one.priority}\t{one.id}\t{answer}\t{whom}\t{whose}\t{what}\t{ends}\t{one.reason or '-'}"
