"""What a request brings: a credential, and a body up to the size that a message may have."""

from starlette.requests import Request

from islet.decode.iothub import Identity
from islet.decode.mqtt import MAX_PAYLOAD
from islet.gateways.authenticate import Authenticator
from islet.gateways.client_certificates import peer_of
from islet.gateways.http_answers import TooLarge
from islet.model.people import Device


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
