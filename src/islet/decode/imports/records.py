"""Records out of JSON files: fields of the type that is expected, or an error that names record and field."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import msgspec

from islet.decode.imports.local_times import local_time
from islet.errors import BadInput
from islet.model.time import EPOCH

Record = Mapping[str, object]


def loaded(stream: BinaryIO) -> object:
    """What the JSON says. Raises BadInput with line and column where it is none."""
    stream.seek(0)
    content = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_json(content) from None


def records(content: object, *inside: str) -> list[Record]:
    """The objects of an array, or of the array that stands under one of the names `inside`. Raises BadInput."""
    if isinstance(content, dict):
        content = next((content[name] for name in inside if isinstance(content.get(name), list)), content)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise BadInput("line 1, column 1: expected an array of objects; got something else", reason="format")
    return content


def word(record: Record, name: str) -> str:
    """A text, "" where there is none; of another type, as JSON has it."""
    value = record.get(name)
    return value.strip() if isinstance(value, str) else "" if value is None else json.dumps(value)


def amount(record: Record, place: int, *names: str) -> float | None:
    """The first of these numbers that is there, also when it is written as a text. Raises BadInput."""
    for name in names:
        value = record.get(name)
        if value is None or value == "":
            continue
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            return float(value)
        except ValueError:
            raise wrong_field(place, name, "a number") from None
    return None


def instant(record: Record, place: int, *names: str) -> datetime:
    """The first of these times that is there: text with an offset, or milliseconds since 1970. Raises BadInput."""
    for name in names:
        value = record.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return EPOCH + timedelta(milliseconds=value)
            except OverflowError:
                raise wrong_field(place, name, "a time that exists") from None
        if isinstance(value, str) and value:
            return _aware(value, place, name)
    raise wrong_field(place, names[0], "a time")


def _aware(text: str, place: int, name: str) -> datetime:
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        told = local_time(text, "ymd", place, name)
    if told.tzinfo is None:
        raise wrong_field(place, name, "a time with its offset")
    try:
        return told.astimezone(UTC)
    except OverflowError:
        raise wrong_field(place, name, "a time that exists") from None


def wrong_field(place: int, name: str, expected: str) -> BadInput:
    """The error for a field; what stood there is not repeated."""
    return BadInput(f"record {place}, field {name}: expected {expected}; got something else", reason="value")


def _not_json(content: bytes) -> BadInput:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        return BadInput(f"line {error.lineno}, column {error.colno}: expected JSON; got something else", reason="json")
    except (UnicodeDecodeError, RecursionError):
        pass
    return BadInput("expected JSON in UTF-8; got something else", reason="json")
