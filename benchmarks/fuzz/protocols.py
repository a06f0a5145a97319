"""The decoders of what devices and services send over the network."""

import contextlib
import json
from collections.abc import Callable
from random import Random

import proton

from benchmarks.fuzz.mqtt import MQTT, SMALL
from benchmarks.fuzz.spoil import cut, spoiled
from benchmarks.fuzz.target import Target
from islet.access import sas, x509
from islet.decode import (
    event_hub,
    iothub,
    iothub_amqp,
    iothub_configurations,
    iothub_digital_twins,
    iothub_dps,
    iothub_query,
    iothub_twins,
)
from islet.decode.amqp_batch import batched, data_sections
from islet.decode.amqp_sasl import SaslServer
from islet.decode.faults import asked_fault
from islet.decode.telemetry import Arrival
from islet.errors import AccessDenied, BadInput, IsletError, NotFound, ProtocolError
from islet.gateways.amqp_engine import Engine
from islet.gateways.amqp_messages import body_bytes, decode_message, read_command, read_properties
from islet.gateways.client_certificates import leaf_certificate
from tests.decode.test_decode_usual import USUAL, expect_the_same
from tests.gateways.amqp_peer import batch, opening_bytes, transfer_bytes
from tests.gateways.issued import issue

_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_TOKEN = sas.make_token("hub/devices/cgm-1", _KEY, 2_000_000_000)


def _sasl(data: bytes, rng: Random) -> None:
    states = []
    for pieces in ([data], cut(data, rng)):
        sasl = SaslServer()
        try:
            for piece in pieces:
                sasl.feed(piece)
            if sasl.mechanism and not sasl.done:
                sasl.decide(admitted=True)
            rest = sasl.rest() if sasl.done else b""
            states.append((sasl.mechanism, sasl.response, sasl.done, rest))
        except ProtocolError:
            states.append(("", b"", False, b"failed"))
    assert states[0] == states[1], states


def _amqp_frames(data: bytes, rng: Random) -> None:
    engine = Engine(_answering)
    with contextlib.suppress(ProtocolError, proton.ProtonException):
        engine.open("fuzz")
        for piece in cut(data, rng):
            engine.feed(piece)
            list(engine.output())
    engine.free()


def _answering(event: proton.Event) -> None:
    """As a server does: open what is opened, read what comes."""
    if event.type == proton.Event.SESSION_REMOTE_OPEN:
        event.session.open()
    elif event.type == proton.Event.LINK_REMOTE_OPEN:
        event.link.open()
        if event.link.is_receiver:
            event.link.flow(100)
    elif event.type == proton.Event.DELIVERY and event.delivery.readable and not event.delivery.partial:
        event.link.recv(event.delivery.pending)
        event.link.advance()
        event.delivery.settle()


def _amqp_message(data: bytes, rng: Random) -> None:
    with contextlib.suppress(BadInput):
        sections = data_sections(data)
        if batched(sections):
            for one in sections:
                with contextlib.suppress(BadInput):
                    body_bytes(decode_message(one))
    with contextlib.suppress(BadInput):
        message = decode_message(data)
        read_properties(message)
        body_bytes(message)
        read_command(message)


def _texts(*reads: Callable[[str], object]) -> Callable[[bytes, Random], None]:
    """Each of them refuses a text, or understands it."""

    def check(data: bytes, _: Random) -> None:
        text = data.decode(errors="replace")
        for read in reads:
            with contextlib.suppress(BadInput, AccessDenied, NotFound):
                read(text)

    return check


def _fault(text: str) -> object:
    fault = asked_fault({"AzIoTHub_FaultOperationType": "KillTcp", "AzIoTHub_FaultOperationDelayInSecs": text})
    assert fault is not None and 0 <= fault.delay_s < 1e6
    return fault


def _properties(text: str) -> object:
    properties = iothub.parse_properties(text)
    assert iothub.parse_properties(iothub.format_properties(properties)) == properties
    return properties


def _token(text: str) -> object:
    admission = sas.admit(text, endpoint="hub/devices/cgm-1", now_us=0, device=None, policy_keys=lambda _: (_KEY,))
    assert admission.principal.name in sas.POLICIES
    return admission


def _query(text: str) -> object:
    query = iothub_query.parse_query(text)
    documents: tuple[iothub_twins.JsonObject, ...] = (
        {},
        {"deviceId": "a", "tags": {"ward": 4, "x": [1], "n": None}, "properties": {"reported": {}}},
    )
    for document in documents:
        query.matches(document)
        query.shown(document)
    return query


def _twin(data: bytes, rng: Random) -> None:
    with contextlib.suppress(BadInput):
        patch = iothub_twins.parse_object(data)
        with contextlib.suppress(BadInput):
            wanted = iothub_twins.parse_service_twin(patch).spelled_out(iothub_twins.Twin(tags={"ward": 4}))
            assert not wanted.emptied
        with contextlib.suppress(BadInput):
            iothub_twins.patched_tags({"ward": {"a": 1}}, patch)
        before = iothub_twins.Properties(values={"a": {"b": 1}}, metadata={"a": {"b": {}}}, version=3)
        for whole in (False, True):
            after = iothub_twins.patched(before, patch, 0, whole=whole)
            assert after.version == 4
            shown = iothub_twins.device_twin(iothub_twins.Twin(reported=after))
            assert json.loads(shown)["reported"]["$version"] == 4


