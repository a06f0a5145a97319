"""The fast way through readings in their usual form gives what the exact way gives, bit for bit, whatever comes.

The exact way is msgspec's and `model/units.py`'s; what the fast way leaves alone goes there, so a payload may be
anything.
"""

import json
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.telemetry import Arrival, Decoded, decode_arrivals, decode_exactly
from islet.decode.usual import usual_readings
from islet.model.time import DAY_US, DEVICES_SINCE_US, RECORDS_SINCE_US, from_us, to_us
from islet.model.topics import Topic
from tests.conftest import examples

NOW_US = 1_798_761_600_000_000  # 2027-01-01T00:00:00Z (GNU date)
USUAL = b'{"type":"reading","time":"2026-11-21T08:03:00Z","value":6.7,"unit":"mmol/L"}'

HIGH = (b'"type":"reading"', b'"time":"2026-11-21T08:03:00Z"', b'"value":300', b'"unit":"mg/dL"')


def arrivals_of(payloads: Sequence[bytes], patient: str = "p-1") -> list[Arrival]:
    return [Arrival(f"cgm-{number}", patient, payload) for number, payload in enumerate(payloads)]


def are_usual(*payloads: bytes, patient: str = "p-1") -> list[bool]:
    _, others = usual_readings(arrivals_of(payloads, patient), DEVICES_SINCE_US, NOW_US)
    return [index not in others for index in range(len(payloads))]


def expect_the_same(arrivals: Sequence[Arrival]) -> Decoded:
    old = decode_arrivals(arrivals, NOW_US, 0, since_us=RECORDS_SINCE_US)
    assert_same(old, decode_exactly(arrivals, NOW_US, 0, since_us=RECORDS_SINCE_US), arrivals)
    fast = decode_arrivals(arrivals, NOW_US, 0)
    assert_same(fast, decode_exactly(arrivals, NOW_US, 0), arrivals)
    return fast


def assert_same(fast: Decoded, exact: Decoded, arrivals: Sequence[Arrival]) -> None:
    assert (fast.accepted, fast.dead, [*fast.batches]) == (exact.accepted, exact.dead, [*exact.batches])
    for topic, batch in fast.batches.items():
        batch.validate(full=True)
        assert bits(batch) == bits(exact.batches[topic]), [arrival.payload for arrival in arrivals]


def bits(batch: pa.RecordBatch) -> list[object]:
    """The columns; of numbers the bytes, since 0.0 == -0.0."""
    columns = zip(batch.schema, batch.columns, strict=True)
    return [
        column.to_pylist() if field.type == pa.string() else column.to_numpy(zero_copy_only=False).tobytes()
        for field, column in columns
    ]


@pytest.mark.parametrize(
    "payload",
    [
        USUAL,
        b' {\t"value" : 121 ,\r\n "unit":"MG/dl","time":"2026-02-28T23:59:59.5+08:00", "type":"reading"} \n',
        b'{"time":"2024-02-29T00:00:00.123456-11:30","type":"reading","patient":"p-1","unit":"Mmol/l","value":10}',
        b'{"schema":1,"range":"below","method":"capillary","value":40.0,"unit":"mg/dL","type":"reading",'
        b'"time":"1990-01-01T00:00:00Z"}',
        b'{"range":"within","method":"cgm","value":100,"unit":"mg/dL","type":"reading","time":"2000-02-29T00:00:00Z"}',
        b'{"range":"above","value":123.456789012345,"unit":"mg/dL","type":"reading","time":"2026-11-21T08:03:00Z"}',
    ],
)
def test_the_usual_form_is_taken_the_fast_way_and_gives_the_same(payload: bytes) -> None:
    assert are_usual(payload) == [True]
    assert expect_the_same(arrivals_of([payload])).accepted == 1


def test_a_field_that_comes_twice_is_left_to_the_exact_way() -> None:
    assert not any(are_usual(*(USUAL.replace(b"{", b"{" + field + b",") for field in USUAL[1:-1].split(b","))))


def changed(old: bytes, new: bytes) -> bytes:
    assert old in USUAL
    return USUAL.replace(old, new)


