"""Tokens with which a device writes one file, in the form of Azure Storage's shared access signatures.

What is signed is the file's id, its name and the expiry; nothing else can be done with a token than to write that file.
Only parameters that the storage clients know are used (they drop others): the id is in `si`.
Source: learn.microsoft.com, Azure Storage: create a service SAS.
"""

import hashlib
import hmac
from collections.abc import Mapping

from islet.errors import AccessDenied
from islet.model.time import iso

_VERSION = "2021-08-06"
_RIGHTS = "w"


def make_upload_token(id: str, name: str, until_us: int, key: bytes) -> str:
    """A query, with its question mark; nothing in it needs to be encoded but colons."""
    expiry = iso(until_us).replace(":", "%3A")
    return f"?sv={_VERSION}&sr=b&sp={_RIGHTS}&si={id}&se={expiry}&sig={_signature(id, name, iso(until_us), key)}"


def named_upload(query: Mapping[str, str]) -> str:
    """The id of the file that a query is about, not yet believed. Raises AccessDenied where it names none."""
    id = query.get("si", "")
    if not (id.isascii() and id.isalnum() and len(id) <= 64):
        raise AccessDenied("the address has no token of an upload")
    return id


def check_upload_token(query: Mapping[str, str], id: str, name: str, until_us: int, now_us: int, key: bytes) -> None:
    """Raises AccessDenied unless a query's token was made for that file, and its time is not over."""
    expected = _signature(id, name, iso(until_us), key)
    if not hmac.compare_digest(expected.encode(), query.get("sig", "").encode()) or query.get("se") != iso(until_us):
        raise AccessDenied("the token is not one of this file")
    if now_us >= until_us:
        raise AccessDenied("the token has expired")


def _signature(id: str, name: str, expiry: str, key: bytes) -> str:
    return hmac.digest(key, f"{_RIGHTS}\n{id}\n{name}\n{expiry}".encode(), hashlib.sha256).hex()
