"""PostgreSQL's binary COPY format for rows of fixed size, encoded by numpy without a Python loop.

A stream is a signature, tuples and a trailer; a tuple is an int16 field count, then per field an
int32 length and the value in network byte order (PostgreSQL manual, COPY, "Binary Format").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"


def encode_rows(
    key: int, first_id: int, x: npt.NDArray[np.float32], y: npt.NDArray[np.int16]
) -> bytes:
    """Tuples ``(__dist_key__, id, x, y)`` of a raw table.

    Parameters
    ----------
    key : value of ``__dist_key__``.
    first_id : ``id`` of the first row; the others follow.
    x : float32 [n, features], stored as little-endian bytes.
    y : int16 [n].
    """
    width = x.shape[1] * 4
    rows = np.empty(
        len(x),
        dtype=[
            ("fields", ">i2"),
            ("key_length", ">i4"),
            ("key", ">i4"),
            ("id_length", ">i4"),
            ("id", ">i8"),
            ("x_length", ">i4"),
            ("x", "<f4", (x.shape[1],)),
            ("y_length", ">i4"),
            ("y", ">i2"),
        ],
    )
    rows["fields"] = 4
    rows["key_length"], rows["key"] = 4, key
    rows["id_length"], rows["id"] = 8, np.arange(first_id, first_id + len(x))
    rows["x_length"], rows["x"] = width, x
    rows["y_length"], rows["y"] = 2, y
    return rows.tobytes()


class ByteStream:
    """A readable file over an iterator of byte blocks, which is what ``copy_expert`` reads from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks: Iterator[bytes] = iter(blocks)
        self._block = memoryview(b"")
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; empty at the end. ``size < 0`` gives the next block."""
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._block = memoryview(block)
        size = len(self._block) if size < 0 else size
        piece, self._block = self._block[:size], self._block[size:]
        self.bytes += len(piece)
        return bytes(piece)
