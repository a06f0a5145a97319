"""The page about groups: of patients (who is in them, who has them, their rules), and of those who look after them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.actions import Action
from islet.engine import groups as ruled
from islet.engine.rulebook import RuleBook
from islet.errors import BadInput
from islet.store.grants import put_group
from islet.store.patient_groups import MAY_HAVE_GROUPS, assign_group, assigned, check_group, members, put_members
from islet.store.principals import read_groups
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.sessions import Viewer, own_viewer


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientGroup:
    """A group of patients as the page shows it: the ids of its patients, and the names of the users who have it."""

    name: str
    patients: tuple[str, ...]
    users: tuple[str, ...]


def routes(context: WebContext) -> list[BaseRoute]:
    return [page(context, "/groups", show), form(context, "/groups", change)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """All groups, for administrators."""
    viewer.require(Action.ADMINISTER)
    users = context.registry.users()
    having = assigned(users)
    groups = members(context.registry.patients()).items()
    values = {
        "groups": [
            PatientGroup(name=name, patients=patients, users=tuple(having.get(name, ()))) for name, patients in groups
        ],
        "people": [user.name for user in users if user.role in MAY_HAVE_GROUPS],
        "staff": read_groups(context.registry),
    }
    return render(context, request, viewer, "groups.html", values, data={})


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Add or take out patients, rename or end a group, give it to somebody or take it from them; or who is in a group
    of those who look after patients."""
    viewer.require(Action.ADMINISTER)
    own_viewer(viewer)
    act, name = fields.get("act", ""), fields.get("name", "").strip()
    registry, by, at_us = context.registry, viewer.name, context.now()
    listed = tuple(part for part in re.split(r"[\s,]+", fields.get("members", "")) if part)
    if act == "add" and listed:
        put_members(registry, name, add=listed, by=by, at_us=at_us)
    elif act == "remove" and listed:
        put_members(registry, check_group(registry, name), remove=listed, by=by, at_us=at_us)
    elif act == "rename":
        ruled.rename(registry, _book(context), name, fields.get("to", "").strip(), by=by, at_us=at_us)
    elif act == "delete":
        ruled.delete(registry, _book(context), name, by=by, at_us=at_us)
    elif act in ("give", "take"):
        assign_group(registry, fields.get("user", ""), name, given=act == "give", by=by, at_us=at_us)
    elif act == "staff":
        put_group(registry, name, listed, by=by, at_us=at_us)
    else:
        raise BadInput("groups: expected add, remove, rename, delete, give, take or staff", reason="form")
    return RedirectResponse("/groups", 303)


def _book(context: WebContext) -> RuleBook:
    return context.rules or RuleBook(context.registry)
