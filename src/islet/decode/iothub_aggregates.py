"""Counts, sums, averages and extremes over lists of devices, whole or by the value of one attribute: `GROUP BY` in IoT
Hub's query language. Source: MicrosoftDocs azure-docs, iot-hub-devguide-query-language.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from islet.decode.iothub_twins import Json, JsonObject

Number = int | float
ABSENT: Final = object()


class Column(NamedTuple):
    """What is asked for, and how it is called in the answer. `aggregate`: of all documents of a group ("": of one)."""

    path: str
    name: str
    aggregate: str = ""


def at(document: JsonObject, path: str) -> object:
    """What stands in a document at a path such as `tags.ward`; ABSENT where nothing does."""
    found: object = document
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return ABSENT
        found = found[name]
    return found


def grouped(columns: Sequence[Column], group: str, documents: Sequence[JsonObject]) -> list[JsonObject]:
    """A row for each value that the documents have at the path `group`, those without one together; one row of all of
    them for "". In the order in which the values come first.

    >>> wards: list[JsonObject] = [{"ward": 4, "beds": 2}, {"ward": 5, "beds": 3}, {"ward": 4, "beds": 3}]
    >>> grouped([Column("ward", "ward"), Column("", "n", "count"), Column("beds", "most", "max")], "ward", wards)
    [{'ward': 4, 'n': 2, 'most': 3}, {'ward': 5, 'n': 1, 'most': 3}]
    """
    groups: dict[bytes, list[JsonObject]] = {} if group else {b"": []}
    for document in documents:
        groups.setdefault(_key(at(document, group)) if group else b"", []).append(document)
    return [_row(columns, members) for members in groups.values()]


def _key(value: object) -> bytes:
    """Equal for what IoT Hub holds to be equal: 1 and 1.0 are, 1 and true are not."""
    if value is ABSENT:
        return b""
    return msgspec.json.encode(int(value) if isinstance(value, float) and value.is_integer() else value)


def _row(columns: Sequence[Column], members: Sequence[JsonObject]) -> JsonObject:
    """What has no value, as the average of no numbers, is left out."""
    row: JsonObject = {}
    for path, name, aggregate in columns:
        if aggregate == "count":
            row[name] = len(members)
            continue
        found = [at(member, path) for member in members]
        value = _AGGREGATES[aggregate](found) if aggregate else found[0]
        if value is not ABSENT:
            row[name] = value  # type: ignore[assignment]
    return row


def _of_numbers(compute: Callable[[list[Number]], Json]) -> Callable[[Sequence[object]], object]:
    def aggregate(values: Sequence[object]) -> object:
        numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
        return compute(numbers) if numbers else ABSENT

    return aggregate


_AGGREGATES: Final[Mapping[str, Callable[[Sequence[object]], object]]] = {
    "avg": _of_numbers(lambda numbers: sum(numbers) / len(numbers)),
    "sum": _of_numbers(sum),
    "min": _of_numbers(min),
    "max": _of_numbers(max),
}
AGGREGATES: Final = frozenset(("count", *_AGGREGATES))
