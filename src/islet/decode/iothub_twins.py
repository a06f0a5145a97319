"""Device twins by the rules of IoT Hub: what a patch does, what may be in one, and how a twin is shown.

A twin has tags (for services only), desired properties (set by services) and reported ones (set by the device). Patches
merge; null removes. Source: MicrosoftDocs azure-docs, iot-hub-devguide-device-twins.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

from islet.errors import BadInput
from islet.model.foreign_json import UNREADABLE
from islet.model.time import iso

if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # msgspec reads no type that names itself
JsonObject = dict[str, Json]

MOST_PROPERTY_BYTES: Final = 32 * 1024
MOST_TAG_BYTES: Final = 8 * 1024
MOST_DEPTH: Final = 10
MOST_KEY_BYTES: Final = 1024
MOST_TEXT_BYTES: Final = 4096
MOST_NUMBER: Final = 1 << 52
_NOT_IN_KEYS: Final = re.compile(r"[.$ \x00-\x1f\x7f-\x9f]")
_OURS: Final = ("$version", "$metadata")


class Properties(Struct, frozen=True, kw_only=True):
    """One half of a twin. `metadata` mirrors `values`: when each was last written, and in which version."""

    values: JsonObject = {}
    metadata: JsonObject = {}
    version: int = 1


class Twin(Struct, frozen=True, kw_only=True):
    """What a service and a device know of each other. `etag` changes with tags and desired properties."""

    tags: JsonObject = {}
    desired: Properties = Properties()
    reported: Properties = Properties()
    version: int = 1
    etag: str = ""
    model_id: str = ""
    """What the device said when it connected last that it follows; "": it never did."""


UNWRITTEN: Final = Twin(etag="AAAAAAAAAAE=")
"""The twin of a device that nobody has written to."""


class ServiceTwin(Struct, frozen=True, kw_only=True):
    """What a service wants of a twin; None: as it is. What is `emptied` loses all that is in it."""

    tags: JsonObject | None = None
    desired: JsonObject | None = None
    emptied: tuple[Literal["tags", "desired"], ...] = ()

    def spelled_out(self, before: Twin) -> "ServiceTwin":
        """The same as a patch of that twin: what is emptied has a null for each name."""
        if not self.emptied:
            return self
        present = {"tags": before.tags, "desired": before.desired.values}
        nulls = {name: dict.fromkeys(present[name]) for name in self.emptied}
        return ServiceTwin(tags=nulls.get("tags", self.tags), desired=nulls.get("desired", self.desired))


def parse_object(content: bytes) -> JsonObject:
    """A JSON object in UTF-8. Raises BadInput."""
    try:
        return msgspec.json.decode(content, type=dict[str, Json])
    except UNREADABLE:
        raise BadInput("expected one JSON object in UTF-8", reason="json") from None


def patched(before: Properties, patch: JsonObject, now_us: int, *, whole: bool = False) -> Properties:
    """The properties after a patch (`whole`: replaced by it), one version later.

    Raises BadInput for what may not be in a twin, and for a result that is too large.

    >>> patched(Properties(values={"a": 1, "b": {"c": 2}}), {"a": None, "b": {"d": 3}}, 0).values
    {'b': {'c': 2, 'd': 3}}
    """
    _check(patch, 1)
    version = before.version + 1
    stamp: JsonObject = {"$lastUpdated": iso(now_us), "$lastUpdatedVersion": version}
    values, metadata = ({}, {}) if whole else (before.values, before.metadata)
    values, metadata = _merged(values, metadata, patch, stamp)
    _check_size(values, MOST_PROPERTY_BYTES, "properties")
    return Properties(values=values, metadata=metadata, version=version)


def is_met(before: Properties, patch: JsonObject) -> bool:
    """Whether a patch would change nothing.

    >>> is_met(Properties(values={"a": 1, "b": 2}), {"a": 1, "c": None})
    True
    """
    values, _ = _merged(before.values, before.metadata, patch, {})
    return msgspec.json.encode(values) == msgspec.json.encode(before.values)  # to Python, true is 1


def patched_tags(before: JsonObject, patch: JsonObject, *, whole: bool = False) -> JsonObject:
    """The tags after a patch (`whole`: replaced by it). Raises BadInput as `patched` does."""
    _check(patch, 1)
    tags, _ = _merged({} if whole else before, {}, patch, {})
    _check_size(tags, MOST_TAG_BYTES, "tags")
    return tags


def _merged(
    values: JsonObject, metadata: JsonObject, patch: JsonObject, stamp: JsonObject
) -> tuple[JsonObject, JsonObject]:
    """Both as new objects (RFC 7396 for the values)."""
    values, metadata = dict(values), {**metadata, **stamp}
    for key, wanted in patch.items():
        if wanted is None:
            values.pop(key, None)
            metadata.pop(key, None)
        elif isinstance(wanted, dict):
            old, old_metadata = values.get(key), metadata.get(key)
            if not isinstance(old, dict) or not isinstance(old_metadata, dict):
                old, old_metadata = old if isinstance(old, dict) else {}, {}
            values[key], metadata[key] = _merged(old, old_metadata, wanted, stamp)
        else:
            values[key], metadata[key] = wanted, stamp
    return values, metadata


def _check(value: Json, depth: int) -> None:
    """Raises BadInput for a key, a text, a number or a depth that IoT Hub does not take."""
    if depth > MOST_DEPTH + 1 and isinstance(value, dict | list):
        raise BadInput(f"twin: expected objects at most {MOST_DEPTH} deep", reason="twin")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not key or len(key.encode()) > MOST_KEY_BYTES or _NOT_IN_KEYS.search(key):
                raise BadInput(
                    f"twin: expected names of 1 to {MOST_KEY_BYTES} bytes without . $ space and control characters",
                    reason="twin",
                )
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str) and len(value.encode()) > MOST_TEXT_BYTES:
        raise BadInput(f"twin: expected texts of at most {MOST_TEXT_BYTES} bytes", reason="twin")
    elif isinstance(value, int) and not -MOST_NUMBER <= value <= MOST_NUMBER:
        raise BadInput("twin: expected whole numbers of at most 2^52", reason="twin")


def _check_size(values: JsonObject, most: int, what: str) -> None:
    """IoT Hub counts UTF-8 bytes of names and texts, 8 for a number, 4 for true and false; not JSON's signs."""
    size = sum(_sizes(values))
    if size > most:
        raise BadInput(f"twin: expected {what} of at most {most} bytes; got {size}", reason="twin_size")


