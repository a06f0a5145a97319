"""What a nightly job leaves in the registry (an entry of kind JOB, by the job's name): its last run and its result."""

from typing import Literal

import msgspec
from msgspec import Struct


class Run(Struct, frozen=True, kw_only=True):
    """One run. `due_us` is the instant at which it was to be done, `counts` what it counted, `error` the class of what
    ended it; instants are the platform's clock."""

    due_us: int
    began_us: int
    ended_us: int
    outcome: Literal["done", "failed"]
    counts: dict[str, int] = {}
    error: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """The last run, and the result of the last one that was done (`null` where none was)."""

    run: Run
    done_us: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(Kept)
_encoder = msgspec.json.Encoder()


def decode_kept(body: bytes) -> Kept:
    """What is in an entry."""
    return _decoder.decode(body)


def encode_kept(kept: Kept) -> bytes:
    """The entry; equal ones give equal bytes."""
    return _encoder.encode(kept)
