"""How a sequential function of this room becomes machine code."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")
_njit: Any = numba.njit  # its stubs lack an option
_SOURCES: Final = sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` compiled by Numba at its first call, kept on disk as long as no file of this room changes, and run
    without the interpreter's lock. Floating point stays strict (no fast-math): NaN means "no value" here.
    """
    try:
        compiled: Any = _njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder can be written to: compile at each start
        compiled = _njit(nogil=True)(function)
    else:  # Numba itself looks at the function's own file only
        compiled._cache._cache_file._source_stamp = _SOURCES
    return cast(Callable[_P, _R], compiled)
