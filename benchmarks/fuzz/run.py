"""Fuzzing one decoder for a while."""

import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.fuzz.spoil import spoiled
from benchmarks.fuzz.target import Check, Target

FOUND = Path(__file__).resolve().parents[2] / "build" / "fuzz"
_LONGEST_S = 1.0


class Fuzzed(NamedTuple):
    """How many inputs were tried, and those that are findings, with what they raised."""

    tried: int
    findings: list[tuple[bytes, BaseException]]


def fuzz(target: Target, seconds: float, seed: int, *, most_findings: int = 5) -> Fuzzed:
    """Try as many as fit into the time; findings of one kind and place count once. An input that takes more than a
    second is a finding too."""
    rng, tried = Random(seed), 0
    findings: dict[str, tuple[bytes, BaseException]] = {}
    with target.ready() as check:
        until = time.monotonic() + seconds
        while time.monotonic() < until and len(findings) < most_findings:
            data = spoiled(target.seeds, target.tokens, rng)
            tried += 1
            error = _tried(check, data, rng.getrandbits(32))
            if error is not None:
                findings.setdefault(_place(error), (data, error))
    return Fuzzed(tried, list(findings.values()))


def _tried(check: Check, data: bytes, seed: int) -> BaseException | None:
    began = time.thread_time()  # not the wall: the machine may be in use
    try:
        check(data, Random(seed))
    except Exception as error:
        return error
    if time.thread_time() - began > _LONGEST_S:
        return TimeoutError(f"{time.thread_time() - began:.1f} s for {len(data)} bytes")
    return None


def _place(error: BaseException) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{type(error).__name__} {at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else type(error).__name__


def keep(target: Target, data: bytes) -> Path:
    """A finding, in a file of `build/fuzz`."""
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{target.name}-{hash(data) & 0xFFFFFFFF:08x}"
    path.write_bytes(data)
    return path
