"""The portal's routes and middleware; `islet.app` puts them beside the devices' in one application."""

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from islet.web import (
    account,
    alarms,
    api,
    cohorts,
    consents,
    contacts,
    device_files,
    device_jobs,
    device_registry,
    diary,
    erasing,
    exporting,
    forecasts,
    groups,
    hub_policies,
    import_api,
    import_pages,
    invitations,
    labs,
    log_api,
    measures,
    on_board,
    pages,
    patterns,
    people,
    permissions,
    policies,
    reports,
    research,
    rules,
    second_factor,
    single_sign_on,
    streams,
    tokens,
)
from islet.web.answers import unknown_page
from islet.web.attempts import Attempts
from islet.web.context import Commits, WebContext
from islet.web.hashing import Hashing
from islet.web.live import LiveHub
from islet.web.security import SameOrigin, SecurityHeaders
from islet.web.sessions import Door
from islet.web.turns import Turns

__all__ = ["Commits", "LiveHub", "WebContext", "application", "routes"]


def routes(context: WebContext) -> list[BaseRoute]:
    """All pages, JSON endpoints and streams. At the end of the process call `context.live.close()` first: it ends the
    streams, which would otherwise hold up a graceful stop."""
    static = StaticFiles(directory=Path(__file__).parent / "static")
    door, turns = Door(attempts=Attempts(speed=context.speed), hashing=Hashing()), Turns()
    return [
        *account.routes(context, door),
        *second_factor.routes(context, door),
        *single_sign_on.routes(context),
        *pages.routes(context),
        *rules.routes(context),
        *cohorts.routes(context),
        *alarms.routes(context),
        *contacts.routes(context),
        *policies.routes(context),
        *reports.routes(context, turns),
        *measures.routes(context),
        *import_pages.routes(context),
        *permissions.routes(context),
        *consents.routes(context),
        *people.routes(context),
        *invitations.routes(context, door),
        *groups.routes(context),
        *hub_policies.routes(context),
        *research.routes(context),
        *patterns.routes(context),
        *on_board.routes(context),
        *labs.routes(context),
        *diary.routes(context),
        *erasing.routes(context),
        *exporting.routes(context, turns),
        *device_jobs.routes(context),
        *device_registry.routes(context),
        *device_files.routes(context),
        *api.routes(context),
        *forecasts.routes(context),
        *import_api.routes(context),
        *log_api.routes(context),
        *streams.routes(context),
        *tokens.routes(context),
        Mount("/static", static, name="static"),
    ]


def application(context: WebContext, others: Sequence[BaseRoute] = ()) -> Starlette:
    """The portal, and the routes of `others` before its own, as one application."""
    return Starlette(
        routes=[*others, *routes(context)],
        middleware=middleware(context),
        exception_handlers={404: unknown_page(context)},
    )


def middleware(context: WebContext) -> list[Middleware]:
    """For the whole application: devices' requests carry neither cookies nor an origin, and pass unchanged."""
    return [Middleware(SecurityHeaders, secure=context.secure), Middleware(SameOrigin)]
