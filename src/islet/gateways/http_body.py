"""What a request brings: a credential, numbers, and a body up to the size that a message may have."""

import zlib
from typing import Final

from starlette.requests import Request

from islet.decode.iothub import Identity
from islet.decode.mqtt import MAX_PAYLOAD
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.client_certificates import peer_of
from islet.gateways.http_answers import TooLarge, UnknownCoding
from islet.model.people import Device

MOST_NUMBER: Final = 1 << 62
_DIGITS: Final = len(str(MOST_NUMBER))
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


def number_in(text: str, name: str, most: int = MOST_NUMBER) -> int:
    """A whole number from 1 to `most` that stands in an address. Raises BadInput, also for more digits than the largest
    has: to make a number of thousands is refused by Python."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and 1 <= int(text) <= most):
        raise BadInput(f"{name}: expected a number from 1 to {most}", reason="number")
    return int(text)


def admitted(authenticator: Authenticator, request: Request) -> tuple[Identity, Device]:
    """The device of the path, by its token or, without one, its certificate. Raises BadInput and AccessDenied."""
    token = request.headers.get("authorization", "")
    peer = None if token else peer_of(request.scope)
    return authenticator.admit_request(request.path_params["id"], token, peer)


async def read_body(request: Request, most: int = MAX_PAYLOAD) -> bytes:
    """The whole body, sent in chunks or with its length, without its content coding (RFC 9110 8.4). Raises TooLarge as
    soon as it is over so many bytes (256 KiB), coded or not, UnknownCoding, and BadInput for what is not coded as it says."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(f"body: expected at most {most} bytes")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    return bytes(body) if coding == "identity" else _decoded(bytes(body), coding, most)


def _decoded(body: bytes, coding: str, most: int) -> bytes:
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise UnknownCoding("content-encoding: expected gzip, deflate or identity")
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        decoded = decoder.decompress(body, most + 1)
    except zlib.error:
        raise BadInput(f"body: expected {coding}, as content-encoding says", reason="coding") from None
    if len(decoded) > most:
        raise TooLarge(f"body: expected at most {most} bytes")
    if not decoder.eof or decoder.unused_data:
        raise BadInput(f"body: expected all of one {coding} stream, and nothing behind it", reason="coding")
    return decoded
