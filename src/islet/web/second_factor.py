"""A second factor of one's own: made with a phone, confirmed by a code, taken away by one; and asked for at the log-in."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.second_factor import new_second_factor, provisioning_uri, with_recovery_codes
from islet.errors import BadInput
from islet.store.second_factors import put_second_factor, read_second_factor
from islet.web.addresses import address_of
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.sessions import Door, TooManyAttempts, Viewer, own_viewer, take_code

ISSUER: Final = "Islet"


def routes(context: WebContext, door: Door) -> list[BaseRoute]:
    path = "/account/second-factor"
    return [page(context, path, show), form(context, path, partial(change, door))]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Whether there is one; while it is being made, the QR code."""
    own_viewer(viewer)
    return _page(context, request, viewer)


def change(door: Door, context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Begin, confirm with a code, or (with a code again) take away or make new recovery codes."""
    own_viewer(viewer)
    name, act, registry = viewer.user.name, fields.get("act", ""), context.registry
    address = address_of(request, context.proxies)
    factor = read_second_factor(registry, name)
    if act == "begin" and (factor is None or not factor.confirmed):
        put_second_factor(registry, name, new_second_factor())
        return RedirectResponse("/account/second-factor", 303)
    if act not in ("confirm", "remove", "codes") or factor is None:
        raise BadInput("second factor: expected begin, confirm, codes or remove", reason="form")
    try:
        fits = take_code(context, door, name, fields.get("code", ""), address)
    except TooManyAttempts as wait:
        return _page(context, request, viewer, wait_s=wait.wait_s, status=429)
    if not fits:
        return _page(context, request, viewer, wrong=True, status=400)
    return _changed(context, request, viewer, act)


def _changed(context: WebContext, request: Request, viewer: Viewer, act: str) -> Response:
    name, registry = viewer.user.name, context.registry
    done = {"confirm": "added", "codes": "changed", "remove": "removed"}[act]
    registry.note(done, "second_factor", name, by=viewer.name, at_us=context.now())
    factor = read_second_factor(registry, name)
    if act == "remove" or factor is None:
        put_second_factor(registry, name, None)
        return RedirectResponse("/account/second-factor", 303)
    kept, codes = with_recovery_codes(factor)
    put_second_factor(registry, name, kept)
    return _page(context, request, viewer, codes=codes)


def _page(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    *,
    codes: list[str] | None = None,
    wrong: bool = False,
    wait_s: int = 0,
    status: int = 200,
) -> Response:
    factor = read_second_factor(context.registry, viewer.user.name)
    making = factor is not None and not factor.confirmed
    values = {
        "factor": factor,
        "codes": codes or [],
        "wrong": wrong,
        "wait_s": wait_s,
        "provider": "" if context.provider is None else context.provider.known.name,
        "qr": _qr(provisioning_uri(factor, viewer.user.name, ISSUER)) if factor is not None and making else "",
    }
    return render(context, request, viewer, "second_factor.html", values, data={}, status=status)


def _qr(text: str) -> Markup:
    import segno  # only this page needs it

    return Markup(segno.make_qr(text, error="m").svg_inline(scale=5, border=4, light="#fff"))  # noqa: S704  # its own
