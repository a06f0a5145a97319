"""What apps send to Nightscout's API: refused as a whole, or each document understood, or kept as it came."""

import json
from datetime import UTC, datetime
from random import Random

from benchmarks.fuzz.target import Target
from islet.decode.nightscout import KINDS, documents_in
from islet.decode.nightscout_answers import query_of
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.gateways.http_nightscout import understood
from islet.model.time import DAY_US, to_us

_RECEIVED = datetime(2026, 11, 21, 8, 3, tzinfo=UTC)
_NOW_US = to_us(_RECEIVED)


def _documents(data: bytes, rng: Random) -> None:
    try:
        documents = documents_in(data)
    except BadInput:
        return
    for document in documents:
        payloads, answer = understood(rng.choice(KINDS), "phone", document, _RECEIVED)
        json.dumps(answer, allow_nan=False).encode()
        for payload in payloads:
            found = decode_arrivals([Arrival("phone", "p-1", payload)], _NOW_US, DAY_US)
            assert found.accepted + sum(found.dead.values()) == 1


def _query(data: bytes, rng: Random) -> None:
    name, _, text = data.decode(errors="replace").partition("=")
    try:
        query = query_of([(name, text)], _NOW_US)
    except BadInput:
        return
    assert query.from_us <= query.to_us or text
    query.chosen([{"type": "sgv", "sgv": 100}])


NIGHTSCOUT = [
    Target(
        "nightscout",
        _documents,
        [
            b'[{"type":"sgv","sgv":112,"date":1795248000000,"dateString":"2026-11-21T08:00:00.000+0000","direction":"Flat"}]',
            b'{"type":"mbg","mbg":98,"date":1795248000000,"units":"mmol"}',
            b'{"eventType":"Meal Bolus","created_at":"2026-11-21T08:00:00Z","carbs":40,"insulin":"4.5","notes":"rice"}',
            b'{"eventType":"BG Check","glucose":6.1,"glucoseType":"Finger","units":"mmol","mills":1795248000000}',
            b'{"eventType":"<none>","insulin":24,"insulinInjections":"[{\\"insulin\\":\\"Lantus\\",\\"units\\":24}]","mills":1795248000000}',
            b'{"insulin":20,"insulinType":"30/70","notes":"Long-Acting","mills":1795248000000}',
            b'{"eventType":"Exercise","duration":30,"created_at":"2026-11-21T08:00:00Z"}',
            b'{"device":"phone","uploader":{"battery":71},"created_at":"2026-11-21T08:00:00Z"}',
            b'{"uploaderBattery":40}',
        ],
        (b"1e400", b"-0", b"9" * 30, b"null", b'"sgv":5', b"true", b'{"$date":1}', b"\\ud800", b"[[", b'"cal"', b"{}"),
    ),
    Target(
        "nightscout query",
        _query,
        [
            b"count=10",
            b"find[date][$gte]=1795248000000",
            b"find[created_at][$lt]=2026-11-21T08:00:00Z",
            b"find[type][$ne]=cal",
            b"find[date][$gt]=1795248000000.5",
        ],
        (b"[$gt]", b"[$ne]", b"9" * 30, b"-1", b"0001-01-01", b"9999-12-31T23:59:59-23:59", b"[]", b" "),
    ),
]
