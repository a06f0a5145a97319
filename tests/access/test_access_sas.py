"""Shared access signatures. The first vector is signed with OpenSSL, not with our code (command beside it); the second
is what Microsoft's own SDK makes."""

import base64
import doctest
import hashlib
import hmac
from urllib.parse import quote

import pytest
from azure.iot.device.common.auth.sastoken import RenewableSasToken
from azure.iot.device.common.auth.signing_mechanism import SymmetricKeySigningMechanism
from hypothesis import example, given, settings
from hypothesis import strategies as st

import islet.access.sas
from islet.access.sas import (
    POLICIES,
    Admission,
    ConnectionString,
    Token,
    admit,
    covers,
    device_principal,
    format_connection_string,
    make_token,
    new_key,
    parse_connection_string,
    parse_token,
)
from islet.errors import AccessDenied, BadInput
from islet.model.people import Device, Kind
from tests.conftest import examples

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
DEVICE = Device(id="cgm-1", patient="p-1", primary_key=KEY, secondary_key=OTHER)
SE = 1_795_248_180
NOW_US = (SE - 60) * 1_000_000
RESOURCE = "hub.example/devices/cgm-1"
TOKEN = make_token(RESOURCE, KEY, SE)

# printf 'hub.example%%2Fdevices%%2Fcgm-1\n1795248180' |
#   openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | base64
OPENSSL_SIGNATURE = "iDi64df1W9epccZ5E+DwCm1F7jILNAEqt+OPaukBSFI="


def ask(
    token: str, *, endpoint: str = RESOURCE, now_us: int = NOW_US, device: Device | None = DEVICE, policy_key: str = KEY
) -> Admission:
    return admit(
        token,
        endpoint=endpoint,
        now_us=now_us,
        device=device,
        policy_keys=lambda policy: (policy_key,) if policy in POLICIES else (),
    )


def refusal(token: str, **changes: object) -> str:
    with pytest.raises(AccessDenied) as refused:
        ask(token, **changes)  # type: ignore[arg-type]
    return refused.value.reason


def test_a_token_equals_the_one_that_openssl_signs() -> None:
    assert parse_token(TOKEN).signature == OPENSSL_SIGNATURE
    assert TOKEN.startswith("SharedAccessSignature sr=hub.example%2Fdevices%2Fcgm-1&sig=")


def test_a_token_of_microsofts_sdk_is_accepted() -> None:
    sdk = RenewableSasToken(RESOURCE, SymmetricKeySigningMechanism(KEY), ttl=3600)  # type: ignore[no-untyped-call]
    admission = ask(str(sdk), now_us=(sdk.expiry_time - 1) * 1_000_000)
    assert admission.principal == device_principal(DEVICE)
    assert admission.expires_us == sdk.expiry_time * 1_000_000


def test_the_principal_of_a_device_acts_for_its_patient() -> None:
    principal = ask(TOKEN).principal
    assert (principal.kind, principal.name, principal.patients, principal.rights) == (
        Kind.DEVICE,
        "cgm-1",
        ("p-1",),
        (),
    )


def test_a_token_holds_until_the_second_it_names_and_no_longer() -> None:
    assert ask(TOKEN, now_us=SE * 1_000_000 - 1).expires_us == SE * 1_000_000
    assert "expired" in refusal(TOKEN, now_us=SE * 1_000_000)


def test_the_parts_may_come_in_any_order_and_base64_may_be_left_unescaped() -> None:
    """As the Python service SDK does with / in the signature; + is a plus, not a space."""
    device = Device(id="cgm-1", primary_key=base64.b64encode(bytes(range(200, 232))).decode())
    for se in range(SE, SE + 50):
        signature = parse_token(make_token(RESOURCE, device.primary_key, se)).signature
        text = f"SharedAccessSignature se={se}&sig={quote(signature, safe='/+')}&sr={quote(RESOURCE, safe='')}"
        assert ask(text, device=device)


def test_what_is_signed_is_the_resource_as_it_was_written() -> None:
    """One client escapes in small letters, one not at all; each signs what it sends."""
    for written in ("hub.example%2fdevices%2fcgm-1", "hub.example/devices/cgm-1"):
        digest = hmac.digest(base64.b64decode(KEY), f"{written}\n{SE}".encode(), hashlib.sha256)
        signature = quote(base64.b64encode(digest).decode(), safe="")
        assert ask(f"SharedAccessSignature sr={written}&sig={signature}&se={SE}")


def test_the_secondary_key_opens_too_and_a_third_does_not() -> None:
    assert ask(make_token(RESOURCE, OTHER, SE))
    assert "not signed" in refusal(make_token(RESOURCE, new_key(), SE))


def test_a_device_without_keys_is_opened_by_nothing() -> None:
    assert "not signed" in refusal(TOKEN, device=Device(id="cgm-1"))
    assert "not signed" in refusal(TOKEN, device=None)
    empty = f"SharedAccessSignature sr={quote(RESOURCE, safe='')}&sig=&se={SE}"
    assert "malformed" in refusal(empty, device=Device(id="cgm-1"))


def test_a_disabled_device_is_told_so_only_with_a_valid_token() -> None:
    disabled = Device(id="cgm-1", enabled=False, primary_key=KEY)
    assert "disabled" in refusal(TOKEN, device=disabled)
    assert "not signed" in refusal(make_token(RESOURCE, OTHER, SE), device=disabled)


