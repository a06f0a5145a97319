"""How endpoints are made: find the viewer, answer, and turn errors into pages or JSON with a reason."""

import contextlib
import gzip
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.errors import AccessDenied, AlreadyExists, BadInput, IsletError, NotFound, OffsetExpired
from islet.model.units import MG_DL_PER_MMOL_L
from islet.web.bodies import TooLong
from islet.web.context import WebContext
from islet.web.languages import LANGUAGES, language_of, words
from islet.web.sessions import NotLoggedIn, Viewer, again, viewer_of
from islet.web.texts import ROLES, for_scripts, reason
from islet.web.turns import RETRY_S, TooBusy, Turns
from islet.web.upload_body import TooLarge

Answer = Callable[[WebContext, Request, Viewer], Response]
AsyncAnswer = Callable[[WebContext, Request, Viewer], Awaitable[Response]]

_encode: Final = msgspec.json.Encoder().encode
_WORTH_PACKING: Final = 10_000
_PACKED: Final = ("text/html", "application/json")
_LEVEL: Final = 4
"""Of gzip: more takes longer, and makes it hardly smaller."""


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any msgspec-encodable content as JSON."""
    return Response(_encode(content), status, headers, "application/json")


def page(context: WebContext, path: str, answer: Answer) -> Route:
    """A page for people: without a session the browser is sent to the log-in; errors are pages."""

    def endpoint(request: Request) -> Response:  # not async: Starlette runs it in a thread, where the store may block
        viewer: Viewer | None = None
        try:
            viewer = viewer_of(context, request)
            return packed(request, answer(context, request, viewer))
        except IsletError as error:
            return _not_shown(context, request, viewer, error)

    return Route(path, endpoint, methods=["GET"])


def packed(request: Request, response: Response) -> Response:
    """A long page or JSON, by gzip where the one who asks takes that: the list of 500 patients has 1.3 MB.

    Not where the address says something of the content: its length would tell an eavesdropper whose page leads here how
    much of what they wrote into the address is on the page (BREACH). Takes some ms: to be called in a thread.
    """
    takes = "gzip" in request.headers.get("accept-encoding", "")
    if not takes or request.url.query or response.media_type not in _PACKED or len(response.body) < _WORTH_PACKING:
        return response
    response.body = gzip.compress(response.body, _LEVEL, mtime=0)
    response.headers["content-length"] = str(len(response.body))
    response.headers["content-encoding"] = "gzip"
    response.headers.add_vary_header("accept-encoding")
    return response


def slow_page(context: WebContext, path: str, answer: Answer, turns: Turns) -> Route:
    """A page that takes long to make: when it is its turn, and for what its viewer may by then."""

    async def endpoint(request: Request) -> Response:
        viewer: Viewer | None = None
        try:
            viewer = await run_in_threadpool(viewer_of, context, request)
            return await _in_turn(context, request, viewer, answer, turns)
        except IsletError as error:
            return await run_in_threadpool(_not_shown, context, request, viewer, error)

    return Route(path, endpoint, methods=["GET"])


async def _in_turn(context: WebContext, request: Request, viewer: Viewer, answer: Answer, turns: Turns) -> Response:
    return await turns.run(viewer.user.name, lambda: answer(context, request, again(context, viewer)))


def _not_shown(context: WebContext, request: Request, viewer: Viewer | None, error: IsletError) -> Response:
    """The log-in, which leads back; or a page that says why."""
    if isinstance(error, NotLoggedIn):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='')}" if wanted != "/" else "/login", 303)
    if viewer is not None:
        note_refusal(context, request, viewer, error)
    return error_page(context, request, viewer, error)


def api(context: WebContext, path: str, answer: Answer) -> Route:
    """A GET endpoint that answers JSON, run in a thread."""

    async def in_thread(context: WebContext, request: Request, viewer: Viewer) -> Response:
        return await run_in_threadpool(lambda: packed(request, answer(context, request, viewer)))

    return async_api(context, path, in_thread, ("GET",))


def slow_api(context: WebContext, path: str, answer: Answer, turns: Turns) -> Route:
    """A GET endpoint that answers JSON which takes long to make, as `slow_page`."""

    async def in_turn(context: WebContext, request: Request, viewer: Viewer) -> Response:
        return await _in_turn(context, request, viewer, answer, turns)

    return async_api(context, path, in_turn, ("GET",))


def async_api(context: WebContext, path: str, answer: AsyncAnswer, methods: tuple[str, ...]) -> Route:
    """An endpoint that answers JSON or a stream; errors are JSON with a reason."""

    async def endpoint(request: Request) -> Response:
        viewer: Viewer | None = None
        try:
            viewer = await run_in_threadpool(viewer_of, context, request)
            return await answer(context, request, viewer)
        except IsletError as error:
            if viewer is not None:
                await run_in_threadpool(note_refusal, context, request, viewer, error)
            return error_json(error)

    return Route(path, endpoint, methods=list(methods))


def note_refusal(context: WebContext, request: Request, viewer: Viewer, error: IsletError) -> None:
    """A line in the audit trail where a decision was no: who wanted what, and why not. One for all alike within some
    minutes, so that nobody fills the trail."""
    if not isinstance(error, AccessDenied):
        return
    wanted = f"{request.method} {request.url.path}"[:200]
    if context.refusals.is_new((viewer.name, wanted), context.now()):
        action = f"refused: {error.reason}"
        context.registry.note(action, "request", wanted, by=viewer.name, at_us=context.now())


def error_json(error: IsletError) -> Response:
    headers = {"www-authenticate": "Bearer"} if isinstance(error, NotLoggedIn) else _later(error)
    if isinstance(error, OffsetExpired):
        return json_response({"error": str(error), "begin": error.begin}, 410)
    status = _status(error)
    return json_response(
        {"error": str(error) if status < 500 else "this could not be done; try again"}, status, headers
    )


def unknown_page(context: WebContext) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What answers an address that nothing has: a page for a browser, a line for a program."""

    def page_for(request: Request) -> Response:
        viewer: Viewer | None = None
        with contextlib.suppress(IsletError):
            viewer = viewer_of(context, request)
        return error_page(context, request, viewer, NotFound("there is no page at this address"))

    async def handle(request: Request, _: Exception) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return await run_in_threadpool(page_for, request)
        return PlainTextResponse("Not Found", 404)

    return handle


