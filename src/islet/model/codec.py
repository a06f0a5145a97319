"""Events and alert changes to and from JSON, versioned; and the published JSON Schema."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa

from islet.errors import BadInput
from islet.model.alerts import AlertChange
from islet.model.batch import DocumentRow, documents_batch
from islet.model.events import AnyEvent
from islet.model.foreign_json import UNREADABLE

_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_change_decoder = msgspec.json.Decoder(AlertChange)
_encoder = msgspec.json.Encoder()


def decode_event(payload: bytes) -> AnyEvent:
    """The event in a JSON object.

    Raises BadInput, reason "json" (not JSON) or "schema" (not an event: the message names the field and what was
    expected there; it holds nothing of the payload's values).
    """
    try:
        return _event_decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise BadInput(f"event: {error}", reason="schema") from None
    except RecursionError:
        raise BadInput("event: expected less deeply nested JSON", reason="json") from None
    except UNREADABLE:
        raise BadInput("event: expected one JSON object in UTF-8; got something else", reason="json") from None


def events_in(bodies: Iterable[str]) -> Iterator[AnyEvent]:
    """The events that were stored so; what cannot be decoded any more is left out."""
    for body in bodies:
        try:
            yield decode_event(body.encode())
        except BadInput:
            continue


def encode_event(event: AnyEvent) -> bytes:
    """The event as one JSON object; fields at their default are left out."""
    return _encoder.encode(event)


def decode_change(body: str | bytes) -> AlertChange:
    """The alert change in a document of the `alerts` topic."""
    return _change_decoder.decode(body)


def encode_change(change: AlertChange) -> bytes:
    """The alert change as JSON; equal changes give equal bytes."""
    return _encoder.encode(change)


def change_documents(changes: Sequence[AlertChange]) -> pa.RecordBatch:
    """The changes (n,) as rows of DOCUMENTS_SCHEMA, for the `alerts` topic."""
    return documents_batch([DocumentRow(c.patient, "", c.at_us, c.change, encode_change(c).decode()) for c in changes])


@cache
def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an event, as published at `/schema/event.json`."""
    schema = msgspec.json.schema(AnyEvent)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Islet event, version 1", **schema}
