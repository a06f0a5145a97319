"""Tokens that an app is given for its secret: JSON Web Tokens (RFC 7519), signed with HMAC-SHA-256.

An app that speaks Nightscout's third API sends one with each request, in the place of its secret.
"""

import base64
import hashlib
import hmac
from typing import Final

import msgspec
from msgspec import Struct

from islet.model.foreign_json import UNREADABLE

LIFETIME_S: Final = 8 * 3600
"""As Nightscout's: Home Assistant's integration for it asks for a new one when less than an hour is left."""
_HEADER: Final = b'{"alg":"HS256","typ":"JWT"}'


class AppToken(Struct, frozen=True, kw_only=True):
    """What a token says: which secret it was given for (as what that is kept), and from when until when it holds."""

    app: str
    iat: int
    exp: int


def signed(token: AppToken, key: bytes) -> str:
    """The token as it is given.

    >>> text = signed(AppToken(app="a", iat=0, exp=60), b"key")
    >>> token_in(text, b"key"), token_in(text, b"other")
    (AppToken(app='a', iat=0, exp=60), None)
    """
    said = _text(_HEADER) + "." + _text(msgspec.json.encode(token))
    return f"{said}.{_text(_signature(said, key))}"


def token_in(text: str, key: bytes) -> AppToken | None:
    """The token in a text, over or not; None where it was not signed with this key, and so."""
    said, _, signature = text.rpartition(".")
    header, _, body = said.partition(".")
    if header != _text(_HEADER) or not hmac.compare_digest(_text(_signature(said, key)).encode(), signature.encode()):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=AppToken)
    except (ValueError, *UNREADABLE):
        return None


def _signature(said: str, key: bytes) -> bytes:
    return hmac.digest(key, said.encode(), hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
