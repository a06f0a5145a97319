"""Log-in, log-out, and a person's language and unit."""

from msgspec import structs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.model.people import User
from islet.model.units import GLUCOSE_UNITS
from islet.store.users import change_known
from islet.web.addresses import address_of
from islet.web.answers import render
from islet.web.attempts import Attempts
from islet.web.browsers import browser_of, remembered
from islet.web.context import WebContext
from islet.web.hashing import Hashing
from islet.web.languages import LANGUAGE_COOKIE, LANGUAGES
from islet.web.sessions import (
    Door,
    NotLoggedIn,
    TooManyAttempts,
    Viewer,
    cookie_name,
    enter_with_code,
    log_in,
    log_out,
    set_session_cookie,
    viewer_of,
)

_YEAR_S = 365 * 86_400
_LONGEST_FIELD = 1000


def routes(context: WebContext, door: Door | None = None) -> list[Route]:
    """`door` is one with the usual limits where it is not given."""
    entrance = door or Door(attempts=Attempts(speed=context.speed), hashing=Hashing())

    async def show(request: Request) -> Response:
        viewer = await run_in_threadpool(_viewer, context, request)
        if viewer is not None:
            return RedirectResponse(local_path(request.query_params.get("next", "")), 303)
        return _login_page(context, request, request.query_params.get("next", ""))

    async def enter(request: Request) -> Response:
        return await _enter(context, entrance, request)

    async def leave(request: Request) -> Response:
        viewer = await run_in_threadpool(_viewer, context, request)
        if viewer is not None:
            await run_in_threadpool(log_out, context, viewer)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(cookie_name(context), path="/", secure=context.secure, httponly=True, samesite="lax")
        return response

    async def change(request: Request) -> Response:
        return await _change(context, request)

    async def enter_code(request: Request) -> Response:
        return await _enter_code(context, entrance, request)

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/login/code", enter_code, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
        Route("/settings", change, methods=["POST"]),
    ]


def local_path(wanted: str) -> str:
    """Where to go after the log-in: a path of this site, or the start page (never another site)."""
    plain = wanted.replace("\\", "/")  # as browsers read it; behind two slashes, or more, they look for another host
    return wanted if plain.startswith("/") and not plain.startswith("//") and wanted.isprintable() else "/"


async def _enter(context: WebContext, door: Door, request: Request) -> Response:
    fields = await _fields(request, "name", "password", "next")
    address, browser = address_of(request, context.proxies), browser_of(context, request)
    try:
        entered = await log_in(context, door, fields["name"].strip(), fields["password"], address, browser.place)
    except TooManyAttempts as wait:
        response = _login_page(context, request, fields["next"], wait_s=wait.wait_s, status=429)
        response.headers["retry-after"] = str(wait.wait_s)
        return response
    if entered is None:
        return _login_page(context, request, fields["next"], refused=True, status=401)
    if entered.waits:
        return code_page(context, request, fields["next"], entered.token)
    return remembered(context, entered_page(context, fields["next"], entered.token), browser)


async def _enter_code(context: WebContext, door: Door, request: Request) -> Response:
    """The second step of a log-in: the code, with the token that the first step gave."""
    fields = await _fields(request, "pending", "code", "next")
    address, browser, pending = address_of(request, context.proxies), browser_of(context, request), fields["pending"]
    try:
        token = await run_in_threadpool(enter_with_code, context, door, pending, fields["code"], address, browser.place)
    except NotLoggedIn:
        return _login_page(context, request, fields["next"], status=401)
    except TooManyAttempts as wait:
        response = code_page(context, request, fields["next"], pending, wait_s=wait.wait_s, status=429)
        response.headers["retry-after"] = str(wait.wait_s)
        return response
    if token is None:
        return code_page(context, request, fields["next"], pending, refused=True, status=401)
    return remembered(context, entered_page(context, fields["next"], token), browser)


def entered_page(context: WebContext, wanted: str, token: str) -> Response:
    """The session begins; on to where it was wanted."""
    response = RedirectResponse(local_path(wanted), 303)
    set_session_cookie(context, response, token)
    return response


async def _change(context: WebContext, request: Request) -> Response:
    """Keep the language (in a cookie too, for the next log-in) and the unit; unknown values change nothing, and a key does
    not change how its person reads glucose."""
    fields = await _fields(request, "language", "unit", "back")
    response = RedirectResponse(local_path(fields["back"]), 303)
    viewer = await run_in_threadpool(_viewer, context, request)
    if viewer is not None and not viewer.key:
        await run_in_threadpool(_keep, context, viewer, fields["language"], fields["unit"])
    if fields["language"] in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, fields["language"], max_age=_YEAR_S, secure=context.secure, httponly=True, samesite="lax"
        )
    return response


def _keep(context: WebContext, viewer: Viewer, language: str, unit: str) -> None:
    def changed(user: User) -> User:
        return structs.replace(
            user,
            language=language if language in LANGUAGES else user.language,
            unit=unit if unit in GLUCOSE_UNITS else user.unit,
        )

    if changed(viewer.user) != viewer.user:
        change_known(context.registry, viewer.user.name, changed, by=viewer.name, at_us=context.now())


def _viewer(context: WebContext, request: Request) -> Viewer | None:
    try:
        return viewer_of(context, request)
    except NotLoggedIn:
        return None


def _login_page(
    context: WebContext,
    request: Request,
    wanted: str,
    *,
    refused: bool = False,
    wait_s: int = 0,
    status: int = 200,
) -> Response:
    values = {"next": local_path(wanted), "refused": refused, "wait_s": wait_s}
    values["provider"] = "" if context.provider is None else context.provider.known.name
    return render(context, request, None, "login.html", values, status=status)


def code_page(
    context: WebContext,
    request: Request,
    wanted: str,
    pending: str,
    *,
    refused: bool = False,
    wait_s: int = 0,
    status: int = 200,
) -> Response:
    """The second step of a log-in."""
    values = {"next": local_path(wanted), "pending": pending, "refused": refused, "wait_s": wait_s}
    return render(context, request, None, "login_code.html", values, status=status)


async def _fields(request: Request, *names: str) -> dict[str, str]:
    """Text fields of a form, cut to a sane length; absent ones are empty."""
    async with request.form(max_files=0, max_fields=20) as form:
        values = {name: form.get(name, "") for name in names}
    return {name: value[:_LONGEST_FIELD] if isinstance(value, str) else "" for name, value in values.items()}