def _configuration(data: bytes, rng: Random) -> None:
    """What is taken can be applied: its patch fits a twin, and then changes nothing more."""
    with contextlib.suppress(BadInput):
        made = iothub_configurations.parse_configuration(data, "c-1")
        if made.matches is not None:
            made.matches.matches({"deviceId": "a", "tags": {"ward": 4}})
        before = iothub_twins.Properties(values={"a": {"b": 1}}, metadata={"a": {"b": {}}})
        patch = iothub_configurations.overlaid({"a": 1}, made.patch)
        assert iothub_twins.is_met(iothub_twins.patched(before, patch, 0), patch)


def _digital_twin(data: bytes, rng: Random) -> None:
    with contextlib.suppress(BadInput):
        values = iothub_twins.parse_object(data)
        twin = iothub_twins.Twin(desired=iothub_twins.patched(iothub_twins.Properties(), values, 0))
        for one in (twin, iothub_twins.Twin(desired=twin.desired, reported=twin.desired)):
            json.dumps(iothub_digital_twins.digital_twin("cgm-1", one))
    with contextlib.suppress(BadInput):
        operations = iothub_digital_twins.parse_operations(data)
        before: iothub_twins.JsonObject = {"a": {"b": 1}, "sensor": {"__t": "c", "x": {"y": 1}}}
        patch = iothub_digital_twins.desired_changes(operations, before)
        with contextlib.suppress(BadInput):
            iothub_twins.patched(iothub_twins.Properties(values=before), patch, 0)


def _telemetry(data: bytes, rng: Random) -> None:
    """The fast scanner gives what the exact way gives. Thirty more are tried with each, for a batch costs little more
    than one."""
    payloads = [data, USUAL, *(spoiled([data, *_READINGS], _WORDS, rng) for _ in range(30))]
    rng.shuffle(payloads)
    properties = {"$.ct": "application/json"} if rng.random() < 0.1 else {}
    expect_the_same([Arrival("cgm-1", "p-1", payload, properties) for payload in payloads])


def _certificates(data: bytes, rng: Random) -> None:
    for version in (0x0303, 0x0304):
        leaf_certificate(data, version)
    for read in (x509.parse_certificate, x509.read_authority, lambda der: x509.read_peer(der, der)):
        with contextlib.suppress(IsletError):
            read(data)


def _tls_message(der: bytes) -> bytes:
    one = len(der).to_bytes(3, "big") + der
    return b"\x0b" + (len(one) + 3).to_bytes(3, "big") + len(one).to_bytes(3, "big") + one


_SASL_INIT = bytes.fromhex(
    "414d5150030100000000002c02010000005341d00000001c00000003a305504c41494ea00400750070a1093132372e302e302e31"
)
_MESSAGE = proton.Message(body=USUAL, inferred=True, id="1", properties={"a": "b"}, expiry_time=12.5)
_OTHER = proton.Message(body={"a": [1, 2.5, None]}, correlation_id=4, content_type=proton.symbol("text/plain"))
_READINGS = (
    USUAL,
    b'{"type":"reading","time":"2024-02-29T00:00:00.123456-11:30","value":100,"unit":"mg/dL","method":"capillary",'
    b'"range":"below","patient":"p-1","schema":1}',
    b'{"type":"meal","time":"2026-11-21T08:03:00Z","carbs_g":40,"text":"\\u00e9"}',
    b'{"type":"vital","time":"2026-11-21T08:03:00+08:00","pulse_bpm":70}',
)
_WORDS = tuple(
    b'"type" "reading" "time" "value" "unit" "mg/dL" "mmol/L" "cgm" "patient" "p-1" null 1e400 -0 \\u0000 [[ {'.split()
)
_CERTIFICATE = issue("cgm-1", authority=True)

