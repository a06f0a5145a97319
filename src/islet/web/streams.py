"""Server-sent events for the pages (`/live`): readings, alerts and care events as they are committed."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from islet.access.decide import Action
from islet.web.answers import async_api
from islet.web.context import WebContext
from islet.web.sessions import Viewer, still
from islet.web.updates import Audience, Positions, between, beyond, ends_of, event, furthest, parse_positions

HEARTBEAT_S: Final = 10.0
"""A page that hears nothing for three of these says that the connection is lost; and so long after its session a
stream is over at the latest."""
_RETRY: Final = b"retry: 1000\n\n"


def routes(context: WebContext) -> list[Route]:
    return [async_api(context, "/live", live, ("GET",))]


async def live(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """What the viewer may see, or with `patient=` that patient alone, from the position of `from=` (a snapshot's) or
    of Last-Event-ID (the browser's, when it comes back)."""
    patient = request.query_params.get("patient")
    if patient is not None:
        viewer.require(Action.FOLLOW_PATIENT, patient)
    wanted = request.headers.get("last-event-id") or request.query_params.get("from", "")
    start = parse_positions(wanted, context.log.partitions)
    return event_stream(_live_frames(context, viewer, patient, start))


def event_stream(frames: AsyncIterator[bytes]) -> Response:
    """A response of server-sent events that no proxy holds back."""
    return StreamingResponse(frames, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _live_frames(
    context: WebContext, viewer: Viewer, patient: str | None, start: Positions | None
) -> AsyncIterator[bytes]:
    followed = await run_in_threadpool(viewer.audience_for, Action.FOLLOW_PATIENT)
    audience = followed if patient is None else frozenset({patient})
    with context.live.subscribe(heartbeat_s=HEARTBEAT_S) as subscription:
        position = context.live.published if start is None else start
        yield _RETRY
        while not subscription.closed:
            if subscription.behind:
                missed = run_in_threadpool(_missed, context, position, subscription.catch_up(), audience)
                frame, position = await missed
                yield frame
            for update in subscription.take():
                yield update.frame(audience)
                position = update.positions
            await subscription.changed()
            if subscription.beat_is_due():
                if not await run_in_threadpool(still, context, viewer, followed, Action.FOLLOW_PATIENT):
                    return
                yield _clock(context)


def _missed(
    context: WebContext, position: Positions, published: Positions, audience: Audience
) -> tuple[bytes, Positions]:
    """What lies between, and the position behind it; or `resync`: the page then takes a new snapshot while the stream
    goes on. So too from a position that this log has not reached: it is another log's, or made up."""
    reached = furthest(position, published)
    update = (
        None
        if beyond(position, ends_of(context.log))
        else between(context.log, position, reached, context.principals.erased)
    )
    if update is None:
        return event("resync", b"{}"), published
    return update.frame(audience), reached


def _clock(context: WebContext) -> bytes:
    return event("clock", msgspec.json.encode({"now_us": context.now(), "speed": context.speed}))
