"""Frames of AMQP with all fields of their performatives, as Proton's decoder reads them."""

from hypothesis import given
from hypothesis import strategies as st

from islet.decode.amqp_frames import Completer, Opening, completed

LISTS = {0x45: b"\x45", 0xC0: b"\xc0\x03\x02\x40\x41", 0xD0: b"\xd0\x00\x00\x00\x06\x00\x00\x00\x02\x40\x41"}
FIELDS = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}


def frame(code: int, fields: bytes, body: bytes = b"") -> bytes:
    rest = b"\x02\x00\x00\x07\x00\x53" + bytes((code,)) + fields + body
    return (len(rest) + 4).to_bytes(4, "big") + rest


def test_each_performative_gets_its_missing_fields_as_null_and_keeps_its_body() -> None:
    for code, count in FIELDS.items():
        for kind, fields in LISTS.items():
            given_fields = b"" if kind == 0x45 else b"\x40\x41"
            wanted = max(count, len(given_fields))
            whole = bytes((0xC0, wanted + 1, wanted)) + given_fields.ljust(wanted, b"\x40")
            enough = len(given_fields) >= count
            assert completed(frame(code, fields, b"body")) == frame(code, fields if enough else whole, b"body")


def test_an_error_gets_its_missing_info_as_null() -> None:
    """azure-eventhub 5.11 for Python reads all three: it said "list index out of range" for who was stolen from."""
    before = {0x16: b"\x43\x41", 0x17: b"", 0x18: b""}  # the handle, and that it is closed
    named = b"\xa3\x11amqp:link:stolen1\xa1\x02by"
    for code, fields in before.items():
        given = fields + b"\x00\x53\x1d\xc0" + bytes((len(named) + 1, 2)) + named
        whole = fields + b"\x00\x53\x1d\xc0" + bytes((len(named) + 2, 3)) + named + b"\x40"
        count = FIELDS[code]
        once = completed(frame(code, b"\xc0" + bytes((len(given) + 1, count)) + given))
        assert once == frame(code, b"\xc0" + bytes((len(whole) + 1, count)) + whole)
        assert completed(once) == once


def test_a_list_that_becomes_too_long_for_a_short_one_is_a_long_one() -> None:
    text = b"\xa1\xfb" + b"x" * 251  # 253 bytes, and nine fields more
    whole = completed(frame(0x10, b"\xc0\xfe\x01" + text))
    assert whole == frame(
        0x10, b"\xd0" + (253 + 9 + 4).to_bytes(4, "big") + (10).to_bytes(4, "big") + text + b"\x40" * 9
    )


@given(st.lists(st.sampled_from(sorted(FIELDS)), max_size=5), st.lists(st.integers(1, 40), max_size=20))
def test_a_stream_may_come_in_any_cut(codes: list[int], cuts: list[int]) -> None:
    frames = [frame(code, LISTS[0xC0], b"body") for code in codes]
    data = b"AMQP\x00\x01\x00\x00" + b"".join(frames) + frame(0x13, b"")[:8]
    completer, got, at = Completer(), b"", 0
    for cut in [*cuts, len(data)]:
        got += completer.feed(data[at : at + cut])
        at += cut
    assert got.startswith(b"AMQP\x00\x01\x00\x00" + b"".join(map(completed, frames)))


@given(st.sampled_from(sorted(FIELDS)), st.sampled_from(sorted(LISTS)))
def test_a_complete_frame_stays_as_it_is(code: int, kind: int) -> None:
    once = completed(frame(code, LISTS[kind]))
    assert completed(once) == once


def opening(name: bytes, most: int) -> bytes:
    fields = b"\xa1" + bytes((len(name),)) + name + b"\x40\x70" + most.to_bytes(4, "big")
    return frame(0x10, bytes((0xC0, len(fields) + 1, 3)) + fields)


@given(st.binary(max_size=40), st.integers(512, 2**32 - 1), st.lists(st.integers(1, 60), max_size=30))
def test_a_peer_is_taken_to_have_room_for_a_little_less_than_it_says(name: bytes, most: int, cuts: list[int]) -> None:
    header, more = b"AMQP\x00\x01\x00\x00", frame(0x11, b"\x45") + opening(name, most)
    data = header + opening(name, most) + more
    reader, got, at = Opening(), b"", 0
    for cut in [*cuts, len(data)]:
        got += reader.feed(data[at : at + cut])
        at += cut
    assert got == header + opening(name, max(most - 32, 512)) + more


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_what_is_no_open_is_passed_on_as_it_came(pieces: list[bytes]) -> None:
    reader, whole = Opening(), b"AMQP\x00\x01\x00\x00" + frame(0x10, b"\x45") + b"".join(pieces)
    assert reader.feed(whole) == whole
    other = Opening()
    got = b"".join([other.feed(b"GET / HTTP/1.1\r\n"), *map(other.feed, pieces)])
    assert (b"GET / HTTP/1.1\r\n" + b"".join(pieces)).startswith(got)
