"""The one way that this room compiles a function."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code, compiled at its first call and kept on disk for the next process.

    No fastmath: with it, the last bit of a person's glucose could depend on how many others there are.
    Numba forgets the code on disk when the file of the function changes, not when a compiled function or a constant
    changes that it takes from another file. So each kernel keeps its parts in its own file; what is shared is
    `chance` and a few words of the model. Whoever changes those removes `__pycache__` of this room.
    """
    return cast("Callable[P, R]", njit(cache=True)(function))
