"""Forms of pages: what was sent, to a function that answers; errors are pages."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.errors import IsletError
from islet.web.answers import AsyncAnswer, error_page, note_refusal
from islet.web.context import WebContext
from islet.web.sessions import NotLoggedIn, Viewer, viewer_of

Change = Callable[[WebContext, Request, Viewer, Mapping[str, str]], Response]
_MOST_FIELDS: Final = 50
_LONGEST_FIELD: Final = 1000


def form(context: WebContext, path: str, change: Change, *, longest: int = _LONGEST_FIELD, shown_at: str = "") -> Route:
    """A POST of a form by somebody who is logged in; `change` is run in a thread. Fields are cut at `longest`."""

    async def answer(context: WebContext, request: Request, viewer: Viewer) -> Response:
        fields = dict(await fields_of(request, longest=longest))
        return await run_in_threadpool(change, context, request, viewer, fields)

    return posted(context, path, answer, shown_at=shown_at)


def posted(context: WebContext, path: str, answer: AsyncAnswer, *, shown_at: str = "") -> Route:
    """A POST of a page by somebody who is logged in; who is not logs in first, and goes on at the page at `shown_at`."""

    async def endpoint(request: Request) -> Response:
        viewer: Viewer | None = None
        try:
            viewer = await run_in_threadpool(viewer_of, context, request)
            return await answer(context, request, viewer)
        except NotLoggedIn:
            wanted = shown_at.format(**{name: quote(part) for name, part in request.path_params.items()})
            return RedirectResponse(f"/login?next={quote(wanted, safe='')}" if wanted else "/login", 303)
        except IsletError as error:
            if viewer is not None:
                await run_in_threadpool(note_refusal, context, request, viewer, error)
            return await run_in_threadpool(error_page, context, request, viewer, error)

    return Route(path, endpoint, methods=["POST"])


async def fields_of(request: Request, *, longest: int, most: int = _MOST_FIELDS) -> list[tuple[str, str]]:
    """Names and texts in their order; some names come more than once."""
    async with request.form(max_files=0, max_fields=most) as sent:
        return [(name, text[:longest]) for name, text in sent.multi_items() if isinstance(text, str)]
