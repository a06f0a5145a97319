"""Short-lived tokens for applications: a key is sent once in a quarter of an hour instead of with every request."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.access.passwords import new_token, token_hash
from islet.errors import AccessDenied
from islet.web.answers import async_api, json_response
from islet.web.context import WebContext
from islet.web.sessions import Viewer, key_of

LASTS_S: Final = 900


def routes(context: WebContext) -> list[Route]:
    return [async_api(context, "/api/token", make_token, ("POST",))]


async def make_token(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """A token that does what the key does for LASTS_S seconds, or until the key is revoked (as RFC 6749, 5.1)."""
    key = key_of(viewer)
    if not key:
        raise AccessDenied("only a key makes tokens")
    token, ends_us = new_token(), context.after_us(LASTS_S)
    await run_in_threadpool(
        lambda: context.registry.create_session(token_hash(token), viewer.user.name, ends_us, context.now(), key=key)
    )
    return json_response({"access_token": token, "token_type": "Bearer", "expires_in": LASTS_S})
