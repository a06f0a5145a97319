"""Records out of JSON files: fields of the type that is expected, or an error that names record and field."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import BinaryIO, Final

import msgspec

from islet.decode.imports.local_times import local_time
from islet.errors import BadInput
from islet.model.foreign_json import UNREADABLE
from islet.model.time import EPOCH

Record = Mapping[str, object]
_WHOLE: Final = ("$numberInt", "$numberLong")
_DIGITS: Final = re.compile(r"-?\d{1,18}")


def loaded(stream: BinaryIO) -> object:
    """What the JSON says; a list of the lines' objects where each line is an object, as MongoDB's mongoexport writes them.

    Raises BadInput with line and column where it is none.
    """
    stream.seek(0)
    content = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(content)
    except UNREADABLE:
        lines = content.splitlines() or [b""]
        if not _is_object(lines[0]) or len(lines) == 1:
            raise _not_json(content) from None
    return [_line(line, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except UNREADABLE:
        return False


def _line(line: bytes, number: int) -> object:
    try:
        return msgspec.json.decode(line)
    except UNREADABLE:
        raise _not_json(line, before=number - 1) from None


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
        value = _plain(record.get(name))
        if value is None or value == "":
            continue
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str) or not isfinite(float(value)):
                raise ValueError
            return float(value)
        except (ValueError, OverflowError):
            raise wrong_field(place, name, "a number") from None
    return None


def _plain(value: object) -> object:
    """A value without the type that MongoDB's extended JSON writes around it: {"$numberLong": "7"}, {"$date": …}."""
    while isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind not in ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$date"):
            break
        value = int(inside) if kind in _WHOLE and _DIGITS.fullmatch(str(inside)) else inside
    return value


def instant(record: Record, place: int, *names: str) -> datetime:
    """The first of these times that is there: text with an offset, or milliseconds since 1970. Raises BadInput."""
    for name in names:
        value = _plain(record.get(name))
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


def _not_json(content: bytes, *, before: int = 0) -> BadInput:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        return BadInput(
            f"line {before + error.lineno}, column {error.colno}: expected JSON; got something else", reason="json"
        )
    except (UnicodeDecodeError, RecursionError):
        pass
    return BadInput("expected JSON in UTF-8; got something else", reason="json")
