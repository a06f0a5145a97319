"""Memory for the kernels."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T", bound=np.generic)

_CACHE_LINE: Final = 64


def aligned(count: int, kind: np.dtype[_T]) -> NDArray[_T]:
    """Zeros that begin with a cache line, so that no record of a line, or of half a one, lies in two."""
    size = count * kind.itemsize
    memory = np.zeros(size + _CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % _CACHE_LINE
    return memory[begin : begin + size].view(kind)
