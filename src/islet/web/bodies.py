"""JSON that a request brings, no longer than it may be."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from islet.errors import BadInput
from islet.model.foreign_json import UNREADABLE

T = TypeVar("T")


class TooLong(BadInput):
    """A body is longer than it may be."""


async def json_body(request: Request, kind: type[T], *, expected: str, reason: str, most_bytes: int = 16 * 1024) -> T:
    """The body, decoded. Raises BadInput, which says what was `expected`, as soon as it is too long, and for what is no
    JSON of that kind."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise TooLong(f"expected at most {most_bytes} bytes", reason=reason)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{expected}: {error}", reason=reason) from None
    except UNREADABLE:
        raise BadInput(expected, reason=reason) from None
