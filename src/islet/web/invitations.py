"""The link with which somebody chooses a password: made by an administrator, good once, for three days."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from islet.errors import BadInput, NotFound
from islet.store import people
from islet.web.answers import render
from islet.web.context import WebContext
from islet.web.forms import fields_of
from islet.web.hashing import RETRY_S
from islet.web.sessions import Door


def routes(context: WebContext, door: Door) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        return await run_in_threadpool(_page, context, request)

    async def choose(request: Request) -> Response:
        return await _choose(context, door, request)

    return [
        Route("/invitation/{token}", show, methods=["GET"]),
        Route("/invitation/{token}", choose, methods=["POST"]),
    ]


def link_for(context: WebContext, request: Request, name: str, *, by: str) -> str:
    """A new link for somebody, whole; to be shown once. Raises NotFound, and AccessDenied for the last administrator."""
    ends_us = context.after_us(people.INVITED_US / 1e6)
    token = people.invite(context.registry, name, ends_us, by=by, at_us=context.now())
    return f"{(context.public_url or str(request.base_url)).rstrip('/')}/invitation/{token}"


async def _choose(context: WebContext, door: Door, request: Request) -> Response:
    """Take the password, entered twice; then on to the log-in."""
    fields = dict(await fields_of(request, longest=people.MOST_PASSWORD + 1))
    password, token = fields.get("password", ""), request.path_params["token"]
    if password != fields.get("again", ""):
        return await run_in_threadpool(_page, context, request, problem="differ")
    if await run_in_threadpool(people.invited, context.registry, token, context.now()) is None:
        return await run_in_threadpool(_page, context, request)
    if door.hashing.full:
        return await run_in_threadpool(_page, context, request, problem="busy")
    try:
        await door.hashing.run(lambda: people.choose_password(context.registry, token, password, context.now()))
    except BadInput:
        return await run_in_threadpool(_page, context, request, problem="length")
    except NotFound:
        return await run_in_threadpool(_page, context, request)
    return RedirectResponse("/login", 303)


def _page(context: WebContext, request: Request, *, problem: str = "") -> Response:
    user = people.invited(context.registry, request.path_params["token"], context.now())
    values = {"user": user, "problem": problem, "least": people.LEAST_PASSWORD}
    status = 404 if user is None else 429 if problem == "busy" else 400 if problem else 200
    answer = render(context, request, None, "invitation.html", values, status=status)
    if problem == "busy":
        answer.headers["retry-after"] = str(RETRY_S)
    return answer