@pytest.mark.parametrize(
    ("resource", "endpoint", "allowed"),
    [
        ("hub.example/devices/cgm-1", "hub.example/devices/cgm-1", True),
        ("HUB.Example/devices/cgm-1", "hub.example/devices/cgm-1", True),
        ("hub.example/devices/cgm-1", "hub.example/devices/cgm-1/messages/events", True),
        ("hub.example/devices/cgm-1", "hub.example/devices/cgm-1/modules/m", True),
        ("hub.example", "hub.example/devices/cgm-1", True),
        ("hub.example/devices/cgm-1", "hub.example/devices/cgm-10", False),
        ("hub.example/devices/cgm", "hub.example/devices/cgm-1", False),
        ("hub.example/devices/CGM-1", "hub.example/devices/cgm-1", False),
        ("hub.example/devices/cgm-1/modules/m", "hub.example/devices/cgm-1", False),
        ("hub.example/devices/", "hub.example/devices/cgm-1", False),
        ("hub.exampl", "hub.example/devices/cgm-1", False),
        ("", "hub.example/devices/cgm-1", False),
    ],
)
def test_a_resource_covers_an_endpoint_by_whole_segments(resource: str, endpoint: str, allowed: bool) -> None:
    assert covers(resource, endpoint) is allowed


def test_a_policy_has_its_rights_and_an_unknown_one_none_of_them() -> None:
    principal = ask(make_token("hub.example", KEY, SE, "registryRead"), device=None).principal
    assert (principal.kind, principal.name, principal.rights) == (
        Kind.SERVICE,
        "registryRead",
        ("RegistryRead",),
    )
    assert "not signed" in refusal(make_token("hub.example", KEY, SE, "root"), device=None)
    assert "not signed" in refusal(make_token("hub.example", OTHER, SE, "service"), device=None)


@pytest.mark.parametrize("scheme", ["sb", "amqp", "amqps", "https", "http"])
def test_clients_of_event_hubs_name_a_scheme_and_sign_with_the_text_of_the_key(scheme: str) -> None:
    """In Go, azeventhubs writes amqps; Microsoft's examples of how to make a token have sb, https and http."""
    text = base64.b64encode(KEY.encode()).decode()
    assert (
        ask(make_token(f"{scheme}://HUB.example/devices", text, SE, "service"), device=None).principal.name == "service"
    )
    assert "not signed" in refusal(make_token(f"{scheme}://hub.example/devices", OTHER, SE, "service"), device=None)


def test_a_device_key_does_not_sign_for_a_policy() -> None:
    assert "not signed" in refusal(make_token(RESOURCE, KEY, SE, "iothubowner"), policy_key=OTHER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer x",
        TOKEN.replace("SharedAccessSignature ", ""),
        TOKEN.replace("se=", "xx="),
        TOKEN.replace("sr=", "xx="),
        TOKEN + "&se=1",
        TOKEN + "&",
        TOKEN.replace(f"se={SE}", "se=-1"),
        TOKEN.replace(f"se={SE}", "se=１２"),
        TOKEN.replace(f"se={SE}", "se=" + "9" * 5000),
    ],
)
def test_what_is_not_a_token_is_refused(text: str) -> None:
    assert refusal(text)


def parsed(text: str) -> Token | None:
    try:
        return parse_token(text)
    except AccessDenied:
        return None


@given(st.integers(len("SharedAccessSignature "), len(TOKEN) - 1), st.characters(codec="utf-8"))
@example(len("SharedAccessSignature "), "S")
@settings(deadline=None, max_examples=examples(200))
def test_no_changed_letter_of_a_token_is_overlooked(index: int, letter: str) -> None:
    changed = TOKEN[:index] + letter + TOKEN[index + 1 :]
    same = changed == TOKEN or (changed.lower() == TOKEN.lower() and parsed(changed) == parse_token(TOKEN))
    if not same:
        assert refusal(changed)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=examples(100))
def test_any_text_is_refused_and_nothing_worse(text: str) -> None:
    assert refusal("SharedAccessSignature " + text)
    assert refusal(text)


def test_a_connection_string_comes_back_as_it_was() -> None:
    text = f"HostName=hub.example;DeviceId=cgm-1;SharedAccessKey={KEY}"
    parsed = parse_connection_string(text)
    assert parsed == ConnectionString(host="hub.example", device="cgm-1", key=KEY)
    assert format_connection_string(parsed) == text
    owner = ConnectionString(host="hub.example", policy="iothubowner", key=KEY)
    assert parse_connection_string(format_connection_string(owner)) == owner


@pytest.mark.parametrize(
    "text", ["", "HostName=h", f"HostName=h;SharedAccessKey={KEY}", "DeviceId=d;SharedAccessKey=k"]
)
def test_a_connection_string_without_its_parts_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_connection_string(text)


@pytest.mark.parametrize("key", ["", "not base64!", "c2hvcnQ="])
def test_nothing_is_signed_with_what_is_no_key(key: str) -> None:
    with pytest.raises(BadInput):
        make_token(RESOURCE, key, SE)


def test_new_keys_differ_and_are_keys() -> None:
    assert islet.access.sas.is_key(new_key()) and new_key() != new_key()


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(islet.access.sas).failed == 0
