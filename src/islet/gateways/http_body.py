"""A request's body, up to the size that a message may have."""

from starlette.requests import Request

from islet.decode.mqtt import MAX_PAYLOAD
from islet.gateways.http_answers import TooLarge


async def read_body(request: Request) -> bytes:
    """The whole body, sent in chunks or with its length. Raises TooLarge as soon as it is over 256 KiB."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_PAYLOAD:
            raise TooLarge(f"body: expected at most {MAX_PAYLOAD} bytes")
    return bytes(body)
