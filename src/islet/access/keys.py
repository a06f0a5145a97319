"""Keys of applications, and tokens of people, for the API: shown once, kept as a hash, narrowed to some actions, with an end."""

import hmac
import re
import secrets
from typing import Final

from msgspec import Struct

from islet.access.actions import Action
from islet.access.passwords import token_hash
from islet.errors import BadInput

_TOKEN: Final = re.compile(r"islet_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
"""A fixed beginning, so that scanners of source code find one that was published by mistake."""


class ApiKey(Struct, frozen=True, kw_only=True):
    """What is kept of a key. `scope`: the actions that it is for, of those that its user may do; None is all of them."""

    user: str
    hash: str
    expires_us: int
    scope: tuple[str, ...] | None = None
    purpose: str = ""


def new_api_key(
    user: str, expires_us: int, scope: tuple[str, ...] | None = None, purpose: str = ""
) -> tuple[str, ApiKey, str]:
    """An id, what is kept under it, and the token to show once. Raises BadInput for an action that there is not."""
    for action in scope or ():
        if action not in set(Action):
            raise BadInput(f"scope: {action!r} is no action; there are {', '.join(Action)}", reason="scope")
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = f"islet_{id}_{secret}"
    return id, ApiKey(user=user, hash=token_hash(token), expires_us=expires_us, scope=scope, purpose=purpose), token


def key_id(token: str) -> str:
    """The id in a key's token; "" where it is no such token.

    >>> key_id("islet_00112233aabb_" + "x" * 43), key_id("something else")
    ('00112233aabb', '')
    """
    parts = _TOKEN.fullmatch(token)
    return "" if parts is None else parts[1]


def is_valid(key: ApiKey, token: str, now_us: int) -> bool:
    """Whether the token is that key's, and its time is not over."""
    return hmac.compare_digest(key.hash, token_hash(token)) and now_us < key.expires_us
