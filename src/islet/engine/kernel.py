"""What the engine's kernels are made of beside `islet.model.compiled`: their kinds of parts, and single instructions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numba.core.cgutils
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from islet.model.compiled import making_kernel

# Numba's own tools for code have no types.
_cgutils: Any = numba.core.cgutils
_types: Any = numba.core.types
_ir: Any = _cgutils.ir
_njit: Any = numba.njit  # its stubs lack two options

Int = int | np.int64
"""A whole number in a kernel: to machine code they are one, to Python's type checker two."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """What Python calls; what it calls is a `part`. Code on the disk is used as long as no file of the engine has
    changed."""
    return making_kernel(function, Path(__file__).parent)


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` as a part of kernels; Python cannot call it. Without an entry from Python and a file of its own it
    compiles in half the time.

    It makes no arrays and gives none back, only changes those it is given: so nobody has to count who holds them,
    which took longer than the work itself. A part that has to is a `making_part`. Whole numbers are handed over as
    int64 (uint64 stays): Numba alone would compile a part again for each width and for each constant that it is called
    with. It does not look for divisions by zero: divisors are constants, or known to be positive.
    """
    return _part(function, _nrt=False)


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A `part` that becomes one with who calls it. For what is done for each row: an array is eight words to hand
    over, and a call with a dozen of them takes longer than what most parts do."""
    return _part(function, _nrt=False, forceinline=True)


def making_part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A `part` that makes arrays or gives some back; not for what is called for each row."""
    return _part(function)


def _part(function: Callable[_P, _R], **options: bool) -> Callable[_P, _R]:
    compiled: Any = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", **options)(
        function
    )
    template = compiled.get_call_template
    compiled.get_call_template = lambda args, kws: template(
        tuple(_wide(one) for one in args), {name: _wide(one) for name, one in kws.items()}
    )
    return cast(Callable[_P, _R], compiled)


def _wide(given: Any) -> Any:
    """The type that a part takes for a value of that type."""
    plain = _types.unliteral(given)
    narrow = isinstance(plain, _types.Integer) and plain != _types.uint64
    return _types.int64 if narrow else plain


def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Type and code of `prefetch`, for Numba: the processor's prefetch for reading, into all caches."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = context.make_array(signature.args[0])(context, builder, arguments[0])
        places = _cgutils.unpack_tuple(builder, arguments[1], len(index))
        item = _cgutils.get_item_pointer(context, builder, signature.args[0], memory, places)
        byte, word = _ir.IntType(8).as_pointer(), _ir.IntType(32)
        kind = _ir.FunctionType(_ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [builder.bitcast(item, byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return _types.void(array, _types.UniTuple(_types.intp, len(index))), code


prefetch = cast(Callable[[NDArray[Any], tuple[int | np.int64, ...]], None], intrinsic(_prefetch))
"""For use in kernels: ask for array[index] a while before it is needed.

A row of a batch touches five or six cache lines at random places; waiting for each in turn took most of the time.
"""


def _lowest_bit(typing: Any, mask: Any) -> Any:
    """Type and code of `lowest_bit`, for Numba."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _ir.Constant(_ir.IntType(1), 1))

    return _types.int64(_types.int64), code


lowest_bit = cast(Callable[[Int], Int], intrinsic(_lowest_bit))
"""For use in kernels: the place of the lowest bit that is set; of 0 it has no meaning."""


def _word_at(typing: Any, text: Any, index: Any) -> Any:
    """Type and code of `word_at`, for Numba."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = context.make_array(signature.args[0])(context, builder, arguments[0])
        item = _cgutils.get_item_pointer(context, builder, signature.args[0], memory, [arguments[1]])
        word = _ir.IntType(64)
        return builder.load(builder.bitcast(item, word.as_pointer()), align=1, typ=word)

    return _types.uint64(text, _types.intp), code


def _put_word(typing: Any, text: Any, index: Any, word: Any) -> Any:
    """Type and code of `put_word`, for Numba."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = context.make_array(signature.args[0])(context, builder, arguments[0])
        item = _cgutils.get_item_pointer(context, builder, signature.args[0], memory, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(item, _ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return _types.void(text, _types.intp, _types.uint64), code


word_at = cast(Callable[[NDArray[np.uint8], Int], np.uint64], intrinsic(_word_at))
"""For use in kernels: eight bytes from that one on as a number, the first one lowest. They have to be there."""
put_word = cast(Callable[[NDArray[np.uint8], Int, np.uint64], None], intrinsic(_put_word))
"""For use in kernels: write eight bytes."""
