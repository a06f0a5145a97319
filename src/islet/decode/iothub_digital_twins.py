"""Digital twins: a device's twin as its Plug and Play model sees it, wanted and reported values of a property together,
components apart.

In the twin itself a component is an object with `"__t": "c"`, and the device answers to a property that was wanted with
`{"value": …, "ac": 200, "av": 4, "ad": "…"}`. Source: MicrosoftDocs azure-docs, howto-manage-digital-twin.md and
concepts-convention.md.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from islet.decode.iothub_configurations import overlaid
from islet.decode.iothub_twins import Json, JsonObject, Twin
from islet.errors import BadInput
from islet.model.foreign_json import UNREADABLE

MOST_OPERATIONS: Final = 100
_MARK: Final = "__t"
_ANSWER: Final = {"ac": "ackCode", "av": "ackVersion", "ad": "ackDescription"}


class Operation(Struct):
    """One step of a JSON patch (RFC 6902); its other operations are not for digital twins."""

    op: Literal["add", "replace", "remove"]
    path: str
    value: Json | UnsetType = UNSET


def digital_twin(id: str, twin: Twin) -> JsonObject:
    """What services see of a device at `/digitaltwins`."""
    desired, reported = twin.desired, twin.reported
    names = [name for name in {**desired.values, **reported.values} if name != _MARK]
    parts: JsonObject = {}
    metadata: JsonObject = {"$model": twin.model_id}
    for name in names:
        wanted, told = desired.values.get(name), reported.values.get(name)
        when = (_of(desired.metadata, name), _of(reported.metadata, name))
        if _is_component(wanted) or _is_component(told):
            parts[name] = _component(_object(wanted), _object(told), *when)
        else:
            _property(name, desired.values, reported.values, *when, parts, metadata)
    return {"$dtId": id, **parts, "$metadata": metadata}


def parse_operations(content: bytes) -> list[Operation]:
    """Raises BadInput."""
    try:
        operations = msgspec.json.decode(content, type=list[Operation])
    except UNREADABLE:
        raise BadInput("digital twin: expected a JSON patch of add, replace and remove", reason="schema") from None
    if len(operations) > MOST_OPERATIONS:
        raise BadInput(f"digital twin: expected at most {MOST_OPERATIONS} operations", reason="schema")
    return operations


def desired_changes(operations: list[Operation], before: JsonObject) -> JsonObject:
    """The patch of the desired properties `before` that does what the operations say. Raises BadInput.

    >>> desired_changes([Operation(op="add", path="/sensor/every_s", value=60)], {})
    {'sensor': {'__t': 'c', 'every_s': 60}}
    """
    patch: JsonObject = {}
    for one in operations:
        names = [name.replace("~1", "/").replace("~0", "~") for name in one.path.split("/")[1:]]
        if not one.path.startswith("/") or not 1 <= len(names) <= 2 or _MARK in names:
            raise BadInput("digital twin: expected a path /property, /component or /component/property", reason="path")
        if (one.op == "remove") is not (one.value is UNSET):
            raise BadInput("digital twin: expected a value for add and replace, none for remove", reason="schema")
        patch = overlaid(patch, _change(names, None if one.value is UNSET else one.value, before))
    return patch


def _change(names: list[str], wanted: Json, before: JsonObject) -> JsonObject:
    first, rest = names[0], names[1:]
    if rest:
        inner = _object(before.get(first)).get(rest[0])
        return {first: {_MARK: "c", rest[0]: _instead(inner, wanted)}}
    if isinstance(wanted, dict) and "$metadata" in wanted:  # a component
        wanted = {_MARK: "c", **{name: value for name, value in wanted.items() if name != "$metadata"}}
    return {first: _instead(before.get(first), wanted)}


def _instead(before: Json, wanted: Json) -> Json:
    """What a merge makes `wanted` of: with a null for what is there and not wanted."""
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return wanted
    gone: JsonObject = {name: None for name in before if name not in wanted}
    return gone | {name: _instead(before.get(name), value) for name, value in wanted.items()}


def _component(wanted: JsonObject, told: JsonObject, wanted_when: JsonObject, told_when: JsonObject) -> JsonObject:
    parts: JsonObject = {}
    metadata: JsonObject = {}
    for name in {**wanted, **told}:
        if name != _MARK:
            when = (_of(wanted_when, name), _of(told_when, name))
            _property(name, wanted, told, *when, parts, metadata)
    return {**parts, "$metadata": metadata}


def _property(
    name: str,
    wanted: Mapping[str, Json],
    told: Mapping[str, Json],
    wanted_when: JsonObject,
    told_when: JsonObject,
    parts: JsonObject,
    metadata: JsonObject,
) -> None:
    """Put a property's value among the `parts`, and what is known of it among the `metadata`."""
    about: JsonObject = {}
    if name in wanted:
        about = {"desiredValue": wanted[name], "desiredVersion": wanted_when.get("$lastUpdatedVersion")}
    if name in told:
        answer = told[name]
        if isinstance(answer, dict) and {"value", "ac", "av"} <= answer.keys():
            about |= {_ANSWER[key]: value for key, value in answer.items() if key in _ANSWER}
            answer = answer["value"]
        parts[name] = answer
    about["lastUpdateTime"] = (told_when or wanted_when).get("$lastUpdated")
    metadata[name] = about


def _is_component(value: Json) -> bool:
    return isinstance(value, dict) and value.get(_MARK) == "c"


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _of(metadata: JsonObject, name: str) -> JsonObject:
    return _object(metadata.get(name))