def error_page(context: WebContext, request: Request, viewer: Viewer | None, error: IsletError) -> Response:
    """A page that says what was refused, and why."""
    language = language_of(request, viewer.user if viewer else None)
    text = words(language).text
    told = reason(text, error.reason) if isinstance(error, AccessDenied) else ""
    status = _status(error)
    answer = render(context, request, viewer, "error.html", {"status": status, "reason": told}, status=status)
    answer.headers.update(_later(error))
    return answer


def _later(error: IsletError) -> dict[str, str]:
    """When to try again, where that is known."""
    return {"retry-after": str(RETRY_S)} if isinstance(error, TooBusy) else {}


def render(
    context: WebContext,
    request: Request,
    viewer: Viewer | None,
    template: str,
    values: dict[str, Any],
    *,
    data: dict[str, object] | None = None,
    status: int = 200,
) -> Response:
    """A page in the viewer's language; `data` is what its script starts from."""
    language = language_of(request, viewer.user if viewer else None)
    spoken = words(language)
    shared = {
        "language": language,
        "languages": LANGUAGES,
        "unit": viewer.user.unit if viewer else "",
        "speed": context.speed,
        "viewer": viewer,
        "role": spoken.text(ROLES.get(viewer.user.role, "")) if viewer else "",
        "registry": context.devices is not None and viewer is not None and viewer.may(Action.READ_REGISTRY),
        "operations": viewer is not None and viewer.may(Action.VIEW_OPERATIONS),
        "rules": context.rules is not None and viewer is not None and viewer.may(Action.READ_RULES),
        "alarms": context.alarms is not None,
        "devices": context.devices is not None,
        "here": request.url.path,
        "data": "",
    }
    if viewer is not None and data is not None:
        shared["data"] = script_json(_page_data(context, viewer, language) | data)
    html = spoken.templates.get_template(template).render(shared | values)
    return HTMLResponse(html, status)


def script_json(content: object) -> str:
    """JSON that can stand inside a script element: no `<` can end it early."""
    return _encode(content).decode().replace("<", "\\u003c")


def _page_data(context: WebContext, viewer: Viewer, language: str) -> dict[str, object]:
    rules = None if context.rules is None else context.rules.current()
    titles = {} if rules is None else rules.titles(language)
    return {
        "clock": {"now_us": context.now(), "speed": context.speed},
        "language": language,
        "unit": viewer.user.unit,
        "mg_dl_per_mmol_l": MG_DL_PER_MMOL_L,
        "user": viewer.user.name,
        "alarms": context.alarms is not None,
        "foretelling": [] if rules is None else sorted(rules.foretelling),
        "texts": for_scripts(words(language).text) | {f"rule.{name}": title for name, title in titles.items()},
    }


def _status(error: IsletError) -> int:
    if isinstance(error, NotLoggedIn):
        return 401
    if isinstance(error, AccessDenied):
        return 403
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, AlreadyExists):
        return 409
    if isinstance(error, OffsetExpired):
        return 410
    if isinstance(error, TooLarge | TooLong):
        return 413
    if isinstance(error, TooBusy):
        return 429
    return 400 if isinstance(error, BadInput) else 503
