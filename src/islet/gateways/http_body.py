"""What a request brings: a credential, numbers, and a body up to the size that a message may have."""

from typing import Final

from starlette.requests import Request

from islet.decode.iothub import Identity
from islet.decode.mqtt import MAX_PAYLOAD
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.client_certificates import peer_of
from islet.gateways.http_answers import TooLarge
from islet.model.people import Device

MOST_NUMBER: Final = 1 << 62
_DIGITS: Final = len(str(MOST_NUMBER))


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


async def read_body(request: Request) -> bytes:
    """The whole body, sent in chunks or with its length. Raises TooLarge as soon as it is over 256 KiB."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_PAYLOAD:
            raise TooLarge(f"body: expected at most {MAX_PAYLOAD} bytes")
    return bytes(body)
