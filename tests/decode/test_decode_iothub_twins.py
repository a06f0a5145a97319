"""Twins by IoT Hub's rules: merging, what may be in one, how it is shown."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.iothub_twins import (
    Json,
    JsonObject,
    Properties,
    ServiceTwin,
    Twin,
    desired_patch,
    device_twin,
    parse_object,
    parse_service_twin,
    patched,
    patched_tags,
    service_twin,
)
from islet.errors import BadInput

NOW_US = 1_795_248_180_950_000
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters=". $"), min_size=1, max_size=4
)
leaves = st.none() | st.booleans() | st.integers(-(1 << 52), 1 << 52) | st.text(max_size=5)
patches = st.dictionaries(
    names, st.recursive(leaves, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=6), max_size=4
)


def merge_patch(target: Any, patch: Any) -> Any:
    """The algorithm as RFC 7396, clause 2, writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


@given(patches, patches)
def test_a_patch_merges_as_rfc_7396_says_and_metadata_mirrors_the_values(first: Any, second: Any) -> None:
    properties = patched(Properties(), first, NOW_US)
    after = patched(properties, second, NOW_US + 1_000_000)
    assert after.values == merge_patch(merge_patch({}, first), second)
    assert after.version == 3
    assert shape(after.metadata) == shape(after.values)
    assert patched(after, {}, NOW_US, whole=True).values == {}


def shape(value: Json) -> Any:
    if not isinstance(value, dict):
        return {}
    return {key: shape(inner) for key, inner in value.items() if not key.startswith("$")}


def test_metadata_says_when_and_in_which_version_each_was_written() -> None:
    first = patched(Properties(), {"a": 1, "b": {"c": 2, "d": 3}}, 0)
    second = patched(first, {"b": {"c": 4}}, 1_000_000)
    early: JsonObject = {"$lastUpdated": "1970-01-01T00:00:00Z", "$lastUpdatedVersion": 2}
    late: JsonObject = {"$lastUpdated": "1970-01-01T00:00:01Z", "$lastUpdatedVersion": 3}
    assert second.metadata == {**late, "a": early, "b": {**late, "c": late, "d": early}}


def nested(depth: int) -> JsonObject:
    value: Json = 1
    for _ in range(depth):
        value = {"a": value}
    return {"a": value}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (nested(10), nested(11)),
        ({"k" * 1024: 1}, {"k" * 1025: 1}),
        ({"a": "x" * 4096}, {"a": "x" * 4097}),
        ({"a": 1 << 52}, {"a": (1 << 52) + 1}),
        ({"a": [{"b": None}]}, {"a": [{"$b": 1}]}),
        ({"a-b_c:é": 1}, {"a.b": 1}),
        ({"a": {}}, {"": 1}),
        ({f"k{n:02}": "x" * 4093 for n in range(8)}, {f"k{n:02}": "x" * 4093 for n in range(8)} | {"a": 0}),
    ],
)
def test_what_may_be_in_a_twin_ends_where_iot_hub_ends_it(good: JsonObject, bad: JsonObject) -> None:
    assert patched(Properties(), good, 0).values == good
    with pytest.raises(BadInput):
        patched(Properties(), bad, 0)


def test_tags_hold_8_kib() -> None:
    largest: JsonObject = {"ab": "x" * 4093, "cd": "x" * 4093, "e": "x"}
    assert patched_tags({}, largest) == largest
    with pytest.raises(BadInput, match="8192 bytes; got 8193"):
        patched_tags({}, {**largest, "e": "xy"})
    assert patched_tags(largest, {"ab": None, "e": "y"}) == {"cd": "x" * 4093, "e": "y"}
    assert patched_tags(largest, {"z": 1}, whole=True) == {"z": 1}


@pytest.mark.parametrize("content", [b"", b"?", b"[]", b"1", b'{"a":\xff}', b'{"a":' * 5000])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        parse_object(content)


@given(st.binary())
def test_any_bytes_are_an_object_or_refused(content: bytes) -> None:
    with suppress(BadInput):
        patched(Properties(), parse_object(content), 0)


def test_each_sees_what_is_theirs() -> None:
    twin = Twin(tags={"ward": 4}, desired=patched(Properties(), {"every_s": 60}, 0), etag="e1")
    assert json.loads(device_twin(twin)) == {"desired": {"every_s": 60, "$version": 2}, "reported": {"$version": 1}}
    shown = service_twin(twin)
    assert (shown["tags"], shown["etag"], shown["version"]) == ({"ward": 4}, "e1", 1)
    stamp = {"$lastUpdated": "1970-01-01T00:00:00Z", "$lastUpdatedVersion": 2}
    assert shown["properties"] == {
        "desired": {"every_s": 60, "$version": 2, "$metadata": {**stamp, "every_s": stamp}},
        "reported": {"$version": 1, "$metadata": {}},
    }
    assert json.loads(desired_patch({"every_s": None}, 3)) == {"every_s": None, "$version": 3}


def test_a_null_in_place_of_a_section_takes_all_that_is_in_it() -> None:
    before = Twin(tags={"ward": 4}, desired=Properties(values={"a": 1, "b": {"c": 2}}))
    wanted = parse_service_twin({"tags": None, "properties": {"desired": None}})
    assert wanted.spelled_out(before) == ServiceTwin(tags={"ward": None}, desired={"a": None, "b": None})
    assert parse_service_twin({"tags": {"ward": 5}}).spelled_out(before) == ServiceTwin(tags={"ward": 5})


def test_what_a_service_read_it_may_send_back() -> None:
    twin = Twin(tags={"ward": 4}, desired=patched(Properties(), {"every_s": 60}, 0))
    assert parse_service_twin(service_twin(twin)) == ServiceTwin(tags={"ward": 4}, desired={"every_s": 60})
    assert parse_service_twin({}) == ServiceTwin()
    assert parse_service_twin({"properties": {"desired": None}, "tags": {}}).emptied == ("desired",)
    wrong: list[JsonObject] = [{"tags": 1}, {"properties": []}, {"properties": {"desired": "x"}}]
    for body in wrong:
        with pytest.raises(BadInput):
            parse_service_twin(body)
