"""Somebody who does not exist is refused as slowly as somebody who does."""

from argon2 import extract_parameters

from islet.access.passwords import hash_password, nobodys_hash, verify_password


def test_nobodys_hash_asks_for_the_same_work_as_anybodys_and_fits_nothing() -> None:
    hashed = nobodys_hash()
    assert extract_parameters(hashed) == extract_parameters(hash_password("a"))
    assert len(hashed) == len(hash_password("a"))
    assert not verify_password(hashed, "a")
    assert not verify_password(hashed, "")
    assert hashed != nobodys_hash()
