"""The beginning of an AMQP connection, and IoT Hub's addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.amqp_batch import batched, data_sections
from islet.decode.amqp_sasl import SaslServer
from islet.decode.iothub import Identity
from islet.decode.iothub_amqp import Endpoint, Place, parse_address, parse_receiver, parse_resource
from islet.errors import BadInput, NotFound, ProtocolError

HEADER = b"AMQP\x03\x01\x00\x00"
# written by rhea 1.0.24 for the user "u" with the password "p"
INIT = bytes.fromhex("0000002c02010000005341d00000001c00000003a305504c41494ea00400750070a1093132372e302e302e31")


def test_the_offer_is_a_frame_that_names_the_mechanisms() -> None:
    sasl = SaslServer(("ANONYMOUS", "PLAIN"))
    sasl.feed(HEADER)
    offer = bytes.fromhex("0000002202010000005340c01501e01202a3") + b"\x09ANONYMOUS\x05PLAIN"
    assert bytes(sasl.outgoing) == HEADER + offer  # rhea 1.0.24 answers it


@given(st.lists(st.integers(1, len(HEADER + INIT) + 6)), st.booleans())
def test_cut_anywhere_a_choice_is_understood_and_what_follows_is_left(cuts: list[int], admitted: bool) -> None:
    data = HEADER + INIT + b"follow"
    sasl, at = SaslServer(), 0
    for cut in [*sorted(cuts), len(data)]:
        sasl.feed(data[at:cut])
        at = max(at, cut)
    assert (sasl.mechanism, sasl.response, sasl.done) == ("PLAIN", b"\x00u\x00p", False)
    sasl.outgoing.clear()
    sasl.decide(admitted=admitted)
    assert bytes(sasl.outgoing).hex() == "0000001002010000" + "005344c00301" + ("5000" if admitted else "5001")
    assert (sasl.done, sasl.rest()) == (admitted, b"follow")


def test_a_client_may_leave_sasl_out() -> None:
    sasl = SaslServer()
    sasl.feed(b"AMQP\x00\x01\x00\x00more")
    assert (sasl.done, sasl.rest()) == (True, b"AMQP\x00\x01\x00\x00more")


@pytest.mark.parametrize("data", [b"HTTP/1.1", HEADER + INIT.replace(b"PLAIN", b"PLANE"), HEADER + b"\xff" * 8])
def test_what_is_no_amqp_or_was_not_offered_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        SaslServer().feed(data)


@given(st.binary(max_size=80), st.sampled_from((b"", HEADER, HEADER + INIT[:12])))
def test_any_bytes_are_understood_or_a_protocol_error(data: bytes, front: bytes) -> None:
    try:
        SaslServer().feed(front + data)
    except ProtocolError:
        return


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("$cbs", Endpoint(Place.TOKENS)),
        ("/devices/a/messages/events", Endpoint(Place.TELEMETRY, Identity("a"))),
        ("/devices/a/messages/events/", Endpoint(Place.TELEMETRY, Identity("a"))),
        ("amqps://hub/devices/a/messages/deviceBound", Endpoint(Place.COMMANDS, Identity("a"))),
        ("/devices/a/modules/m/twin", Endpoint(Place.TWIN, Identity("a", "m"))),
        ("/devices/a%23b/methods/devicebound", Endpoint(Place.METHODS, Identity("a#b"))),
        ("amqps://hub/messages/devicebound", Endpoint(Place.SEND)),
        ("/messages/serviceBound/feedback", Endpoint(Place.FEEDBACK)),
        ("messages/events/", Endpoint(Place.EVENTS_ELSEWHERE)),
    ],
)
def test_addresses_of_the_sdks_are_understood(text: str, endpoint: Endpoint) -> None:
    assert parse_address(text) == endpoint


@pytest.mark.parametrize("text", ["", "/", "/devices/a", "/devices/a b/twin", "/devices//twin", "/messages"])
def test_other_addresses_are_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_address(text)


def test_a_commands_receiver_is_a_device() -> None:
    assert parse_receiver("/devices/pump-1/messages/deviceBound") == "pump-1"
    for text in ("/devices/pump-1/modules/m/messages/deviceBound", "/messages/deviceBound", ""):
        with pytest.raises(NotFound):
            parse_receiver(text)


def test_a_tokens_resource_is_a_devices_a_modules_or_the_hubs() -> None:
    assert parse_resource("hub/devices/a") == Identity("a")
    assert parse_resource("hub/devices/a/modules/m") == Identity("a", "m")
    assert parse_resource("hub") is parse_resource("hub/messages/devicebound") is None


def data_section(octets: bytes) -> bytes:
    return b"\x00\x53\x75\xb0" + len(octets).to_bytes(4, "big") + octets


PROPERTIES = bytes.fromhex("005374d10000000a00000002a10161a10162")  # application properties {"a": "b"}, by Proton


@given(st.lists(st.binary(max_size=20), max_size=5), st.booleans())
def test_the_data_sections_of_a_message_come_out(payloads: list[bytes], with_properties: bool) -> None:
    message = PROPERTIES * with_properties + b"".join(map(data_section, payloads))
    assert data_sections(message) == payloads
    inner = [PROPERTIES + data_section(payload) for payload in payloads]
    assert batched(inner) is bool(payloads)
    assert data_sections(b"".join(map(data_section, inner))) == inner


@given(st.binary(max_size=60))
def test_any_bytes_are_sections_or_bad_input(message: bytes) -> None:
    for one in (message, PROPERTIES + message, b"\x00\x53\x75" + message, b"\x00" * 50 + message):
        try:
            batched(data_sections(one))
        except BadInput as error:
            assert error.reason == "amqp"


def test_what_a_person_can_write_is_no_batch() -> None:
    assert not batched([b'{"type":"reading"}', bytes.fromhex("00537500")[:2]])
