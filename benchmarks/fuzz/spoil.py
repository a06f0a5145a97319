"""Input that was good once: bits, bytes and pieces changed, left out, doubled, and mixed with other good input."""

from collections.abc import Sequence
from random import Random

_TELLING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def spoiled(seeds: Sequence[bytes], tokens: Sequence[bytes], rng: Random) -> bytes:
    """One of the seeds, changed in up to six places; now and then as it is, or nothing like it."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(64))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        _change(data, seeds, tokens, rng)
    return bytes(data)


def _change(data: bytearray, seeds: Sequence[bytes], tokens: Sequence[bytes], rng: Random) -> None:
    at = rng.randrange(len(data) + 1)
    some = rng.choice((1, 1, 2, 4, 16))
    match rng.randrange(9):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(data):
            data[at] = rng.choice(_TELLING)
        case 2 if at < len(data):
            data[at] = rng.randrange(256)
        case 3:
            del data[at : at + some]
        case 4:
            data[at:at] = rng.randbytes(some)
        case 5:
            data[at:at] = data[at : at + 4 * some]
        case 6 if tokens:
            data[at : at + rng.choice((0, some))] = rng.choice(tokens)
        case 7:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            data[at:] = other[begin:]
        case _:
            del data[at:]


def cut(data: bytes, rng: Random) -> list[bytes]:
    """The same in up to four pieces."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(4)))
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
