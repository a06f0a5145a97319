"""A second factor at the log-in: six digits of a phone that change every 30 s (RFC 6238), and recovery codes on paper.

The codes are computed by `cryptography`. A code is taken once, and those of the 30 s before and after the present too,
because phones' clocks differ (RFC 6238, 5.2 and 6).
"""

import base64
import secrets
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from msgspec import Struct, structs

from islet.access.passwords import token_hash

STEP_S: Final = 30
RECOVERY_CODES: Final = 10
_SECRET_BYTES: Final = 20  # RFC 4226, 4: 160 bits
_RECOVERY_BYTES: Final = 10  # 80 bits: a fast hash is enough for them
_DIGITS: Final = 6
_AROUND: Final = (0, -1, 1)


class SecondFactor(Struct, frozen=True, kw_only=True):
    """What is kept of somebody's second factor, among the secrets. `used_step`: of the last code that was taken;
    `recovery`: hashes of the codes on paper that are left."""

    secret: str
    confirmed: bool = False
    used_step: int = 0
    recovery: tuple[str, ...] = ()


def new_second_factor() -> SecondFactor:
    """One to be confirmed with a first code."""
    return SecondFactor(secret=base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode())


def taken(factor: SecondFactor, code: str, wall_us: int) -> SecondFactor | None:
    """The factor after the code was used, or None where it is wrong, or was used before.

    A recovery code is taken as well; it is gone then.
    """
    entered = "".join(code.split()).replace("-", "").lower()
    if len(entered) == _DIGITS and entered.isascii() and entered.isdigit():
        step = _step_of(factor, entered, wall_us // 1_000_000 // STEP_S)
        return None if step is None else structs.replace(factor, used_step=step)
    hashed = token_hash(entered)
    if not factor.confirmed or hashed not in factor.recovery:
        return None
    return structs.replace(factor, recovery=tuple(one for one in factor.recovery if one != hashed))


def with_recovery_codes(factor: SecondFactor) -> tuple[SecondFactor, list[str]]:
    """The confirmed factor with new recovery codes, and the codes to be shown once."""
    codes = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    kept = structs.replace(factor, confirmed=True, recovery=tuple(token_hash(code) for code in codes))
    return kept, ["-".join(code[i : i + 4] for i in range(0, len(code), 4)) for code in codes]


def provisioning_uri(factor: SecondFactor, user: str, issuer: str) -> str:
    """What a phone's app reads from the QR code (Google Authenticator's "Key URI Format")."""
    return _totp(factor.secret).get_provisioning_uri(user, issuer)


def code_at(secret: str, step: int) -> str:
    """The code of one step of 30 s since 1970."""
    return _totp(secret).generate(step * STEP_S).decode()


def _step_of(factor: SecondFactor, code: str, now_step: int) -> int | None:
    for step in (now_step + around for around in _AROUND):
        if step > factor.used_step and secrets.compare_digest(code_at(factor.secret, step), code):
            return step
    return None


def _totp(secret: str) -> TOTP:
    return TOTP(base64.b32decode(secret), _DIGITS, SHA1(), STEP_S)  # noqa: S303  # what all apps do; HMAC is not broken
