"""Answers of Nightscout's third API, what it refuses, and the document that a request brings."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.app_tokens import AppToken
from islet.decode.nightscout_search import Document
from islet.decode.nightscout_v3 import http_date
from islet.errors import BadInput, IsletError
from islet.gateways.http_body import read_body
from islet.model.foreign_json import parse
from islet.model.people import Device

_MOST_BYTES: Final = 1 << 20
_MS_US: Final = 1_000


class Refused(IsletError):
    """What is answered with this status; `why` in the words that apps know."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(why)
        self.status, self.why = status, why


async def document_of(request: Request) -> Document:
    """The one document of a request. Raises BadInput and TooLarge."""
    document = parse(await read_body(request, _MOST_BYTES), dict[str, object], "body")
    if not document:
        raise BadInput("Bad or missing request body", reason="schema")
    return document


def token_answer(text: str, token: AppToken, device: Device) -> Response:
    """A token, and what it says; what it may is asked with each request."""
    permissions = [["api:*:create", "api:*:read", "api:*:update", "api:*:delete"]]
    times = {"iat": token.iat, "exp": token.exp}
    return JSONResponse({"token": text, "sub": device.id, "permissionGroups": permissions, **times})


def answered(result: object = None, *, headers: Mapping[str, str] | None = None) -> Response:
    """200, with what was found where something was asked for."""
    said = {"status": 200} if result is None else {"status": 200, "result": result}
    return JSONResponse(said, headers=headers)


def dated(changed_ms: int) -> dict[str, str]:
    """When the newest of an answer was changed; AAPS reads it in the tag, and goes on behind it."""
    return {"Last-Modified": http_date(changed_ms * _MS_US), "ETag": f'W/"{changed_ms}"'}


def refusal(error: Refused) -> Response:
    """The status, and why, as Nightscout says it."""
    said = {"status": error.status, "message": error.why} if error.why else {"status": error.status}
    return JSONResponse(said, error.status, {"Retry-After": "1"} if error.status == 429 else None)
