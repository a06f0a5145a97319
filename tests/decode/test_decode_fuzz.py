"""Every decoder against spoiled input, for a moment: `make fuzz` does the same for ten minutes each."""

import os
from random import Random

import pytest

from benchmarks.fuzz.__main__ import TARGETS
from benchmarks.fuzz.run import fuzz
from benchmarks.fuzz.spoil import cut
from benchmarks.fuzz.target import Target

SECONDS = float(os.environ.get("ISLET_FUZZ_SECONDS", "0.1"))


@pytest.mark.filterwarnings("ignore")  # of certificates that will be refused one day
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_spoiled_input_is_understood_or_refused(target: Target) -> None:
    done = fuzz(target, SECONDS, Random().getrandbits(32))
    assert done.tried
    assert not done.findings, [(data, repr(error)) for data, error in done.findings]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_good_input_passes_as_it_is(target: Target) -> None:
    with target.ready() as check:
        for seed in target.seeds:
            check(seed, Random(1))


def test_a_decoder_with_a_fault_is_found_out() -> None:
    def check(data: bytes, rng: Random) -> None:
        if data.startswith(b"ab") and b"\xff" in data:
            raise ZeroDivisionError

    [(data, error)] = fuzz(Target("planted", check, [b"abcdef"]), 5.0, 1, most_findings=1).findings
    assert data.startswith(b"ab") and isinstance(error, ZeroDivisionError)


def test_pieces_are_the_whole() -> None:
    for seed in range(100):
        assert b"".join(cut(b"0123456789", Random(seed))) == b"0123456789"
