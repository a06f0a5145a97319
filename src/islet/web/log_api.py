"""The log for consumers outside: pull, or server-sent events, from an offset or a named cursor of their own."""

from collections.abc import AsyncIterator
from re import compile as pattern
from typing import Annotated, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.errors import BadInput, NotFound, OffsetExpired
from islet.log.base import CursorMove
from islet.model.topics import Topic
from islet.web.answers import api, async_api, json_response
from islet.web.bodies import json_body
from islet.web.context import WebContext, committed
from islet.web.log_entries import entries_of
from islet.web.sessions import Viewer, still
from islet.web.streams import HEARTBEAT_S, event_stream
from islet.web.updates import Audience, event

_NAME: Final = pattern(r"[A-Za-z0-9_.-]{1,64}")
_LIMIT: Final = 1_000
_LARGEST_LIMIT: Final = 10_000
_LARGEST_BODY: Final = 4_096
_encoder: Final = msgspec.json.Encoder()


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    partition: Annotated[int, msgspec.Meta(ge=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]


def routes(context: WebContext) -> list[Route]:
    return [
        api(context, "/api/log/{topic}", pull),
        async_api(context, "/api/log/{topic}/stream", stream, ("GET",)),
        async_api(context, "/api/log/{topic}/cursor/{name}", move_cursor, ("POST",)),
    ]


def pull(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Entries of one partition from `offset` (or the cursor's, or the first kept): JSON, or JSON lines where asked.

    `limit` counts what is read; entries of patients whom the consumer may not see are left out after that, so go on
    from `next_offset`, not from the last entry. 410 with `begin` when the offset is no longer kept.
    """
    topic = _topic(request, viewer)
    partition = _partition(context, request) or 0
    limit = min(_number(request, "limit", _LIMIT), _LARGEST_LIMIT)
    offset = _starts(context, request, viewer, topic)[partition]
    piece = context.log.read(topic, partition, offset, max(1, limit))
    audience, erased = viewer.audience_for(Action.CONSUME_LOG), viewer.principal.erased
    entries, next_offset = ([], offset) if piece is None else entries_of(piece, audience, erased, limit)
    end = context.log.end(topic)[partition]
    if "application/x-ndjson" in request.headers.get("accept", ""):
        headers = {"islet-next-offset": str(next_offset), "islet-end": str(end)}
        return Response(_encoder.encode_lines(entries), headers=headers, media_type="application/x-ndjson")
    return json_response({"entries": entries, "partition": partition, "next_offset": next_offset, "end": end})


async def move_cursor(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Keep how far the consumer has come: `{"partition": 0, "offset": 42}`; 200 once that is durable."""
    topic = _topic(request, viewer)
    consumer = _consumer(viewer, request.path_params["name"])
    expected = 'cursor: expected {"partition": 0, "offset": 42}'
    move = await json_body(request, _Move, expected=expected, reason="cursor", most_bytes=_LARGEST_BODY)
    ends = await run_in_threadpool(context.log.end, topic)
    if move.partition >= len(ends) or move.offset > ends[move.partition]:
        raise BadInput("cursor: expected a partition and an offset that the log has reached", reason="cursor")
    done = CursorMove(consumer=consumer, topic=topic, partition=move.partition, offset=move.offset)
    await committed(context.commit, cursors=[done])
    return json_response(move)


async def stream(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The same as server-sent events, of one partition or (by default) of all: each event holds an array of entries,
    its id `partition:next_offset` of every partition followed, which Last-Event-ID takes up again."""
    topic = _topic(request, viewer)
    followed = await run_in_threadpool(_followed, context, request, viewer, topic)
    return event_stream(_frames(context, viewer, topic, followed))


async def _frames(context: WebContext, viewer: Viewer, topic: Topic, followed: dict[int, int]) -> AsyncIterator[bytes]:
    audience = await run_in_threadpool(viewer.audience_for, Action.CONSUME_LOG)
    with context.live.subscribe(heartbeat_s=HEARTBEAT_S, wants_updates=False) as subscription:
        yield b"retry: 1000\n\n"
        while not subscription.closed:
            try:
                frame = await run_in_threadpool(_next_frame, context, topic, followed, audience)
            except OffsetExpired as expired:
                yield event("expired", _encoder.encode({"error": str(expired), "begin": expired.begin}))
                return
            if frame:
                yield frame
            else:
                await subscription.changed()
            if subscription.beat_is_due():
                if not await run_in_threadpool(still, context, viewer, audience, Action.CONSUME_LOG):
                    return
                yield b": heartbeat\n\n"


def _next_frame(context: WebContext, topic: Topic, followed: dict[int, int], audience: Audience) -> bytes:
    """One event for each partition that has something; moves `followed` on. Empty at the end of the log."""
    frames = []
    for partition, offset in followed.items():
        piece = context.log.read(topic, partition, offset, _LIMIT)
        if piece is not None:
            entries, followed[partition] = entries_of(piece, audience, context.principals.erased, _LIMIT)
            ident = ",".join(f"{number}:{reached}" for number, reached in followed.items())
            frames.append(event("entries", _encoder.encode(entries), ident))
    return b"".join(frames)


def _topic(request: Request, viewer: Viewer) -> Topic:
    """The topic in the path, after the decision."""
    viewer.require(Action.CONSUME_LOG)
    try:
        topic = Topic(request.path_params["topic"])
    except ValueError:
        raise NotFound(f"there is no such topic; there are {', '.join(Topic)}") from None
    if topic in (Topic.DEAD_LETTERS, Topic.DEVICE_MESSAGES):
        viewer.require(Action.VIEW_OPERATIONS)  # of what may be a dead letter the patient is not certain
    return topic


def _consumer(viewer: Viewer, name: str) -> str:
    """The cursor's name in the log: everybody has names of their own."""
    if not _NAME.fullmatch(name):
        raise BadInput("cursor: expected 1 to 64 letters, digits, '.', '_' or '-'", reason="cursor")
    return f"user/{viewer.user.name}/{name}"


def _followed(context: WebContext, request: Request, viewer: Viewer, topic: Topic) -> dict[int, int]:
    """Per partition to follow, where to begin. Raises OffsetExpired."""
    only = _partition(context, request)
    starts = dict(enumerate(_starts(context, request, viewer, topic)))
    if only is not None:
        starts = {only: starts[only]}
    starts |= {number: reached for number, reached in _last_event(request).items() if number in starts}
    for partition, offset in starts.items():
        begin = context.log.begin(topic)[partition]
        if offset < begin:
            raise OffsetExpired(topic, partition, offset, begin)
    return starts


def _starts(context: WebContext, request: Request, viewer: Viewer, topic: Topic) -> tuple[int, ...]:
    """Per partition, the offset asked for; the cursor's; or the first that is kept."""
    if "offset" in request.query_params:
        return (_number(request, "offset", 0),) * context.log.partitions
    begin = context.log.begin(topic)
    if "cursor" not in request.query_params:
        return begin
    consumer = _consumer(viewer, request.query_params["cursor"])
    reached = context.log.cursor(consumer, topic)
    known = any(move.consumer == consumer and move.topic is topic for move in context.log.cursors())
    return reached if known else begin  # a new cursor starts at what is there; an old one learns that it lost entries


def _last_event(request: Request) -> dict[int, int]:
    try:
        pairs = [part.split(":") for part in request.headers.get("last-event-id", "").split(",") if part]
        return {_whole(number): _whole(reached) for number, reached in pairs}
    except ValueError:
        raise BadInput("Last-Event-ID: expected partition:offset, comma-separated", reason="query") from None


def _partition(context: WebContext, request: Request) -> int | None:
    if "partition" not in request.query_params:
        return None
    partition = _number(request, "partition", 0)
    if partition >= context.log.partitions:
        raise BadInput(f"partition: expected 0 to {context.log.partitions - 1}", reason="query")
    return partition


def _number(request: Request, name: str, default: int) -> int:
    try:
        return _whole(request.query_params.get(name, str(default)))
    except ValueError:
        raise BadInput(f"{name}: expected a whole number of 0 or more", reason="query") from None


def _whole(text: str) -> int:
    """A whole number of 0 or more that fits into 64 bits. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError
    return int(text)
