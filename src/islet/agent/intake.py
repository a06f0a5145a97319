"""Events from sensors and people on the device, made fit to leave it: only what Islet knows, and nobody's details."""

import re
from typing import Final

import msgspec
from msgspec import structs

from islet.agent.privacy import Privacy
from islet.decode.iothub_twins import JsonObject, parse_object
from islet.errors import BadInput, UnknownUnit
from islet.model.events import AnyEvent, DeviceStatus, Exercise, Insulin, Meal, Medication, Note, Prompt, Reading

MOST_LINE_BYTES: Final = 64 * 1024
_TEXTS: Final[dict[type, tuple[str, ...]]] = {
    Meal: ("text",),
    Insulin: ("name",),
    Exercise: ("kind",),
    Medication: ("name", "dose_unit"),
    Note: ("text",),
}
"""What people write in an event as they like."""

_UNITS: Final = ("mg/dL", "mmol/L")
_FIRMWARE: Final = re.compile(r"[A-Za-z0-9_.+-]{0,40}")
_MOST_CHARACTERS: Final = {"text": 2000}
_MOST_OF_A_NAME: Final = 200


def private_event(line: bytes, privacy: Privacy) -> AnyEvent:
    """The event in a line of JSON, without anything that says whose it is. Raises BadInput, which holds nothing of the
    values.

    >>> line = b'{"type": "meal", "time": "2026-11-21T08:00:00Z", "carbs_g": 40, "patient": "jo", "phone": "1"}'
    >>> private_event(line, Privacy()).patient
    UNSET
    """
    if len(line) > MOST_LINE_BYTES:
        raise BadInput(f"event: expected at most {MOST_LINE_BYTES} bytes", reason="schema")
    try:
        record: JsonObject = privacy.record(parse_object(line))
    except RecursionError:
        raise BadInput("event: expected a flat JSON object", reason="schema") from None
    record.pop("patient", None)  # the platform knows whose device it is
    try:
        event: AnyEvent = msgspec.convert(record, AnyEvent)
    except msgspec.ValidationError as error:
        raise BadInput(f"event: {error}", reason="schema") from None
    if isinstance(event, Prompt):
        raise BadInput("event: prompts are the agent's own; send readings", reason="schema")
    if isinstance(event, Reading) and event.unit not in _UNITS:
        raise UnknownUnit("another", _UNITS)
    if isinstance(event, DeviceStatus) and (not _FIRMWARE.fullmatch(event.firmware) or privacy.owns(event.firmware)):
        return structs.replace(event, firmware="")
    return structs.replace(event, **{name: _said(event, name, privacy) for name in _TEXTS.get(type(event), ())})


def _said(event: AnyEvent, name: str, privacy: Privacy) -> str:
    """A text without details; no longer than the platform takes, which the marks for them could make it."""
    return privacy.text(getattr(event, name))[: _MOST_CHARACTERS.get(name, _MOST_OF_A_NAME)]
