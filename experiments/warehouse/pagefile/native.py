"""Compiled Python: what a page is made of, read at the speed of memory.

Compiled code is kept beside the source, or in ``$CEREBRO_DS_COMPILED``, under a name that changes
with any source of this folder: numba itself would not notice that a function which another one
calls has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.extending import intrinsic

from experiments.paths import COMPILED_VARIABLE

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Xids = npt.NDArray[np.uint32]

F = TypeVar("F", bound=Callable[..., Any])

_FOLDER = Path(__file__).parent
_digest = hashlib.blake2b(digest_size=8)
for _path in sorted(_FOLDER.glob("*.py")):
    _digest.update(_path.read_bytes())
_kept = Path(os.environ.get(COMPILED_VARIABLE) or _FOLDER / "__pycache__")
numba.config.CACHE_DIR = str(_kept / f"compiled-{_digest.hexdigest()}")


def compiled(function: F) -> F:
    """Compile on first use, without the interpreter's lock while it runs."""
    return cast(F, numba.njit(nogil=True, cache=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile into whoever calls."""
    return cast(F, numba.njit(nogil=True, inline="always", error_model="numpy")(function))


def _copy(typing: Any, target: Any, source: Any, size: Any) -> Any:
    """LLVM's memcpy between two addresses; the areas must not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, start, count = arguments
        byte = ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic("llvm.memcpy", [byte, byte, ir.IntType(64)])
        pointers = [builder.inttoptr(each, byte) for each in (to, start)]
        builder.call(function, [*pointers, count, ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return numba.types.void(numba.types.intp, numba.types.intp, numba.types.intp), generate


def _copy16(typing: Any, target: Any, source: Any) -> Any:
    """Sixteen bytes from one address to another, read before any is written."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(ir.IntType(8), 16).as_pointer()
        to, start = (builder.inttoptr(each, wide) for each in arguments)
        builder.store(builder.load(start, align=1), to, align=1)
        return context.get_dummy_value()

    return numba.types.void(numba.types.intp, numba.types.intp), generate


def _load(bits: int) -> Any:
    """An unsigned number of so many bits at an address, in the machine's own byte order."""

    def load(typing: Any, source: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            return builder.zext(builder.load(place, align=1), ir.IntType(64))

        return numba.types.int64(numba.types.intp), generate

    return intrinsic(load)


_load8, _load16, _load32 = _load(8), _load(16), _load(32)
copy = intrinsic(_copy)
copy16 = intrinsic(_copy16)

_pread: Any = numba.types.ExternalFunction(
    "pread",
    numba.types.intp(numba.types.int32, numba.types.intp, numba.types.uintp, numba.types.int64),
)


@inlined
def u8(data: Bytes, at: int) -> int:
    """A byte, wide enough to compute with."""
    number: int = _load8(data.ctypes.data + at)
    return number


@inlined
def u16(data: Bytes, at: int) -> int:
    """Unsigned little-endian 16 bits, anywhere."""
    number: int = _load16(data.ctypes.data + at)
    return number


@inlined
def u32(data: Bytes, at: int) -> int:
    """Unsigned little-endian 32 bits, anywhere."""
    number: int = _load32(data.ctypes.data + at)
    return number


@compiled
def fill(descriptor: int, offset: int, into: Bytes) -> bool:
    """Read a file from ``offset`` until ``into`` is full; False if that cannot be."""
    done = 0
    while done < len(into):
        got = _pread(descriptor, into.ctypes.data + done, len(into) - done, offset + done)
        if got <= 0:
            return False
        done += got
    return True