PROTOCOLS = [
    *MQTT,
    Target("sasl", _sasl, [_SASL_INIT, b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00more"], SMALL),
    Target(
        "amqp-frames",
        _amqp_frames,
        [
            opening_bytes(["$cbs", "/devices/cgm-1/messages/events"]),
            opening_bytes(["/devices/cgm-1/twin"]) + transfer_bytes(1, 5),
            opening_bytes(["a", "b"]) + transfer_bytes(2, 10),
        ],
        SMALL,
    ),
    Target("amqp-message", _amqp_message, [_MESSAGE.encode(), _OTHER.encode(), batch(_MESSAGE, _OTHER)], SMALL),
    Target(
        "iothub-names",
        _texts(
            iothub.parse_identity,
            iothub.parse_username,
            _properties,
            iothub.request_id,
            iothub.parse_method_answer,
            iothub_amqp.parse_address,
            iothub_amqp.parse_receiver,
            iothub_amqp.parse_resource,
        ),
        [
            b"cgm-1/module",
            b"hub.example/cgm-1/?api-version=2021-04-12&DeviceClientType=urlenc%20x",
            b"hub.example/cgm-1/?api-version=2020-09-30&model-id=dtmi%3Acom%3Aexample%3ACgm%3B1",
            b"scope-1/registrations/cgm-1",
            b"%24.mid=1&%24.ct=application%2Fjson&key&empty=&a+b=%E2%82%AC",
            b"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=2",
            b"$iothub/methods/res/200/?$rid=7",
            b"/devices/cgm-1/modules/m/messages/events",
            b"/devices/cgm-1/messages/devicebound",
            b"amqps://hub/devices/a%2Fb/twin",
        ],
        (b"%", b"%zz", b"%C3", b"/", b"?", b"&", b"=", b"\xed\xa0\x80", b"$", b"#"),
    ),
    Target(
        "event-hub",
        _texts(event_hub.parse_partition, event_hub.parse_selector, _fault),
        [
            b"ConsumerGroups/$Default/Partitions/3",
            b"amqp.annotation.x-opt-offset > '41'",
            b"amqp.annotation.x-opt-enqueuedtimeutc >= '@latest'",
            b"2.5",
        ],
        (b"@latest", b"'", b">", b"/", b"-1", b"999999999999999999999", b"nan", b"1e999"),
    ),
    Target(
        "dps",
        _texts(
            iothub_dps.parse_registrant, iothub_dps.parse_request, iothub_dps.is_registrant, iothub_dps.parse_resource
        ),
        [
            b"scope-1/registrations/pump-1/api-version=2019-03-31&ClientVersion=x",
            b"scope-1/registrations/pump-1",
            b"$dps/registrations/PUT/iotdps-register/?$rid=1",
            b"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=7&operationId=4.a",
        ],
        (b"/", b"?", b"&", b"=", b"$rid"),
    ),
    Target(
        "sas",
        _texts(_token, sas.parse_connection_string, lambda text: sas.covers(text, "hub/devices/cgm-1")),
        [_TOKEN.encode(), (_TOKEN + "&skn=device").encode(), f"HostName=h;DeviceId=d;SharedAccessKey={_KEY}".encode()],
        (b"&", b"=", b"sr=", b"sig=", b"se=", b"skn=", b"%", b";", b"9" * 20),
    ),
    Target(
        "query",
        _texts(_query),
        [
            b"SELECT * FROM devices WHERE (tags.ward = 5 OR tags.ward IN [4, 'x']) AND NOT is_defined(tags.lost)",
            b'SELECT deviceId AS id, COUNT() AS n FROM devices.modules WHERE startswith(deviceId, "a")',
            b"select tags.ward from devices where properties.reported.$version >= -1.5e3 or tags.n = null",
        ],
        (b"(", b")" * 60, b"(" * 60, b"NOT ", b" AND ", b"'", b"\\'", b"[", b"1e999", b"."),
    ),
    Target(
        "twins",
        _twin,
        [
            b'{"a":{"b":[1,null]},"c":null}',
            b'{"tags":{"ward":4},"properties":{"desired":{"a":{"$version":1}}},"etag":"x"}',
            b'{"properties":null,"a":4503599627370497,"b":"\\ud83d\\ude00"}',
        ],
        (b"null", b'{"a":' * 12, b"[" * 40, b'"$version":1', b'"$metadata":{}', b"1e999", b'"\\ud800"', b"-0"),
    ),
    Target(
        "configurations",
        _configuration,
        [
            b'{"id":"c-1","content":{"deviceContent":{"properties.desired.a.b":{"c":1},"properties.desired":{"a":null}}},'
            b'"targetCondition":"tags.ward = 4","priority":3}',
            b'{"id":"c-1","content":{"moduleContent":{"properties.desired":{"a":{"b":null}}}},"metrics":{"queries":'
            b'{"n":"SELECT * FROM devices"}},"targetCondition":"from devices.modules where deviceId = \'a\'"}',
        ],
        (b"null", b'"properties.desired."', b'"*"', b"." * 12, b'{"a":' * 12, b'"deviceContent"', b"true", b"1.0"),
    ),
    Target(
        "digital-twins",
        _digital_twin,
        [
            b'[{"op":"add","path":"/sensor/every_s","value":60},{"op":"remove","path":"/a"}]',
            b'[{"op":"replace","path":"/sensor","value":{"x":{},"$metadata":{}}}]',
            b'{"sensor":{"__t":"c","a":{"value":1,"ac":200,"av":2,"ad":"x"}},"b":{"value":2}}',
        ],
        (b"/", b"~1", b"~0", b'"__t":"c"', b'"$metadata":{}', b"null", b"{}", b'"value":', b"[" * 40),
    ),
    Target("telemetry", _telemetry, _READINGS, _WORDS),
    Target(
        "certificates",
        _certificates,
        [_CERTIFICATE.der, _CERTIFICATE.pem, _tls_message(_CERTIFICATE.der)],
        (b"-----BEGIN CERTIFICATE-----", b"\x30\x82", b"\x06\x03\x55\x04\x03", *SMALL),
    ),
]
