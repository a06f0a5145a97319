"""Pages about access: the table of permissions, acting as somebody, and the audit trail."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.actions import SUBJECTS, Action
from islet.access.audit import AuditLine
from islet.access.decide import decide
from islet.access.keys import ApiKey
from islet.access.passwords import new_token, token_hash
from islet.errors import AccessDenied, BadInput, NotFound
from islet.model.permissions import GRANT_PRIORITY, Permission, Verb
from islet.model.time import DAY_US, iso
from islet.store.base import EntryKind
from islet.store.consents import followings
from islet.store.grants import grant, revoke, revoke_key
from islet.store.principals import read_permissions
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.consents import enter_paper
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer, own_viewer, set_session_cookie
from islet.web.texts import reason

_ACTING_H: Final = 1.0
_TRAIL_SHOWN: Final = 200
_ADMINISTRATORS: Final = (Action.ADMINISTER, Action.IMPERSONATE)


def routes(context: WebContext) -> list[BaseRoute]:
    return [
        page(context, "/permissions", show_permissions),
        form(context, "/permissions", change_permissions),
        form(context, "/impersonate", impersonate),
        page(context, "/audit", show_audit),
    ]


def show_permissions(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """What was granted and refused, and the keys, for administrators."""
    viewer.require(Action.ADMINISTER)
    keys = context.registry.entries(EntryKind.API_KEY)
    now_us = context.now()
    values = {
        "permissions": [(one, 0 < one.expires_us <= now_us) for one in read_permissions(context.registry)],
        "ends": lambda us: minute(us) if us else "–",
        "reason": lambda text: reason(words(language_of(request, viewer.user)).text, text),
        "keys": [(id, msgspec.json.decode(body, type=ApiKey)) for id, body in keys.items()],
        "verbs": list(Verb),
        "subjects": SUBJECTS,
        "first": GRANT_PRIORITY,
        "followings": followings(context.registry),
        "may_act": viewer.may(Action.IMPERSONATE),
    }
    return render(context, request, viewer, "permissions.html", values, data={})


def change_permissions(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Grant, refuse, or take away a permission; end a key; enter a consent that is on paper."""
    viewer.require(Action.ADMINISTER)
    own_viewer(viewer)  # what is granted outlives the key that it came with
    act, by, now_us = fields.get("act", ""), viewer.name, context.now()
    if act == "revoke":
        revoke(context.registry, fields.get("id", ""), by=by, at_us=now_us)
    elif act == "revoke_key":
        revoke_key(context.registry, fields.get("id", ""), by=by, at_us=now_us)
    elif act in ("consent_given", "consent_withdrawn"):
        enter_paper(context, viewer, fields, given=act == "consent_given")
    elif act == "grant":
        grant(context.registry, _entered(fields, now_us), by=by, at_us=now_us)
    else:
        raise BadInput(
            "permissions: expected grant, revoke, revoke_key, consent_given or consent_withdrawn", reason="form"
        )
    return RedirectResponse("/permissions", 303)


def impersonate(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """An hour's session as somebody else, for a reason that is kept; every request in it is a line of the trail."""
    viewer.require(Action.IMPERSONATE)
    if viewer.by or viewer.key:
        raise AccessDenied("the one who acts for this user may not act for another")
    user = context.registry.user(fields.get("name", "").strip())
    why = fields.get("why", "").strip()
    if user is None or not user.enabled:
        raise NotFound("there is no user of that name")
    if not why:
        raise BadInput("impersonate: expected a reason", reason="form")
    principal = context.principals.of_user(user, context.now())
    if any(decide(principal, right).allowed for right in _ADMINISTRATORS):
        raise AccessDenied("nobody acts for an administrator")
    by = viewer.user.name
    context.registry.note(f"began: {why[:200]}", "impersonation", user.name, by=by, at_us=context.now())
    token = new_token()
    ends_us = context.after_us(_ACTING_H * 3600)
    context.registry.create_session(token_hash(token), user.name, ends_us, context.now(), by=by)
    response = RedirectResponse("/", 303)
    set_session_cookie(context, response, token)
    return response


def show_audit(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The trail, newest first: the last lines, or those before `before`."""
    viewer.require(Action.VIEW_AUDIT)
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 16 else 0
    if not before:
        before = context.registry.audit_length() + 1
    lines = context.registry.audit(max(0, before - _TRAIL_SHOWN - 1), min(_TRAIL_SHOWN, before - 1))
    values = {"lines": list(reversed(lines)), "instant": _instant, "older": lines[0].number if lines else 0}
    return render(context, request, viewer, "audit.html", values, data={})


def _instant(line: AuditLine) -> str:
    return iso(line.at_us)


def _entered(fields: Mapping[str, str], now_us: int) -> Permission:
    """A permission from a form. Raises BadInput."""
    try:
        days, priority = float(fields.get("days") or 0), int(fields.get("priority") or GRANT_PRIORITY)
        action = Verb(fields["action"]) if fields.get("action") else None
    except ValueError:
        raise BadInput(
            "permissions: expected days and a priority as numbers, and a known action", reason="form"
        ) from None
    if not 0 <= days <= 3650:
        raise BadInput("permissions: expected 0 to 3650 days", reason="form")
    return Permission(
        id="",
        issued_to=fields.get("issued_to", "").strip(),
        principal_for=fields.get("principal_for", "").strip(),
        action=action,
        filter=tuple(subject for subject in SUBJECTS if f"subject.{subject}" in fields),
        priority=priority,
        authorized=fields.get("answer") != "no",
        expires_us=now_us + round(days * DAY_US) if days else 0,
        reason=fields.get("reason", "").strip(),
    )
