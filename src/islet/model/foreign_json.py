"""JSON that somebody else has written: a record of it, or a refusal."""

from collections.abc import Collection
from typing import Final, TypeVar

import msgspec

from islet.errors import BadInput

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what is no JSON, is not of the shape that was asked for, or is nested too deep."""


def parse(content: bytes, kind: type[T], name: str) -> T:
    """The record in a JSON text. Raises BadInput, reason "json" or "schema"; its message begins with the name."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{name}: {error}", reason="schema") from None
    except UNREADABLE:
        raise BadInput(f"{name}: expected JSON in UTF-8", reason="json") from None


def one_of(words: Collection[str], said: str) -> str:
    """The word that was said, in whatever case: SDKs differ in it. For a record's `__post_init__`: raises ValueError,
    from which msgspec makes its own error.

    >>> one_of(("enabled", "disabled"), "Enabled")
    'enabled'
    """
    for word in words:
        if word.lower() == said.lower():
            return word
    raise ValueError(f"expected one of {', '.join(words)}")