def _sizes(value: Json) -> Iterator[int]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield len(key.encode())
            yield from _sizes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sizes(inner)
    elif isinstance(value, str):
        yield len(value.encode())
    elif value is not None:
        yield 4 if isinstance(value, bool) else 8


def parse_service_twin(body: JsonObject) -> ServiceTwin:
    """Tags and desired properties of a twin as service SDKs send it; `$version` and `$metadata`, which come along when a
    twin was read before, are left out; a null in place of either empties it. Raises BadInput."""
    properties = _object(body, "properties") or {}
    emptied: list[Literal["tags", "desired"]] = []
    if body.get("tags", ...) is None:
        emptied.append("tags")
    if properties.get("desired", ...) is None:
        emptied.append("desired")
    tags, desired = _object(body, "tags"), _object(properties, "desired")
    return ServiceTwin(tags=tags, desired=desired, emptied=tuple(emptied))


def _object(holder: Mapping[str, Json], name: str) -> JsonObject | None:
    found = holder.get(name)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise BadInput(f"twin: expected an object for {name}", reason="twin")
    return {key: value for key, value in found.items() if key not in _OURS}


def device_twin(twin: Twin) -> bytes:
    """The twin as its device sees it: JSON without tags and metadata."""
    return msgspec.json.encode({"desired": _shown(twin.desired), "reported": _shown(twin.reported)})


def desired_patch(patch: JsonObject, version: int) -> bytes:
    """What a connected device is told of a change."""
    return msgspec.json.encode({**patch, "$version": version})


def service_twin(twin: Twin) -> JsonObject:
    """Tags, properties with their metadata, and versions, as services see them."""
    return {
        "etag": twin.etag,
        "version": twin.version,
        "tags": twin.tags,
        "properties": {
            "desired": {**_shown(twin.desired), "$metadata": twin.desired.metadata},
            "reported": {**_shown(twin.reported), "$metadata": twin.reported.metadata},
        },
    }


def _shown(properties: Properties) -> JsonObject:
    return {**properties.values, "$version": properties.version}
