"""Codes of a second factor against the vectors of RFC 6238, each once; recovery codes."""

import base64

import pytest

from islet.access.second_factor import (
    RECOVERY_CODES,
    SecondFactor,
    code_at,
    new_second_factor,
    provisioning_uri,
    taken,
    with_recovery_codes,
)
from islet.model.time import SECOND_US

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("instant_s", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_rfc_6238_appendix_b(instant_s: int, code: str) -> None:
    assert code_at(SECRET, instant_s // 30) == code[2:]
    assert taken(SecondFactor(secret=SECRET), code[2:], instant_s * SECOND_US) is not None


def test_a_code_is_taken_once_and_no_earlier_one_after_it() -> None:
    factor, step = SecondFactor(secret=SECRET), 1000
    after = taken(factor, code_at(SECRET, step), step * 30 * SECOND_US)
    assert after is not None
    assert taken(after, code_at(SECRET, step), step * 30 * SECOND_US) is None
    assert taken(after, code_at(SECRET, step - 1), step * 30 * SECOND_US) is None
    assert taken(after, code_at(SECRET, step + 1), step * 30 * SECOND_US) is not None


@pytest.mark.parametrize(("around", "taken_there"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_phones_may_be_half_a_minute_off(around: int, taken_there: bool) -> None:
    found = taken(SecondFactor(secret=SECRET), code_at(SECRET, 1000 + around), 1000 * 30 * SECOND_US)
    assert (found is not None) is taken_there


def test_each_recovery_code_is_taken_once_however_it_is_written() -> None:
    factor, codes = with_recovery_codes(new_second_factor())
    assert len(set(codes)) == RECOVERY_CODES == len(factor.recovery)
    assert not any(code.replace("-", "") in str(factor) for code in codes)
    after = taken(factor, codes[0].upper().replace("-", " "), 0)
    assert after is not None
    assert len(after.recovery) == RECOVERY_CODES - 1
    assert taken(after, codes[0], 0) is None
    assert taken(after, codes[1], 0) is not None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "１２３４５６", "abcdef", "-", " "])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert taken(new_second_factor(), code, 0) is None


def test_the_qr_code_says_whose_it_is() -> None:
    uri = provisioning_uri(SecondFactor(secret=SECRET), "nurse", "Islet")
    assert uri.startswith("otpauth://totp/Islet:nurse?")
    assert f"secret={SECRET}" in uri
