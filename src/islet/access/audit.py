"""The audit trail: who changed what, whom it concerns, from what to what; each line sealed with the one before.

A line's seal is SHA-256 over the seal before it and the line's own fields, so that a line that was changed, moved or
taken out of the middle shows. (Lines taken off the end show only to those who noted the last seal elsewhere.)
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

FIRST_SEAL: Final = "0" * 64


class AuditLine(Struct, frozen=True, kw_only=True):
    """One act. `number` counts from 1; `kind` and `id` say what was acted upon; `before` and `after` are JSON, ""
    where there was or is nothing; they hold no secret and no glucose."""

    number: int
    at_us: int
    by: str
    action: str
    kind: str
    id: str
    before: str = ""
    after: str = ""
    seal: str = ""


def sealed(line: AuditLine, seal_before: str) -> AuditLine:
    """The line with its seal."""
    fields = msgspec.structs.astuple(msgspec.structs.replace(line, seal=""))
    seal = sha256(seal_before.encode() + b"\n" + msgspec.json.encode(fields)).hexdigest()
    return msgspec.structs.replace(line, seal=seal)


def first_broken(lines: Iterable[AuditLine]) -> int | None:
    """The number of the first line (in order, from 1 on) that does not follow from those before; None: all do."""
    seal, expected = FIRST_SEAL, 1
    for line in lines:
        if line.number != expected or sealed(line, seal).seal != line.seal:
            return expected
        seal, expected = line.seal, expected + 1
    return None
