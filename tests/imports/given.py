"""Exports written in a test, and their reading."""

import io
from zoneinfo import ZoneInfo

from islet.decode.imports.detect import detected
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.model.events import AnyEvent, Reading

UTC = Choices(zone=ZoneInfo("UTC"))


def items(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[Item]:
    """What a file gives; with `format`, only when that is what it is taken for."""
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    found = detected(stream, mapped=bool(choices.mapping))
    assert found.name == format or not format
    return list(found.read(stream, choices))


def events(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[AnyEvent]:
    """The events of a file."""
    return [item.event for item in items(content, choices, format) if isinstance(item, Found)]


def readings(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[Reading]:
    """The readings of a file."""
    return [event for event in events(content, choices, format) if isinstance(event, Reading)]


def skipped(content: str | bytes, choices: Choices = UTC) -> list[Skipped]:
    """What a file's reader left out."""
    return [item for item in items(content, choices) if isinstance(item, Skipped)]
