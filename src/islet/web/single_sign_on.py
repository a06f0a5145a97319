"""The pages of the log-in through an OpenID provider. Accounts are linked by issuer and subject, never by an address."""

import base64
from typing import Final

import httpx
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from islet.errors import AccessDenied, IsletError
from islet.model.foreign_json import UNREADABLE
from islet.store.subjects import link_subject, subject_user
from islet.store.turned_away import LOG_IN
from islet.web.account import code_page, entered_page, local_path
from islet.web.addresses import address_of
from islet.web.answers import error_page, render
from islet.web.context import WebContext
from islet.web.oidc import Begun, Provider
from islet.web.sessions import NotLoggedIn, enter_as, own_viewer, viewer_of

_LASTS_S: Final = 600
BACK: Final = "/login/provider/back"


class Unreachable(IsletError):
    """The provider did not answer, or not as one."""


def routes(context: WebContext) -> list[BaseRoute]:
    """None where no provider is set up."""
    provider = context.provider
    if provider is None:
        return []

    async def begin(request: Request) -> Response:
        return await _begin(context, provider, request, link=False)

    async def link(request: Request) -> Response:
        try:
            viewer = await run_in_threadpool(viewer_of, context, request)
            own_viewer(viewer)
        except NotLoggedIn:
            return RedirectResponse("/login", 303)
        except IsletError as error:
            return await run_in_threadpool(error_page, context, request, viewer, error)
        return await _begin(context, provider, request, link=True)

    async def back(request: Request) -> Response:
        return await _back(context, provider, request)

    return [
        Route("/login/provider", begin, methods=["GET"]),
        Route("/account/provider", link, methods=["POST"]),
        Route(BACK, back, methods=["GET"]),
    ]


async def _begin(context: WebContext, provider: Provider, request: Request, *, link: bool) -> Response:
    wanted = local_path(request.query_params.get("next", ""))
    try:
        address, begun = await provider.begin(_redirect_uri(context, request), next=wanted, link=link)
    except (IsletError, httpx.HTTPError):
        return await _unreachable(context, request)
    response: Response = RedirectResponse(address, 303)
    if link:  # a form may lead nowhere else by the content security policy; a link may
        response = await run_in_threadpool(render, context, request, None, "provider.html", {"address": address})
    value = base64.urlsafe_b64encode(msgspec.json.encode(begun)).decode()
    response.set_cookie(
        _cookie(context), value, max_age=_LASTS_S, path="/", secure=context.secure, httponly=True, samesite="lax"
    )
    return response


async def _back(context: WebContext, provider: Provider, request: Request) -> Response:
    """The browser comes back from the provider: a session for the user whom its subject is linked to."""
    try:
        begun = _begun(request.cookies.get(_cookie(context), ""))
        answer = dict(request.query_params)
        subject = await provider.finish(begun, answer, _redirect_uri(context, request))
        response = await run_in_threadpool(_enter, context, provider, request, begun, subject)
    except NotLoggedIn:
        return RedirectResponse("/login", 303)
    except IsletError as error:
        context.turned_away(LOG_IN, "", address_of(request, context.proxies))
        response = await run_in_threadpool(error_page, context, request, None, error)
    except httpx.HTTPError:
        response = await _unreachable(context, request)
    response.delete_cookie(_cookie(context), path="/", secure=context.secure, httponly=True, samesite="lax")
    return response


def _enter(context: WebContext, provider: Provider, request: Request, begun: Begun, subject: str) -> Response:
    """Raises AccessDenied, NotLoggedIn."""
    issuer, registry = provider.known.issuer, context.registry
    if begun.link:
        viewer = viewer_of(context, request)
        own_viewer(viewer)
        link_subject(registry, issuer, subject, viewer.user.name, by=viewer.name, at_us=context.now())
        return RedirectResponse("/account/second-factor", 303)
    name = subject_user(registry, issuer, subject)
    entered = None if name is None else enter_as(context, name)
    if entered is None:
        raise AccessDenied("the account at the provider is linked to nobody here")
    if entered.waits:
        return code_page(context, request, begun.next, entered.token)
    return entered_page(context, begun.next, entered.token)


async def _unreachable(context: WebContext, request: Request) -> Response:
    return await run_in_threadpool(error_page, context, request, None, Unreachable("the provider cannot be reached"))


def _begun(cookie: str) -> Begun:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie), type=Begun)
    except (ValueError, *UNREADABLE):
        raise AccessDenied("this log-in was not begun here") from None


def _cookie(context: WebContext) -> str:
    return "__Host-islet_provider" if context.secure else "islet_provider"


def _redirect_uri(context: WebContext, request: Request) -> str:
    return f"{(context.public_url or str(request.base_url)).rstrip('/')}{BACK}"
