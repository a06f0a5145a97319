"""Forms of pages: the fields that were sent, as text, to a function that answers; errors are pages."""

from collections.abc import Callable, Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.errors import IsletError
from islet.web.answers import error_page, note_refusal
from islet.web.context import WebContext
from islet.web.sessions import NotLoggedIn, Viewer, viewer_of

Change = Callable[[WebContext, Request, Viewer, Mapping[str, str]], Response]
_MOST_FIELDS: Final = 50
_LONGEST_FIELD: Final = 1000


def form(context: WebContext, path: str, change: Change) -> Route:
    """A POST of a form by somebody who is logged in; `change` is run in a thread."""

    async def endpoint(request: Request) -> Response:
        viewer: Viewer | None = None
        try:
            viewer = await run_in_threadpool(viewer_of, context, request)
            async with request.form(max_files=0, max_fields=_MOST_FIELDS) as sent:
                fields = {name: text[:_LONGEST_FIELD] for name, text in sent.items() if isinstance(text, str)}
            return await run_in_threadpool(change, context, request, viewer, fields)
        except NotLoggedIn:
            return RedirectResponse("/login", 303)
        except IsletError as error:
            if viewer is not None:
                await run_in_threadpool(note_refusal, context, request, viewer, error)
            return await run_in_threadpool(error_page, context, request, viewer, error)

    return Route(path, endpoint, methods=["POST"])
