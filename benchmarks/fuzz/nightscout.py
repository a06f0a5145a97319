"""What apps send to Nightscout's API: refused as a whole, or each document understood, or kept as it came."""

import json
from datetime import UTC, datetime
from random import Random

from benchmarks.fuzz.target import Target
from islet.access.app_tokens import AppToken, signed, token_in
from islet.decode.nightscout import KINDS, documents_in
from islet.decode.nightscout_answers import query_of, treatments_told
from islet.decode.nightscout_search import search_of
from islet.decode.nightscout_v3 import at_time, identifier_of, patched, taken, treatment_told
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.gateways.http_nightscout import understood
from islet.gateways.nightscout_treatments import Told, payloads
from islet.model.foreign_json import parse
from islet.model.time import DAY_US, to_us

_RECEIVED = datetime(2026, 11, 21, 8, 3, tzinfo=UTC)
_NOW_US = to_us(_RECEIVED)


def _documents(data: bytes, rng: Random) -> None:
    try:
        documents = documents_in(data)
    except BadInput:
        return
    for document in documents:
        one = understood(rng.choice(KINDS), "phone", document, _RECEIVED)
        json.dumps(one.answer, allow_nan=False).encode()
        told = {one.id: Told(frozenset(), 1)} if one.id and one.entries else {}
        for payload in [*one.payloads, *payloads(told, {one.id: one.entries}, _NOW_US)]:
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


def _third(data: bytes, rng: Random) -> None:
    """A document of the third API, and a patch of it by itself."""
    try:
        document = parse(data, dict[str, object], "body")
        kept = taken(document)
    except BadInput:
        return
    identifier = identifier_of(document)
    assert 0 < len(identifier) <= 200
    kind = rng.choice(KINDS)
    one = understood(kind, "phone", {**kept, "_id": identifier}, _RECEIVED)
    told = {one.id: Told(frozenset(), 1)} if one.id and one.entries else {}
    for payload in [*one.payloads, *payloads(told, {one.id: one.entries}, _NOW_US)]:
        found = decode_arrivals([Arrival("phone", "p-1", payload)], _NOW_US, DAY_US)
        assert found.accepted + sum(found.dead.values()) == 1
    for treatment in treatments_told([("phone", entry) for entry in one.entries]):
        shown = treatment_told(treatment.document, "phone", _NOW_US, own=True, holds=True)
        json.dumps(shown, allow_nan=False).encode()
        understood("treatments", "phone", at_time(patched(shown, document), _NOW_US), _RECEIVED)


def _search(data: bytes, rng: Random) -> None:
    pairs = [tuple(one.partition("=")[::2]) for one in data.decode(errors="replace").split("&")]
    try:
        search = search_of([(name, text) for name, text in pairs], _NOW_US)
    except BadInput:
        return
    document: dict[str, object] = {"type": "sgv", "sgv": 100, "date": _NOW_US // 1000, "isValid": True, "delta": -0.5}
    found = search.ordered([one for one in (document, {**document, "sgv": "x"}, {}) if search.takes(one)])
    assert all(search.shown(one).keys() <= one.keys() for one in found)
    assert 0 < search.limit <= 1000 and search.skip >= 0


def _token(data: bytes, rng: Random) -> None:
    """No text is a token but one that was signed, as it was signed."""
    given = signed(AppToken(app="a" * 64, iat=1, exp=2), b"key")
    said = data.decode(errors="replace")
    assert token_in(said, b"key") is None or said == given


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
        "nightscout v3",
        _third,
        [
            b'{"date":1795248000000,"eventType":"Correction Bolus","insulin":0.3,"app":"AAPS","utcOffset":60,"type":"SMB","isValid":true}',
            b'{"date":1795248000000,"eventType":"Meal Bolus","insulin":24,"isBasalInsulin":true,"device":"phone"}',
            b'{"date":"2026-11-21T08:00:00Z","eventType":"Carb Correction","carbs":40,"duration":0,"notes":"rice"}',
            b'{"date":1795248000,"type":"sgv","sgv":112.0,"direction":"Flat","units":"mg/dl","identifier":"mine"}',
            b'{"created_at":"2026-11-21T08:00:00Z","uploaderBattery":71,"app":"AAPS"}',
            b'{"date":1795248000000,"eventType":"Exercise","duration":30.5,"notes":"Site Change"}',
        ],
        (b"1e400", b"-0", b"9" * 30, b"null", b"true", b"{}", b"[[", b"\\ud800", b'"date":', b'"PRIMING"', b"<none>"),
    ),
    Target(
        "nightscout v3 search",
        _search,
        [
            b"sort=created_at&created_at$gt=2026-11-21T08:00:00.000Z&limit=500",
            b"sort$desc=date&type=sgv",
            b"date$gte=1795248000000&sgv$in=100|'101'&skip=3&fields=date,sgv",
            b"srvModified$gt=1795248000&isValid$ne=false&sort=sgv",
        ],
        (
            b"$nin",
            b"$re",
            b"9" * 30,
            b"-1",
            b"0001-01-01",
            b"9999-12-31T23:59:59-23:59",
            b"Sat, 21 Nov 2026 08:03:00 GMT",
            b"|",
        ),
    ),
    Target(
        "nightscout token",
        _token,
        [signed(AppToken(app="a" * 64, iat=1, exp=2), b"key").encode(), b"a.b.c"],
        (b".", b"..", b"=", b'{"alg":"none"}', b"\xff"),
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
