"""The decoders of what people bring in files, and of what sensors send by Bluetooth."""

import contextlib
from collections.abc import Callable
from datetime import UTC
from random import Random

from benchmarks.fuzz.target import Target
from islet.decode import ble_cgm, ble_control, ble_glucose, ble_numbers
from islet.decode.ble_events import meter_events, sensor_events, sensor_status, utc
from islet.decode.imports.preview import Preview, tallied
from islet.errors import BadInput, ProtocolError
from islet.model.codec import decode_event, encode_event
from islet.model.time import EPOCH
from tests.imports.given import items
from tests.imports.test_imports_damage import GOOD


def _imports(data: bytes, rng: Random) -> None:
    with contextlib.suppress(BadInput):
        for item in tallied(iter(items(data)), Preview(), latest_us=4_000_000_000_000_000):
            assert item.event.time.tzinfo
            assert decode_event(encode_event(item.event)) == item.event, item


def _meter(data: bytes, rng: Random) -> None:
    measurement = context = None
    with contextlib.suppress(ProtocolError):
        measurement = ble_glucose.decode_measurement(data)
    with contextlib.suppress(ProtocolError):
        context = ble_glucose.decode_context(data)
    if measurement is not None:
        for event in meter_events(measurement, context, UTC).events:
            assert decode_event(encode_event(event)) == event, event


def _sensor(data: bytes, rng: Random) -> None:
    for has_crc in (False, True):
        reads: tuple[Callable[[bytes], object], ...] = (
            lambda octets: ble_cgm.decode_status(octets, has_crc=has_crc),  # noqa: B023 - called at once
            lambda octets: ble_cgm.decode_session_start(octets, has_crc=has_crc).utc,  # noqa: B023
            lambda octets: ble_cgm.decode_run_time(octets, has_crc=has_crc),  # noqa: B023
            lambda octets: ble_control.decode_op_answer(octets, has_crc=has_crc),  # noqa: B023
            ble_cgm.decode_feature,
            ble_control.decode_answer,
            ble_control.decode_request,
            lambda octets: ble_numbers.sfloat(octets[:2]),
            lambda octets: ble_numbers.float_32(octets[:4]),
        )
        for read in reads:
            with contextlib.suppress(ProtocolError):
                read(data)
        with contextlib.suppress(ProtocolError):
            for one in ble_cgm.decode_measurements(data, has_crc=has_crc):
                sensor_status(one.status)
                for event in sensor_events(one, utc(EPOCH.replace(year=2026))).events:
                    assert decode_event(encode_event(event)) == event, event


_SMALL = (b"\x00", b"\xff\x07", b"\x00\x08", b"\xfe\x07", b"\xff\xff", b"\x01\x08", b"\xff\x7f")

FILES = [
    Target(
        "imports",
        _imports,
        [text.encode() for text in GOOD],
        (
            b",",
            b";",
            b"\n",
            b'"',
            b"\t",
            b"\x00",
            b"112",
            b"Low",
            b"2024-03-04",
            b"25:61",
            b"e999",
            "ñ时".encode(),
            b"[",
            b"{",
        ),
    ),
    Target(
        "ble-meter",
        _meter,
        [
            bytes.fromhex("1b0100e307021b0b0a1efbff1e00120501"),
            bytes.fromhex("060100e307021b0b0a1e43c011"),
            bytes.fromhex("ff0000b3036400010203000140010300010203"),
            bytes.fromhex("0301000136d003"),
        ],
        _SMALL,
    ),
    Target(
        "ble-sensor",
        _sensor,
        [
            bytes.fromhex("0fe3d2e405000214ff02f0e5f38e3f"),
            bytes.fromhex("06000c100600") * 2,
            bytes.fromhex("00900159c45c"),
            bytes.fromhex("ea070b150800000400"),
            bytes.fromhex("06000101"),
            bytes.fromhex("0103010201"),
            bytes.fromhex("1c1a01"),
        ],
        _SMALL,
    ),
]
