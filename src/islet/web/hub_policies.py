"""The page with the hub policies' keys: when each was made anew, and a button to do so."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from islet.access.actions import Action
from islet.access.sas import POLICIES, ConnectionString, format_connection_string
from islet.errors import BadInput
from islet.store.hub_policies import Renewed, Which, renew_key, renewals
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.sessions import Viewer, own_viewer


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no devices."""
    if context.devices is None:
        return []
    return [page(context, "/hub-policies", show), form(context, "/hub-policies", change)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Every policy, for administrators; never a key."""
    viewer.require(Action.ADMINISTER)
    return _page(context, request, viewer)


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Make a key anew, and show its connection string this once."""
    viewer.require(Action.ADMINISTER)
    own_viewer(viewer)
    if context.devices is None or fields.get("key") not in set(Which):
        raise BadInput("hub policies: expected a policy and primary or secondary", reason="form")
    policy, which = fields.get("policy", ""), Which(fields["key"])
    key = renew_key(context.registry, policy, which, by=viewer.name, at_us=context.now())
    written = format_connection_string(ConnectionString(host=context.devices.hub_name, policy=policy, key=key))
    return _page(context, request, viewer, written)


def _page(context: WebContext, request: Request, viewer: Viewer, made: str = "") -> Response:
    renewed = renewals(context.registry)
    policies = [(name, rights, renewed.get(name, Renewed())) for name, rights in POLICIES.items()]
    values = {"policies": policies, "made": made, "when": lambda us: minute(us) if us else "–"}
    return render(context, request, viewer, "hub_policies.html", values, data={})
