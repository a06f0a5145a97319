"""The pages about people: who can log in, what they are and whose patients they have; made, changed and helped in here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.actions import Action
from islet.access.decide import EVERYBODY
from islet.erasure.users import remove_user
from islet.errors import BadInput, NotFound
from islet.model.people import Role, User
from islet.store import people
from islet.store.consents import followings
from islet.store.grants import revoke_key
from islet.store.principals import read_keys_of
from islet.store.second_factors import read_second_factor
from islet.store.subjects import linked_subjects
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.invitations import link_for
from islet.web.languages import language_of, words
from islet.web.queries import number_of
from islet.web.sessions import Viewer, own_viewer
from islet.web.texts import ROLES

PER_PAGE: Final = 50
_MOST_PAGES: Final = 100_000
_SHOWN: Final = 3
_LONGEST: Final = 20_000
"""Characters of a field: a nurse has many patients."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One page of those who were searched for; `pages` is 1 at least."""

    users: list[User]
    total: int
    number: int
    pages: int


def routes(context: WebContext) -> list[BaseRoute]:
    return [
        page(context, "/people", show),
        form(context, "/people", add, longest=_LONGEST),
        page(context, "/people/{name:path}", show_one),
        form(context, "/people/{name:path}", change, longest=_LONGEST),
    ]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Everybody, or those whose name has a text in it or who have a role, by name."""
    viewer.require(Action.ADMINISTER)
    return _list(context, request, viewer)


def add(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Somebody new; for a person the link with which they choose a password, this once."""
    viewer.require(Action.ADMINISTER)
    own_viewer(viewer)
    name = fields.get("name", "").strip()
    try:
        role = _role(fields)
        people.put_person(
            context.registry, name, role=role, patients=_patients(fields), new=True, by=viewer.name, at_us=context.now()
        )
    except (BadInput, NotFound) as error:
        return _list(context, request, viewer, entered=fields, problem=str(error))
    if role is Role.APPLICATION:
        return _one(context, request, viewer, name, done="kept")
    return _one(context, request, viewer, name, link=link_for(context, request, name, by=viewer.name))


def show_one(context: WebContext, request: Request, viewer: Viewer) -> Response:
    viewer.require(Action.ADMINISTER)
    done = request.query_params.get("said", "")
    return _one(context, request, viewer, request.path_params["name"], done=done)


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """What they are, whether they can log in, and help for who has lost a password or a phone."""
    viewer.require(Action.ADMINISTER)
    own_viewer(viewer)
    name = request.path_params["name"]
    try:
        link = _changed(context, request, viewer, name, fields)
    except BadInput as error:
        return _one(context, request, viewer, name, entered=fields, problem=str(error))
    except NotFound as error:
        if context.registry.user(name) is None:
            raise
        return _one(context, request, viewer, name, entered=fields, problem=str(error))
    if link:
        return _one(context, request, viewer, name, link=link)
    again = "/people" if fields.get("act") == "remove" else f"/people/{quote(name, safe='')}?said=kept"
    return RedirectResponse(again if context.registry.session(viewer.credential, context.now()) else "/login", 303)


def _changed(context: WebContext, request: Request, viewer: Viewer, name: str, fields: Mapping[str, str]) -> str:
    """Do what the form says; the link that came of it, or ""."""
    registry, by, at_us, act = context.registry, viewer.name, context.now(), fields.get("act", "")
    if act == "change":
        role, patients = _role(fields), _patients(fields)
        people.put_person(registry, name, role=role, patients=patients, new=False, by=by, at_us=at_us)
    elif act in ("enable", "disable"):
        people.set_enabled(registry, name, act == "enable", by=by, at_us=at_us)
    elif act == "end_sessions":
        people.end_sessions(registry, name, by=by, at_us=at_us)
    elif act == "forget_second_factor":
        people.forget_second_factor(registry, name, by=by, at_us=at_us)
    elif act == "unlink":
        people.unlink(registry, name, by=by, at_us=at_us)
    elif act == "revoke_key" and fields.get("id") in read_keys_of(registry, name):
        revoke_key(registry, fields["id"], by=by, at_us=at_us)
    elif act == "remove":
        if fields.get("sure", "").strip() != name:
            raise BadInput("people: expected the name of who is to be removed", reason="form")
        remove_user(registry, name, by=by, at_us=at_us)
    elif act == "invite":
        return link_for(context, request, name, by=by)
    else:
        acts = "change, enable, disable, end_sessions, forget_second_factor, unlink, invite, remove, or revoke_key and a key of theirs"
        raise BadInput(f"people: expected {acts}", reason="form")
    return ""


def _list(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    *,
    entered: Mapping[str, str] | None = None,
    problem: str = "",
) -> Response:
    query = request.query_params
    sought, role = query.get("search", "").strip()[:100], query.get("role", "")
    number = number_of(query.get("page", "1") or "1", least=1, most=_MOST_PAGES)
    values = {
        "found": _found(context, sought, role, number),
        "sought": sought,
        "role": role,
        "query": {"search": sought, "role": role},
        "patients_of": _patients_shown,
        "entered": entered or {},
        "problem": problem,
    }
    return render(
        context,
        request,
        viewer,
        "people.html",
        values | _roles(request, viewer),
        data={},
        status=400 if problem else 200,
    )


def _one(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    name: str,
    *,
    link: str = "",
    done: str = "",
    entered: Mapping[str, str] | None = None,
    problem: str = "",
) -> Response:
    """Raises NotFound."""
    user = context.registry.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    factor = read_second_factor(context.registry, name)
    values = {
        "user": user,
        "path": f"/people/{quote(name, safe='')}",
        "has_factor": factor is not None and factor.confirmed,
        "accounts": linked_subjects(context.registry, name),
        "followings": [one for one in followings(context.registry) if one.user.name == name],
        "keys": sorted(read_keys_of(context.registry, name).items(), key=lambda one: one[1].expires_us),
        "now_us": context.now(),
        "minute": minute,
        "link": link,
        "done": done == "kept",
        "entered": entered or {"role": user.role, "patients": ", ".join(user.patients)},
        "problem": problem,
    }
    return render(
        context, request, viewer, "user.html", values | _roles(request, viewer), data={}, status=400 if problem else 200
    )


def _found(context: WebContext, sought: str, role: str, number: int) -> Found:
    text = sought.casefold()
    users = [
        user for user in context.registry.users() if text in user.name.casefold() and role in ("", user.role.value)
    ]
    users.sort(key=lambda user: (user.name.casefold(), user.name))
    pages = max(1, -(-len(users) // PER_PAGE))
    number = min(number, pages)
    shown = users[(number - 1) * PER_PAGE : number * PER_PAGE]
    return Found(users=shown, total=len(users), number=number, pages=pages)


def _patients_shown(user: User) -> str:
    """The first few, and how many there are."""
    more = "" if len(user.patients) <= _SHOWN else f" … ({len(user.patients)})"
    return ", ".join(user.patients[:_SHOWN]) + more


def _roles(request: Request, viewer: Viewer) -> dict[str, object]:
    text = words(language_of(request, viewer.user)).text
    return {"roles": {role.value: text(ROLES[role]) for role in people.ROLES}, "everybody": EVERYBODY}


def _role(fields: Mapping[str, str]) -> Role:
    """Raises BadInput."""
    if fields.get("role") not in people.ROLES:
        raise BadInput(f"role: expected one of {', '.join(people.ROLES)}", reason="role")
    return Role(fields["role"])


def _patients(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Ids in a field, each once, in their order."""
    return tuple(dict.fromkeys(part for part in re.split(r"[\s,]+", fields.get("patients", "")) if part))
