"""Bodies that are compressed, over HTTPS: read as what they hold, or refused; never kept as what nobody can read."""

import gzip
import zlib
from collections.abc import Callable

import httpx
import pytest

from islet.decode.mqtt import MAX_PAYLOAD
from islet.model.topics import Topic
from tests.gateways.calls import as_device
from tests.gateways.door import Door, reading

EVENTS = "/devices/cgm-1/messages/events"


@pytest.mark.parametrize(
    ("coding", "code"), [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_reading_is_a_reading(
    door: Door, http: httpx.AsyncClient, coding: str, code: Callable[[bytes], bytes]
) -> None:
    headers = {**as_device(door), "Content-Encoding": coding}
    assert (await http.post(EVENTS, content=code(reading(100)), headers=headers)).status_code == 204
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [100]


@pytest.mark.parametrize(
    ("coding", "content", "status"),
    [
        ("br", reading(), 415),
        ("gzip, gzip", gzip.compress(gzip.compress(reading())), 415),
        ("gzip", reading(), 400),
        ("gzip", gzip.compress(reading())[:-4], 400),
        ("gzip", gzip.compress(reading()) + b"more", 400),
        ("gzip", gzip.compress(bytes(MAX_PAYLOAD + 1)), 413),
        ("gzip", gzip.compress(bytes(100_000_000)), 413),
    ],
    ids=["unknown", "twice", "not coded", "cut short", "more behind", "too large", "a bomb"],
)
async def test_what_is_not_coded_as_it_says_is_refused_and_not_kept(
    door: Door, http: httpx.AsyncClient, coding: str, content: bytes, status: int
) -> None:
    headers = {**as_device(door), "Content-Encoding": coding}
    assert (await http.post(EVENTS, content=content, headers=headers)).status_code == status
    assert (door.rows(Topic.GLUCOSE_READINGS), door.rows(Topic.DEAD_LETTERS)) == ([], [])
