"""Memory for the kernels: mapped, so that what is not touched costs nothing and what is done with can be given back."""

import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T", bound=np.generic)

_HUGE_PAGE: Final = 1 << 21
_LINE: Final = 64
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0  # MAP_NORESERVE, which Python 3.11 has no name for
_KIND: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
_POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE, since Linux 5.14; not in the module mmap
_system: Final = ctypes.CDLL(None) if sys.platform == "linux" else None  # calls let go of the interpreter's lock


def aligned(count: int, kind: np.dtype[_T]) -> NDArray[_T]:
    """Zeros that begin with a page, so that no record of a cache line, or of half a one, lies in two. On large pages
    where the system has them: the kernels jump from patient to patient."""
    size = count * kind.itemsize
    mapped = mmap.mmap(-1, max(size, 1), flags=_KIND)
    if size >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapped, np.uint8, size).view(kind)


class Room:
    """Memory that the system has found already, to be copied into; what does not fit is found when it is written to."""

    def __init__(self, size: int = 0) -> None:
        """`size`: bytes. Takes as long as the system does; other threads go on."""
        self._free = aligned(size, np.dtype(np.uint8))
        prefault(self._free)

    def copy(self, array: NDArray[_T]) -> NDArray[_T]:
        """A copy of an array without gaps."""
        size = array.nbytes + -array.nbytes % _LINE
        if size > len(self._free):
            return array.copy()
        mine, self._free = self._free[: array.nbytes].view(array.dtype), self._free[size:]
        mine[:] = array
        return mine


def prefault(memory: NDArray[Any], rest: Callable[[], object] | None = None) -> None:
    """Have the system find the memory of (a part of) an `aligned` array now: what is in it stays as it is, whoever
    writes to it meanwhile. Where the system cannot, nothing happens.

    Other threads go on, but as long as one call of the system lasts none can map or give back memory: it is done a large
    page at a time, and in between `rest` is called, which may wait.
    """
    if _system is None or not len(memory):
        return
    begin, end = memory.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE, memory.ctypes.data + memory.nbytes
    while begin < end:
        stop = min((begin // _HUGE_PAGE + 1) * _HUGE_PAGE, end)
        _system.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(stop - begin), _POPULATE_WRITE)
        begin = stop
        if rest is not None:
            rest()


def forget(memory: NDArray[Any], begin: int, end: int) -> None:
    """Give the elements from `begin` to before `end` of an `aligned` array back to the system, as far as they fill
    pages; they are zeros, or as they were."""
    owner: Any = memory
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if not isinstance(owner, mmap.mmap):
        return
    first = -(-begin * memory.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    last = min(end, len(memory)) * memory.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED, first, last - first)
