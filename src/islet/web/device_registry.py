"""The pages of the registry: all devices, and one of them with what can be changed of it."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.access.sas import ConnectionString, format_connection_string
from islet.errors import BadInput, NotFound
from islet.model.people import Device
from islet.model.translated import mark as _
from islet.store import device_changes
from islet.store.app_secrets import app_address, app_of, end_app_secret, new_app_secret
from islet.store.devices_base import EtagDiffers
from islet.store.hub_policies import Which
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.context import WebContext, WebDevices
from islet.web.device_views import row, twin_view, waiting
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer, own_viewer

SHOWN: Final = 50
_LIST: Final = "/registry"
_ONE: Final = "/registry/{id}"
_LONGEST_FIELD: Final = 200
_LONGEST_SEARCH: Final = 128
_REFUSED: Final = {
    EtagDiffers: _("Somebody has changed this device meanwhile. Look at it as it is now, and do it again if it fits."),
    NotFound: _("There is no such patient."),
    BadInput: _("This cannot be done with this device."),
}


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no devices."""
    if context.devices is None:
        return []
    return [
        page(context, _LIST, show_list),
        page(context, _ONE, show),
        form(context, _ONE, change, longest=_LONGEST_FIELD, shown_at=_ONE),
        form(context, f"{_ONE}/keys", renew, longest=_LONGEST_FIELD, shown_at=_ONE),
        form(context, f"{_ONE}/app", let_app_in, longest=_LONGEST_FIELD, shown_at=_ONE),
    ]


def show_list(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """A page of the devices that are searched for, in the order of their ids."""
    viewer.require(Action.READ_REGISTRY)
    devices, text = _devices(context), words(language_of(request, viewer.user)).text
    search = request.query_params.get("search", "").strip()[:_LONGEST_SEARCH]
    after = request.query_params.get("after", "")
    found = context.registry.find_devices(search, after=after, limit=SHOWN + 1)
    are_all = not after and len(found) <= SHOWN
    values = {
        "rows": [row(context, devices, viewer, one, text) for one in found[:SHOWN]],
        "search": search,
        "count": len(found) if are_all else context.registry.count_devices(search),
        "after": after,
        "next": found[SHOWN - 1].id if len(found) > SHOWN else "",
    }
    return render(context, request, viewer, "registry.html", values, data={})


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One device."""
    viewer.require(Action.READ_REGISTRY)
    return _shown(context, request, viewer, _device(context, request))


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Whose it is, and whether it is let in."""
    viewer.require(Action.WRITE_REGISTRY)
    device = _device(context, request)
    try:
        _change(context, viewer, device.id, fields)
    except (EtagDiffers, NotFound, BadInput) as error:
        return _refused(context, request, viewer, error)
    return RedirectResponse(_ONE.format(id=quote(device.id, safe="")), 303)


def renew(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Make a key anew, and show the connection string with it this once."""
    viewer.require(Action.WRITE_REGISTRY)
    own_viewer(viewer)
    device, key = _device(context, request), fields.get("key", "")
    if key not in set(Which):
        raise BadInput("registry: expected the primary or the secondary key", reason="form")
    try:
        device = device_changes.renew_device_key(
            context.registry, device.id, Which(key), **_done(context, viewer, fields)
        )
    except (EtagDiffers, BadInput) as error:
        return _refused(context, request, viewer, error)
    host, made = _devices(context).hub_name, getattr(device, f"{key}_key")
    written = format_connection_string(ConnectionString(host=host, device=device.id, key=made))
    return _shown(context, request, viewer, device, made=written)


def let_app_in(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Make the address by which an app for Nightscout sends as this device, and show it this once; or end it. The app shows
    glucose in the unit of who makes it."""
    viewer.require(Action.WRITE_REGISTRY)
    own_viewer(viewer)
    device, registry = _device(context, request), context.registry
    if fields.get("app", "") != app_of(
        context.registry, device
    ):  # also where the page with the address is loaded again
        return _refused(context, request, viewer, EtagDiffers("another app is let in now"))
    if fields.get("act") == "end":
        end_app_secret(registry, device.id, by=viewer.name, now_us=context.now())
        return RedirectResponse(_ONE.format(id=quote(device.id, safe="")), 303)
    unit = viewer.user.unit
    secret = new_app_secret(registry, device.id, by=viewer.name, now_us=context.now(), unit=unit)
    portal = context.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return _shown(context, request, viewer, device, address=app_address(secret, portal))


def _change(context: WebContext, viewer: Viewer, id: str, fields: Mapping[str, str]) -> None:
    """Raises EtagDiffers, NotFound and BadInput."""
    act, registry, done = fields.get("act", ""), context.registry, _done(context, viewer, fields)
    if act == "assign" and (patient := fields.get("patient", "").strip()):
        device_changes.assign(registry, id, patient, **done)
    elif act == "unassign":
        device_changes.assign(registry, id, "", **done)
    elif act == "disable":
        device_changes.disable(registry, id, fields.get("reason", "").strip(), **done)
    elif act == "enable":
        device_changes.enable(registry, id, **done)
    else:
        raise BadInput("registry: expected assign (with a patient), unassign, disable or enable", reason="form")


def _done(context: WebContext, viewer: Viewer, fields: Mapping[str, str]) -> dict[str, Any]:
    """By whom, when, and to which version of the device: the one that the form was made for."""
    return {"by": viewer.name, "at_us": context.now(), "etag": fields.get("etag", "")}


def _refused(context: WebContext, request: Request, viewer: Viewer, error: Exception) -> Response:
    text = words(language_of(request, viewer.user)).text
    device = _device(context, request)
    return _shown(context, request, viewer, device, refused=text(_REFUSED[type(error)]), status=400)


def _shown(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    device: Device,
    *,
    made: str = "",
    address: str = "",
    refused: str = "",
    status: int = 200,
) -> Response:
    """`made`: the connection string with a new key. `address`: what an app is given."""
    devices, text = _devices(context), words(language_of(request, viewer.user)).text
    commands = viewer.may(Action.COMMAND_DEVICES)  # as at the hub, who may see twins and mailboxes
    may_write = viewer.may(Action.WRITE_REGISTRY)
    values = {
        "device": device,
        "row": row(context, devices, viewer, device, text),
        "registered": minute(device.created_us) if device.created_us else "",
        "waiting": waiting(devices, device) if commands else None,
        "twin": twin_view(devices, device) if commands else None,
        "may_write": may_write,
        "may_renew": may_write and not viewer.by and not viewer.key,
        "longest_reason": device_changes.LONGEST_REASON,
        "made": made,
        "address": address,
        "app": app_of(context.registry, device),
        "refused": refused,
    }
    answer = render(context, request, viewer, "device.html", values, data={}, status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _device(context: WebContext, request: Request) -> Device:
    found = context.registry.device(request.path_params["id"])
    if found is None:
        raise NotFound("there is no such device")
    return found


def _devices(context: WebContext) -> WebDevices:
    assert context.devices is not None  # or the pages have no route
    return context.devices
