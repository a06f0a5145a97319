"""How a function becomes machine code: one decorator, so that types survive and every kernel has the same options."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` compiled by Numba at its first call, kept on disk, and run without the interpreter's lock.

    Numba notices a change of the file the function is in, not of files it calls into: a kernel and what it calls
    belong in one file.
    """
    return cast(Callable[_P, _R], numba.njit(cache=True, nogil=True)(function))
