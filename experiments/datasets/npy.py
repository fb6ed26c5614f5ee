"""Writing one ``.npy`` file block by block, hashed on the way."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.manifest import FileRecord


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The bytes in front of the values of a ``.npy`` file (version 1.0, C order)."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out,
        {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        },
    )
    return out.getvalue()


class NpyWriter:
    """An array of known shape, written front to back; readable by everyone, fsynced at the end.

    Parameters
    ----------
    path : the file, which must not exist.
    dtype, shape : of the whole array.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        self._dtype = dtype
        self._shape = shape
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._file = path.open("xb", buffering=0)
        os.fchmod(self._file.fileno(), 0o644)
        self._write(memoryview(npy_header(dtype, shape)))

    def _write(self, data: memoryview) -> None:
        self._digest.update(data)
        self._bytes += len(data)
        while data:
            data = data[self._file.write(data) :]

    def append(self, block: NDArray[np.float32] | NDArray[np.int16]) -> None:
        """Write the next rows."""
        values = np.ascontiguousarray(block, dtype=self._dtype)
        self._write(values.reshape(-1).view(np.uint8).data)

    def finish(self) -> FileRecord:
        """fsync; size and digest of the whole file."""
        os.fsync(self._file.fileno())
        return FileRecord(self._dtype, self._shape, self._bytes, self._digest.hexdigest())

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()
