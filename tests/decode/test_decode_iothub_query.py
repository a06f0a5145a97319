"""The part of IoT Hub's query language that is understood here, and what is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.iothub_query import parse_query
from islet.decode.iothub_twins import JsonObject
from islet.errors import BadInput

PUMP: JsonObject = {
    "deviceId": "pump-1",
    "tags": {"ward": 4, "name": "it's", "lost": False, "none": None},
    "properties": {"reported": {"battery": 19.5, "$version": 3, "net": {"ip": "::1"}}},
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("tags.ward = 4", True),
        ("tags.ward != 4", False),
        ("tags.ward <> 5", True),
        ("tags.ward = '4'", False),
        ("tags.ward > 3 AND tags.ward <= 4", True),
        ("tags.ward < 4 OR tags.ward >= 5", False),
        ("tags.ward = 5 OR tags.ward = 4 AND tags.lost = false", True),
        ("(tags.ward = 5 OR tags.ward = 4) AND tags.lost = true", False),
        ("NOT tags.lost = true", True),
        ("tags.lost = 0", False),
        ("tags.none = null", True),
        ("tags.absent = null", False),
        ("tags.absent != 3", False),
        (r"tags.name = 'it\'s'", True),
        ('tags.name = "it\'s"', True),
        ("properties.reported.battery < 20", True),
        ("properties.reported.battery = -19.5", False),
        ("properties.reported.$version = 3", True),
        ("properties.reported.net.ip = '::1'", True),
        ("properties.reported.net = 1", False),
        ("deviceId IN ['a', 'pump-1']", True),
        ("deviceId NIN ['a', 'pump-1']", False),
        ("tags.absent NIN ['a']", False),
        ("is_defined(tags.ward)", True),
        ("IS_DEFINED(tags.ward.x)", False),
        ("startswith(deviceId, 'pump-') and endsWith(deviceId, '1') and contains(deviceId, 'mp')", True),
        ("startswith(tags.ward, '4')", False),
    ],
)
def test_a_condition_holds_or_not(condition: str, holds: bool) -> None:
    assert parse_query(f"SELECT * FROM devices WHERE {condition}").matches(PUMP) is holds


def test_what_is_shown() -> None:
    assert parse_query("SELECT * FROM devices").shown(PUMP) == PUMP
    query = parse_query("SELECT deviceId AS id, tags.ward, tags.absent FROM devices")
    assert query.shown(PUMP) == {"id": "pump-1", "tags.ward": 4}
    assert parse_query("select count() as n from devices.modules").rows([PUMP, PUMP]) == [{"n": 2}]
    assert parse_query("select count() as n from devices.modules").modules
    assert parse_query("select top 3 * from devices").top == 3
    assert parse_query("select top, tags.top from devices").columns == (
        ("top", "top", ""),
        ("tags.top", "tags.top", ""),
    )


BEDS: list[JsonObject] = [
    {"tags": {"ward": 4, "beds": 2, "open": True}},
    {"tags": {"ward": 5, "beds": 3.5, "open": 1}},
    {"tags": {"ward": 4.0, "beds": "four"}},
    {"tags": {"beds": 1}},
    {"tags": {"ward": True}},
]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (
            "SELECT tags.ward AS ward, COUNT() AS n FROM devices GROUP BY tags.ward",
            [{"ward": 4, "n": 2}, {"ward": 5, "n": 1}, {"n": 1}, {"ward": True, "n": 1}],
        ),
        (
            "SELECT AVG(tags.beds) AS a, SUM(tags.beds), MIN(tags.beds), max(tags.beds) AS most FROM devices",
            [{"a": 6.5 / 3, "sum": 6.5, "min": 1, "most": 3.5}],
        ),
        ("SELECT AVG(tags.absent), COUNT() FROM devices", [{"count": 5}]),
        (
            "SELECT tags.ward FROM devices GROUP BY tags.ward",
            [{"tags.ward": 4}, {"tags.ward": 5}, {}, {"tags.ward": True}],
        ),
    ],
)
def test_devices_are_counted_and_measured_whole_or_by_a_value(query: str, rows: list[JsonObject]) -> None:
    assert parse_query(query).aggregates
    assert parse_query(query).rows(BEDS) == rows


def test_of_nobody_the_count_is_zero_and_there_are_no_groups() -> None:
    assert parse_query("SELECT COUNT() AS n, MAX(a) FROM devices").rows([]) == [{"n": 0}]
    assert parse_query("SELECT a, COUNT() AS n FROM devices GROUP BY a").rows([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT * FROM devices GROUP BY a",
        "SELECT a, COUNT() FROM devices",
        "SELECT a, COUNT() FROM devices GROUP BY b",
        "SELECT COUNT() FROM devices GROUP BY a WHERE a = 1",
        "SELECT MEDIAN(a) FROM devices",
        "SELECT AVG() FROM devices",
        "SELECT TOP 0 * FROM devices",
        "SELECT TOP -1 * FROM devices",
        "SELECT TOP 1.5 * FROM devices",
        "SELECT",
        "SELECT * FROM jobs",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices WHERE a",
        "SELECT * FROM devices WHERE a = b",
        "SELECT * FROM devices WHERE a = 1 b",
        "SELECT * FROM devices WHERE (a = 1",
        "SELECT * FROM devices WHERE a IN []",
        "SELECT * FROM devices WHERE a = 'open",
        "SELECT * FROM devices WHERE sleep(a, 'x')",
        "SELECT * FROM devices WHERE startswith(a, 1)",
        "SELECT * FROM devices; DROP",
        "SELECT * FROM devices WHERE " + "(" * 51 + "a = 1" + ")" * 51,
        "SELECT * FROM devices WHERE a = '" + "x" * 4096 + "'",
    ],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_query(text)


words = st.sampled_from(
    [
        "SELECT",
        "TOP",
        "*",
        "COUNT",
        "GROUP",
        "BY",
        "FROM",
        "devices",
        "WHERE",
        "a.b",
        "=",
        "<",
        "1",
        "'x'",
        "(",
        ")",
        "[",
        "]",
        ",",
        "IN",
        "NOT",
        "AND",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=25).map(" ".join)))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    with suppress(BadInput):
        query = parse_query(text)
        assert query.matches(PUMP) in (True, False)
        assert isinstance(query.rows([PUMP]) if query.aggregates else query.shown(PUMP), dict | list)
