"""AMQP messages, and what we make of them."""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from proton import Message, symbol

from islet.errors import BadInput
from islet.model.time import from_us, iso
from islet.store.device_file_rows import CONTAINER, FileNotification
from islet.store.devices_base import Ack, Command, Feedback, Letter

FILE_TYPE: Final = "application/vnd.microsoft.iothub.filenotification.json"
FIELDS: Final = {
    "$.mid": "id",
    "$.cid": "correlation_id",
    "$.ct": "content_type",
    "$.ce": "content_encoding",
}
"""System properties as MQTT names them, and the fields of an AMQP message."""

_LAST_S: Final = 253_402_300_799.0  # of the year 9999
_READ: Final = (*FIELDS.values(), "user_id", "expiry_time", "address", "reply_to")


def decode_message(data: bytes) -> Message:
    """A message whose fields can be read. Raises BadInput.

    Proton decodes some of them only when they are read, and takes any type for a section's value.
    """
    message = Message()
    try:
        message.decode(data)
        readable = all(isinstance(one, dict | None) for one in (message.properties, message.annotations))
        for field in _READ:
            getattr(message, field)
    except Exception:  # what its bindings raise is not told anywhere: ProtonException, ValueError, OverflowError …
        readable = False
    if not readable:
        raise BadInput("AMQP: expected a message", reason="amqp") from None
    return message


def body_bytes(message: Message) -> bytes:
    """The body's bytes, of a data section or a value that is a text. Raises BadInput."""
    body: Any = message.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise BadInput("AMQP: expected a body of bytes or a text", reason="amqp")


def read_properties(message: Message) -> dict[str, str]:
    """The properties, by the names that MQTT has for them."""
    properties = {name: text(value) for name, value in (message.properties or {}).items() if value is not None}
    properties = {text(name): value for name, value in properties.items()}
    for name, field in FIELDS.items():
        value = getattr(message, field)
        if value not in (None, "", "None"):  # Proton 0.40 makes symbol("None") of an absent content type
            properties[name] = text(value)
    if message.user_id:
        properties["$.uid"] = bytes(message.user_id).decode(errors="replace")
    return properties


def text(value: object) -> str:
    """A property's value as MQTT and HTTPS have it: a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):  # Proton's own kinds of numbers say what kind they are
        return str(int(value) if isinstance(value, int) else float(value))
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    return str(value)


def data_message(body: bytes | None, annotations: Mapping[str, object] | None = None, **fields: Any) -> Message:
    """A message with one data section, or (None) without a body."""
    message = Message(body=body, inferred=True, **fields)
    if annotations:
        message.annotations = {symbol(name): value for name, value in annotations.items()}
    return message


def command_message(device: str, letter: Letter) -> Message:
    """A command as its device gets it."""
    command = letter.command
    fields: dict[str, Any] = {FIELDS[name]: value for name, value in command.properties.items() if name in FIELDS}
    own: dict[str, Any] = {name: value for name, value in command.properties.items() if not name.startswith("$.")}
    message = data_message(command.body, properties={**own, "iothub-ack": command.ack}, **fields)
    message.address = f"/devices/{device}/messages/devicebound"
    message.delivery_count = letter.deliveries
    message.expiry_time = letter.expires_us / 1e6
    if "$.uid" in command.properties:
        message.user_id = command.properties["$.uid"].encode()
    return message


def read_command(message: Message) -> Command:
    """A command as its sender wrote it. Raises BadInput."""
    properties = read_properties(message)
    ack = properties.pop("iothub-ack", "none").lower()
    if ack not in ("none", "positive", "negative", "full"):
        raise BadInput("iothub-ack: expected none, positive, negative or full", reason="schema")
    until_s = float(message.expiry_time)  # any 64 bits of milliseconds; what is beyond both ends is at them
    expires_us = round(min(max(until_s, 1.0), _LAST_S) * 1e6) if until_s else None
    return Command(body=body_bytes(message), properties=properties, ack=cast(Ack, ack), expires_us=expires_us)


def feedback_json(feedback: Feedback, at: str) -> dict[str, object]:
    """A record of a feedback message; `at` is when, in ISO 8601."""
    return {
        "originalMessageId": feedback.original_message_id,
        "deviceId": feedback.device,
        "deviceGenerationId": feedback.generation,
        "enqueuedTimeUtc": at,
        "statusCode": feedback.outcome.value,
        "description": feedback.outcome.value,
    }


def file_json(told: FileNotification, hub_name: str) -> dict[str, object]:
    """What services are told of an uploaded file. Nothing can be read at the address; people and programs read it in the
    portal."""
    name = f"{told.device}/{told.name}"
    return {
        "deviceId": told.device,
        "blobUri": f"https://{hub_name}/{CONTAINER}/{quote(name)}",
        "blobName": name,
        "lastUpdatedTime": from_us(told.changed_us).isoformat(timespec="seconds"),  # as IoT Hub's: Java takes no other
        "blobSizeInBytes": told.bytes,
        "enqueuedTimeUtc": iso(told.at_us),
    }