AWKWARD = [
    *(changed(b"6.7", value) for value in (
        b"-6.7", b"-0", b"06.7", b"6.", b".7", b"6.7e0", b"67E-1", b"1e400", b"6e-400", b"1e99999999999", b"NaN",
        b"Infinity", b"+6.7", b"6.7.1", b"0x6", b"6_7", b'"6.7"', b"null", b"true", b"[6.7]", b'{"a":6.7}',
        b"6.70000000000000000000000001", b"123456789012345678", b"00000000000000006", b"0.00000000000000000000000067e25",
        b"99999999999999999999999999999999999999999", b"6.7 7", b"", b"0", b"6.75", b"0.555078", b"0.555074",
    )),
    *(changed(b"2026-11-21T08:03:00Z", time) for time in (
        b"2026-11-21t08:03:00z", b"2026-11-21 08:03:00Z", b"2026-11-21T08:03:00", b"2026-11-21T08:03Z",
        b"2026-11-21T08:03:60Z", b"2026-11-21T24:00:00Z", b"2026-11-21T08:60:00Z", b"2026-13-21T08:03:00Z",
        b"2026-00-21T08:03:00Z", b"2026-11-31T08:03:00Z", b"2026-11-00T08:03:00Z", b"2025-02-29T08:03:00Z",
        b"2100-02-29T08:03:00Z", b"1900-02-29T08:03:00Z", b"0000-01-01T00:00:00Z", b"9999-12-31T23:59:59-23:59",
        b"2026-11-21T08:03:00.Z", b"2026-11-21T08:03:00.1234567Z", b"2026-11-21T08:02:59.9999995Z",
        b"2026-11-21T08:02:59.0000005Z", b"2026-11-21T08:02:59.12345678901234567890Z", b"2026-11-21T08:03:00,5Z",
        b"2026-11-21T08:02:00+00:00", b"2026-11-21T08:02:00-00:00", b"2026-11-21T08:03:00+24:00",
        b"2026-11-21T08:03:00+23:59", b"2026-11-21T08:03:00-23:59", b"2026-11-21T08:03:00+08:60",
        b"2026-11-21T08:03:00+0800", b"2026-11-21T08:03:00+08", b"2026-11-21T08:03:00ZZ", b"2026-11-21T08:03:00Z ",
        b"+026-11-21T08:03:00Z", b"2026-1121T08:03:00Z", b"2026-11-21T0\\u0038:03:00Z", b"2026/11/21T08:03:00Z", b"",
        b"2026-11-21T08:03:00\xef\xbc\xba", b"202\xb6-11-21T08:03:00Z", b"2026-11-21T08:03:00+08:0", b"2026-12-31T23:59:59.999999Z", b"2027-01-01T00:00:00Z", b"2027-01-01T00:00:00.000001Z",
        b"1990-01-01T00:00:00Z", b"1989-12-31T23:59:59.999999Z", b"1969-12-31T23:59:59Z", b"2026-06-31T08:03:00Z",
    )),
    *(changed(b"2026-11-21T08:03:00Z", bytes((*time[:at], sign, *time[at + 1 :])))
      for time in (b"2026-11-21T08:03:00Z", b"2026-11-21T08:03:00.5+01:00") for at in range(len(time)) for sign in b"/:;-T ?@p\xb1"),
    *(changed(b'"mmol/L"', unit) for unit in (
        b'"mmol\\/L"', b'"\\u006dmol/L"', b'"mmol/L', b'mmol/L"', b'"mmol/\xcc"', b'"mmol/L "', b'"mmol\x0fL"', b'""',
        b'"mg/dL"', b'"mg\x0fdL"', b'"mg\\dL"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\xff"', b'"\xe2\x84\xaaol"', b"1",
        b'"mmo,/L"', b'"M\x4dOL/l"', b'"mmol/\x00"', b'"-mol/L"', b'"mmol/L\x00"',
    )),
    *(changed(b'"reading"', kind) for kind in (b'"vital"', b'"Reading"', b'"readin"', b"null", b'"read\\u0069ng"')),
    *(changed(b'"unit"', key) for key in (
        b'"Unit"', b'"un\\u0069t"', b'"unit "', b"unit", b'"units":"mg/dL","unit"', b'"x":{"unit":[1,{}]},"unit"',
        b'"unit":"mg/dL","unit"', b'"value":7,"unit"', b'"type":"vital","unit"', b'"type":"reading","unit"',
        b'"time":1,"unit"', b'"patient":"p-2","unit"', b'"patient":"p-1","unit"', b'"patient":"p-1 ","unit"',
        b'"patient":"p-","unit"', b'"patient":"","unit"', b'"patient":null,"unit"', b'"patient":"p-\\u0031","unit"',
        b'"patient":"p-1","patient":"p-2","unit"', b'"patient":"p-1\xff","unit"', b'"patient":"p-1\\n","unit"',
        b'"schema":1,"unit"', b'"schema":2,"unit"', b'"schema":1.0,"unit"', b'"schema":01,"unit"', b'"schema":11,"unit"',
        b'"schema":"1","unit"', b'"schema":1e0,"unit"', b'"range":"low","unit"', b'"range":null,"unit"',
        b'"range":"below","range":"above","unit"', b'"range":"below ","unit"', b'"method":"libre","unit"',
        b'"method":"capillarz","unit"', b'"method":"capillary","unit"', b'"method":"cgm\\u0000","unit"',
        b'"\xff":1,"unit"', b'"\\ud800":1,"unit"', b'"glucose":1e999,"unit"', b'"text":"\xed\xa0\x80","unit"',
    )),
    *(b"{" + b",".join(field for field in HIGH if field != left_out) + b"}" for left_out in HIGH),
    *(USUAL[:length] for length in range(len(USUAL))),
    *(USUAL + more for more in (b" ", b"\n\t\r ", b"\x00", b"}", b",", b"{}", b"\x0b", b"\xc2\xa0", b"x", USUAL)),
    *(before + USUAL for before in (b"\xef\xbb\xbf", b" ", b"[", b"\x00", b"\x0c")),
    USUAL[:-1] + b",}", b"[" + USUAL + b"]", b'"' + USUAL + b'"', USUAL.replace(b":", b" : ").replace(b",", b" , "),
    USUAL.replace(b",", b",,"), USUAL.replace(b",", b""), USUAL.replace(b":", b"", 1), USUAL.replace(b'"', b"'"),
    USUAL.decode().encode("utf-16"), USUAL.replace(b",", b",\x0b"), b"{}", b"{", b"", b"null", b"[]" * 1000, b"[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("patient", ["p-1", "", "p 1", "p-1\xe9", "p" * 64, "p" * 65, "p" * 70_000])
def test_awkward_payloads_give_the_same_alone_and_together(patient: str) -> None:
    every = 1 if len(patient) == 3 else 25
    named = b'{"type":"reading","patient":%s,' % json.dumps(patient, ensure_ascii=False).encode()
    payloads = [*AWKWARD[:: min(every, len(patient) // 100 + 1)], named + USUAL[len(b'{"type":"reading",') :]]
    expect_the_same(arrivals_of([*payloads, USUAL, *payloads], patient))
    for payload in payloads[::every]:
        expect_the_same(arrivals_of([payload], patient))


SPACE = st.text(" \t\r\n", max_size=2)
DIGITS = st.text("0123456789", min_size=1, max_size=18)
NUMBER = st.one_of(
    st.integers(0, 4000).map(lambda tenths: f"{tenths / 10}"),
    st.floats(0, 1600).map(repr),
    st.builds("{}.{}".format, DIGITS, DIGITS),
    DIGITS,
)
INSTANT = st.one_of(
    (st.integers(DEVICES_SINCE_US - DAY_US, NOW_US + DAY_US) | st.integers(RECORDS_SINCE_US, NOW_US)).map(
        lambda us: from_us(us).isoformat().replace("+00:00", "Z")
    ),
    st.builds(
        lambda date, fraction, zone: date + fraction + zone,
        st.builds(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format,
            st.integers(1969, 2027),
            st.integers(0, 13),
            st.integers(0, 32),
            st.integers(0, 25),
            st.integers(0, 61),
            st.integers(0, 61),
        ),
        DIGITS.map(lambda digits: f".{digits[:7]}") | st.just(""),
        st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 25), st.integers(0, 61)) | st.just("Z"),
    ),
)
FIELDS = st.fixed_dictionaries(
    {
        "type": st.just('"reading"'),
        "time": INSTANT.map(json.dumps),
        "value": NUMBER,
        "unit": st.sampled_from(['"mg/dL"', '"mmol/L"', '"MMOL/l"', '"Mg/Dl"']),
    },
    optional={
        "patient": st.sampled_from(['"p-1"', '"p-1"', '"p-2"']),
        "method": st.sampled_from(['"cgm"', '"capillary"']),
        "range": st.sampled_from(['"below"', '"within"', '"above"']),
        "schema": st.sampled_from(["1", "1", "2"]),
    },
)


@st.composite
def readings(draw: st.DrawFn) -> bytes:
    fields = draw(st.permutations([*draw(FIELDS).items()]))
    before, after = draw(SPACE), draw(SPACE)
    members = [f'{before}"{key}"{after}:{before}{value}{after}' for key, value in fields]
    return ("{" + ",".join(members) + "}" + after).encode()


@given(st.lists(readings(), min_size=1, max_size=30))
@settings(deadline=None, max_examples=examples(200))
def test_readings_written_in_any_way_give_the_same(payloads: list[bytes]) -> None:
    expect_the_same(arrivals_of(payloads))


DIGIT = [bytes([digit]) for digit in b"0123456789"]


def damaged(payload: bytes, chance: random.Random) -> bytes:
    """One to three bytes changed, taken out, put in, doubled, or digits changed; the bytes of JSON more often than others."""
    body = bytearray(payload)
    for _ in range(chance.randint(1, 3)):
        at, byte = chance.randrange(len(body)), chance.choice(b'"\\{}[]:,.-+eEZT0123456789 \n\x00\x7f\x80\xff/mgdL')
        act = chance.randrange(12)
        if act == 0:
            body[at] = byte
        elif act == 1:
            body[at] ^= 1 << chance.randrange(8)
        elif act == 2:
            body.insert(at, byte)
        elif act == 3 and len(body) > 1:
            del body[at]
        elif act > 4:
            body = bytearray(re.sub(b"[0-9]", lambda old: chance.choice([old[0]] * 90 + DIGIT), body))
        else:
            end = chance.randrange(at, len(body)) + 1
            body[at:at] = body[at : min(end, at + 30)]
    return bytes(body)


@pytest.mark.parametrize("seed", [20261121, 7])
def test_damaged_readings_give_the_same(seed: int) -> None:
    chance = random.Random(seed)
    seeds = [payload for payload in AWKWARD if len(payload) < 300 and payload] + [USUAL] * 200
    for _ in range(4):
        payloads = [damaged(chance.choice(seeds), chance) for _ in range(1_500)]
        expect_the_same(arrivals_of(payloads))
        assert sum(are_usual(*payloads)) > 20


def test_every_value_that_a_device_shows_gives_the_same_in_both_units() -> None:
    """mg/dL from 9 to 1,501 in tenths and hundredths; mmol/L from 0.5 to 84 in tenths, hundredths and thousandths."""
    shown = [(f"{value / 10}", "mg/dL") for value in range(90, 15_010)]
    shown += [(f"{value / 100:.2f}", "mg/dL") for value in range(900, 40_010, 7)]
    shown += [(f"{value / 1000:.3f}", "mmol/L") for value in range(500, 84_000, 3)]
    shown += [(f"{value / 10}", "mmol/L") for value in range(5, 840)]
    text = '{"type":"reading","time":"2026-11-21T08:03:00Z","value":%s,"unit":"%s"}'
    decoded = expect_the_same(arrivals_of([(text % pair).encode() for pair in shown]))
    assert decoded.dead["glucose_range"] > 0 and decoded.accepted > 0.95 * len(shown)


def test_every_day_of_the_years_in_use_gives_its_instant() -> None:
    """Python's own calendar is the other program."""
    days = [datetime(1990, 1, 1, 23, 59, 59, 7, tzinfo=UTC) + timedelta(days=day) for day in range(13_473)]
    text = '{"type":"reading","time":"%s","value":100,"unit":"mg/dL"}'
    payloads = [(text % day.isoformat().replace("+00:00", "Z")).encode() for day in days]
    assert all(are_usual(*payloads))
    batch = decode_arrivals(arrivals_of(payloads), NOW_US, 0).batches[Topic.GLUCOSE_READINGS]
    assert batch.column("time_us").to_pylist() == [to_us(day) for day in days]


def test_usual_and_other_readings_stay_in_the_order_of_arrival() -> None:
    texts = ["6.7", "67e-1", "6.8", "1e9", "-1", "6.9", "0.69e1", "7.0"]
    payloads = [changed(b"6.7", text.encode()) for text in texts]
    assert are_usual(*payloads) == [True, False, True, False, False, True, False, True]
    decoded = expect_the_same(arrivals_of(payloads))
    assert decoded.batches[Topic.GLUCOSE_READINGS].column("device").to_pylist() == [
        f"cgm-{n}" for n in (0, 1, 2, 5, 6, 7)
    ]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
def test_texts_and_payloads_of_every_length_arrive_whole(length: int) -> None:
    arrivals = [
        Arrival("d" * length, "p-1", USUAL),
        Arrival("cgm-1", "p" * length, USUAL + b" " * length, {"k" * length: "v" * length, "$.ct": "x"}),
        Arrival("cgm-é", "p-é", USUAL, {str(number): "" for number in range(min(length, 300))}),
        *arrivals_of([USUAL] * (length % 1000)),
    ]
    expect_the_same(arrivals)
    assert np.count_nonzero(usual_readings(arrivals, DEVICES_SINCE_US, NOW_US)[1] != 1) == 0


def test_a_property_that_is_not_unicode_costs_nobody_a_reading() -> None:
    arrivals = [*arrivals_of([USUAL]), Arrival("cgm-1", "p-1", USUAL, {"$.ct": "\ud800"})]
    assert expect_the_same(arrivals).accepted == 2
