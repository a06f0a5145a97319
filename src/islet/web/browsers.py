"""Browsers that people have logged in with: a random token in a cookie, by which their attempts are told from those of
others at the same address. It lets nobody in, and says to nobody who they are."""

from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from islet.access.passwords import new_token, token_hash
from islet.web.context import WebContext

_YEAR_S: Final = 365 * 86_400
_LONGEST: Final = 100


class Browser(NamedTuple):
    """A browser's token, and the place that attempts with it come from."""

    token: str
    place: str


def browser_of(context: WebContext, request: Request) -> Browser:
    """The browser that asks; one without a token gets a new one, which is its own once somebody has logged in."""
    token = request.cookies.get(_cookie(context), "")
    if not token or len(token) > _LONGEST:
        token = new_token()
    return Browser(token, f"browser {token_hash(token)}")


def remembered(context: WebContext, response: Response, browser: Browser) -> Response:
    """The same response, after which the browser has its token for a year."""
    response.set_cookie(
        _cookie(context), browser.token, max_age=_YEAR_S, path="/", secure=context.secure, httponly=True, samesite="lax"
    )
    return response


def _cookie(context: WebContext) -> str:
    return "__Host-islet_browser" if context.secure else "islet_browser"
