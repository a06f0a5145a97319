"""Configurations in IoT Hub's JSON: desired properties for all devices or modules that meet a condition.

    {"id": "every-minute", "priority": 10, "targetCondition": "tags.ward = 4",
     "content": {"deviceContent": {"properties.desired.measure": {"every_s": 60}}}}

Where two concern one device, the one with the higher priority wins, or of equal ones the newer. Source: MicrosoftDocs
azure-docs, iot-hub-automatic-device-management.md.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from islet.decode.iothub_query import Query, parse_query
from islet.decode.iothub_twins import Json, JsonObject, Properties, patched
from islet.errors import BadInput
from islet.model.foreign_json import UNREADABLE

CONFIGURATION_ID: Final = re.compile(r"[A-Za-z0-9\-:+%_#*?!(),=@;$'.]{1,128}")
MOST_METRICS: Final = 20
_DESIRED: Final = "properties.desired"
_KINDS: Final = ("deviceContent", "moduleContent")
_MOST_STEPS: Final = 10


class Configuration(Struct, frozen=True, kw_only=True):
    """`content` is as it came, and never changes; `metrics` are queries whose rows are counted."""

    id: str
    content: JsonObject
    labels: dict[str, str] = {}
    target: str = ""
    priority: int = 0
    metrics: dict[str, str] = {}
    created_us: int = 0
    updated_us: int = 0
    etag: str = ""

    @property
    def modules(self) -> bool:
        """Whether it is for modules, not for devices."""
        return bool(self.content.get(_KINDS[1]))

    @property
    def patch(self) -> JsonObject:
        """What it wants of the desired properties."""
        return _patch(self.content)

    @property
    def matches(self) -> Query | None:
        """Who is meant; None: nobody."""
        return parse_target(self.target, modules=self.modules)


class _Metrics(Struct):
    queries: dict[str, str] = {}


class _Body(Struct, rename="camel"):
    content: JsonObject
    id: str = ""
    labels: dict[str, str] | None = None
    target_condition: str | None = None
    priority: int = 0
    metrics: _Metrics | None = None
    etag: str | None = None


class TestedQueries(Struct, rename="camel"):
    """What somebody wants to know whether it could stand in a configuration."""

    target_condition: str = ""
    custom_metric_queries: dict[str, str] = {}


def parse_configuration(content: bytes, id: str) -> Configuration:
    """A configuration as service SDKs send it, without its times. Raises BadInput."""
    try:
        body = msgspec.json.decode(content, type=_Body)
    except msgspec.ValidationError as error:
        raise BadInput(f"configuration: {error}", reason="schema") from None
    except UNREADABLE:
        raise BadInput("configuration: expected one JSON object in UTF-8", reason="json") from None
    if body.id != id or not CONFIGURATION_ID.fullmatch(id):
        raise BadInput("id: expected the same as in the path, at most 128 characters", reason="schema")
    metrics = body.metrics.queries if body.metrics is not None else {}
    if len(metrics) > MOST_METRICS:
        raise BadInput(f"metrics: expected at most {MOST_METRICS} queries", reason="schema")
    for query in metrics.values():
        if parse_query(query).jobs:
            raise BadInput("metrics: expected queries of devices or modules", reason="query")
    made = Configuration(
        id=id,
        content=body.content,
        labels=body.labels or {},
        target=body.target_condition or "",
        priority=body.priority,
        metrics=metrics,
    )
    parse_target(made.target, modules=made.modules)
    patched(Properties(), made.patch, 0)  # what may not be in a twin is refused now
    return made


def parse_target(condition: str, *, modules: bool) -> Query | None:
    """Who is meant by a target condition; None: nobody, for an empty one. Raises BadInput.

    >>> parse_target("tags.ward = 4", modules=False).matches({"tags": {"ward": 4}})
    True
    """
    text = condition.strip()
    if not text:
        return None
    if text.lower().startswith("from "):
        query = parse_query(f"SELECT * {text}")
    else:
        source = "devices.modules" if modules else "devices"
        query = parse_query(f"SELECT * FROM {source}" if text == "*" else f"SELECT * FROM {source} WHERE {text}")
    if query.jobs or query.modules is not modules:
        raise BadInput("targetCondition: expected one for what the content is for", reason="query")
    return query


def overlaid(lower: Mapping[str, Json], higher: Mapping[str, Json]) -> JsonObject:
    """A patch that does what both do; where they differ, what the higher one does.

    >>> overlaid({"a": {"b": 1, "c": 2}}, {"a": {"b": None}})
    {'a': {'b': None, 'c': 2}}
    """
    result = dict(lower)
    for key, wanted in higher.items():
        present = result.get(key)
        both = isinstance(present, dict) and isinstance(wanted, dict)
        result[key] = overlaid(present, wanted) if both else wanted  # type: ignore[arg-type]
    return result


def _patch(content: JsonObject) -> JsonObject:
    """Raises BadInput for content that is not for twins of devices or of modules."""
    kinds = [kind for kind, parts in content.items() if parts]
    parts = content.get(kinds[0]) if len(kinds) == 1 and kinds[0] in _KINDS else None
    if not isinstance(parts, dict):
        raise BadInput("content: expected either deviceContent or moduleContent", reason="schema")
    patch: JsonObject = {}
    for path, wanted in parts.items():
        first, _, rest = path.partition(f"{_DESIRED}.")
        if path == _DESIRED:
            if not isinstance(wanted, dict):
                raise BadInput(f"content: expected an object for {_DESIRED}", reason="schema")
            patch = overlaid(patch, wanted)
            continue
        steps = rest.split(".")
        if first or not all(steps) or len(steps) > _MOST_STEPS:
            raise BadInput(f"content: expected {_DESIRED}, or that with a path in it", reason="schema")
        for step in reversed(steps):
            wanted = {step: wanted}
        patch = overlaid(patch, wanted)  # type: ignore[arg-type]
    return patch
