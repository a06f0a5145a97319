"""How a function becomes machine code, so that every kernel has the same options."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")
_njit: Any = numba.njit  # its stubs lack two options

_PART: Final = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` compiled by Numba at its first call, kept on disk, and run without the interpreter's lock.

    For the few functions that Python calls; what these call is a `part`. Code on the disk is used as long as no file
    of the function's room has changed. Neither may make an array: they count no references to those they are given,
    which took two thirds of the time. Floating point stays strict (no fast-math): NaN means "no value", and the last
    bit of a number does not depend on how many others there are.
    """
    return _kept(function, None, _nrt=False)


def making_kernel(function: Callable[_P, _R], room: Path | None = None) -> Callable[_P, _R]:
    """A `kernel` that makes arrays or gives some back. `room`: the folder of its parts, where it is not the function's."""
    return _kept(function, room)


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` as a part of kernels; Python cannot call it."""
    return cast(Callable[_P, _R], _njit(**_PART)(function))


def _kept(function: Callable[_P, _R], room: Path | None, **options: bool) -> Callable[_P, _R]:
    try:
        compiled: Any = _njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # no folder can be written to: compile at each start
        compiled = _njit(nogil=True, **options)(function)
    else:  # Numba itself looks at the function's own file only: an upgrade could go on with parts of before
        compiled._cache._cache_file._source_stamp = _sources(room or Path(function.__code__.co_filename).parent)
    return cast(Callable[_P, _R], compiled)


@cache
def _sources(room: Path) -> str:
    """What all files of a room say."""
    return sha256(b"".join(file.read_bytes() for file in sorted(room.glob("*.py")))).hexdigest()
