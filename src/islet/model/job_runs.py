"""What a nightly job leaves in the registry (an entry of kind JOB, by the job's name): its last run and its result."""

from typing import Final, Literal

import msgspec
from msgspec import Struct, structs


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


_MEDOID: Final = "medoid"
_decoder = msgspec.json.Decoder(Kept)
_encoder = msgspec.json.Encoder()


def decode_kept(body: bytes) -> Kept:
    """What is in an entry."""
    return _decoder.decode(body)


def without(kept: Kept, patient: str) -> Kept:
    """What is kept, without a patient. Results have fields that are objects by patient (`people`, `members`, `changes`), and
    cohorts that name one (`medoid`)."""
    result = msgspec.json.decode(kept.result)
    for value in result.values() if isinstance(result, dict) else ():
        if isinstance(value, dict):
            value.pop(patient, None)
        for one in value if isinstance(value, list) else ():
            if isinstance(one, dict) and one.get(_MEDOID) == patient:
                one[_MEDOID] = ""
    return structs.replace(kept, result=msgspec.Raw(_encoder.encode(result)))


def encode_kept(kept: Kept) -> bytes:
    """The entry; equal ones give equal bytes."""
    return _encoder.encode(kept)
