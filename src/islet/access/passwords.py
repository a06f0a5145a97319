"""Passwords (argon2id) and session tokens. The database holds only hashes of either."""

import hashlib
import secrets
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()  # RFC 9106, the low-memory profile: 64 MiB, 3 passes, 4 lanes


def nobodys_hash() -> str:
    """A hash as `hash_password` makes them that fits no password: to look at it takes as long as at somebody's."""
    of = _hasher
    salt, hashed = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (of.salt_len, of.hash_len))
    return f"$argon2id$v=19$m={of.memory_cost},t={of.time_cost},p={of.parallelism}${salt}${hashed}"


def hash_password(password: str) -> str:
    """argon2id hash with its parameters and salt, for storing."""
    return _hasher.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Whether the password is the one that was hashed; about 50 ms on purpose."""
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def new_token() -> str:
    """A session or API token: 256 random bits as URL-safe text. Shown once, never stored."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a token: its SHA-256. The token is random, so that a slow hash adds nothing."""
    return hashlib.sha256(token.encode()).hexdigest()
