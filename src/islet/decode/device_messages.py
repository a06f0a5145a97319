"""Messages as devices sent them, for those who read them raw: rows of the log, and back.

IoT Hub offers the same at its Event Hub-compatible endpoint. Sources: MicrosoftDocs azure-docs,
iot-hub-devguide-messages-construct.md and iot-hub-devguide-messages-d2c.md (the notifications of twins).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
from msgspec import Struct

from islet.decode.telemetry import Arrival
from islet.model.batch import DocumentRow, documents_batch

MODULE: Final = "iothub-connection-module-id"
"""The property in which a door says which module has sent a message; nobody else's word for it counts."""

TELEMETRY: Final = "Telemetry"
TWIN_CHANGE: Final = "twinChangeEvents"


class Kept(Struct, frozen=True):
    """What the log keeps of a message beside its device; the payload is written as base64."""

    payload: bytes
    properties: Mapping[str, str]


def stamped(properties: Mapping[str, str], module: str) -> Mapping[str, str]:
    """The properties with the module that the door has let in, and no other.

    >>> stamped({MODULE: "m1", "a": "1"}, ""), stamped({}, "m2")
    ({'a': '1'}, {'iothub-connection-module-id': 'm2'})
    """
    if module:
        return {**properties, MODULE: module}
    if MODULE in properties:
        return {name: value for name, value in properties.items() if name != MODULE}
    return properties


def kept_messages(arrivals: Sequence[Arrival], now_us: int) -> pa.RecordBatch:
    """A row for each arrival (n rows), in their order."""
    return documents_batch(
        [
            DocumentRow(one.patient, one.device, now_us, TELEMETRY, _encoded(Kept(one.payload, one.properties)))
            for one in arrivals
        ]
    )


def twin_change(
    device: str, patient: str, change: Mapping[str, object], properties: Mapping[str, str], now_us: int
) -> DocumentRow:
    """The notification of a change of a twin: `change` is what was changed, as JSON."""
    usual = {"$.ct": "application/json", "$.ce": "utf-8", "iothub-message-schema": "twinChangeNotification"}
    kept = Kept(msgspec.json.encode(change), {**usual, "opType": "updateTwin", **properties})
    return DocumentRow(patient, device, now_us, TWIN_CHANGE, _encoded(kept))


def read_kept(body: str) -> Kept:
    """The message in a row's body."""
    return msgspec.json.decode(body, type=Kept)


def _encoded(kept: Kept) -> str:
    try:
        return _encoder.encode(kept).decode()
    except UnicodeEncodeError:  # half a surrogate pair in a property: no text, and no door writes one
        return _encoder.encode(Kept(kept.payload, {_text(k): _text(v) for k, v in kept.properties.items()})).decode()


def _text(value: str) -> str:
    return value.encode(errors="replace").decode()


_encoder: Final = msgspec.json.Encoder()
