"""PostgreSQL's binary COPY format: rows of fixed size written by numpy, large values read in place.

A stream is a signature, tuples and a trailer; a tuple is an int16 field count, then per field an
int32 length and the value in network byte order (PostgreSQL manual, COPY, "Binary Format").
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Take: TypeAlias = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int16]], None
]
"""Gets the columns of a block of rows."""

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


class RowReader:
    """A writable file for ``copy_expert`` that takes tuples ``(id, x, y)`` apart block by block.

    All rows have one size, so a block is one structured array. Memory is used again, since fresh
    memory is what such reading costs most.

    Parameters
    ----------
    width : float32 values of each ``x``.
    block : rows that ``take`` gets at once; the last time there may be fewer.
    take : gets ``id`` int64 [n], ``x`` float32 [n, width] and ``y`` int16 [n], contiguous, whose
        values are another block's when it is called the time after next.

    Raises
    ------
    ValueError
        From :meth:`write` or :meth:`finish`: not such a stream, or cut short.
    """

    def __init__(self, width: int, block: int, take: Take) -> None:
        self._sizes = {"fields": 3, "id_length": 8, "x_length": 4 * width, "y_length": 2}
        kinds = [
            ("fields", ">i2"),
            ("id_length", ">i4"),
            ("id", ">i8"),
            ("x_length", ">i4"),
            ("x", "<f4", (width,)),
            ("y_length", ">i4"),
            ("y", ">i2"),
        ]
        self._rows = np.empty(block, kinds)
        self._room = memoryview(self._rows.view(np.uint8).data)
        self._x = itertools.cycle([np.empty((block, width), np.float32) for _ in range(2)])
        self._filled = 0
        self._head = b""
        self._take = take

    def write(self, chunk: bytes) -> int:
        """Take the next chunk of the stream."""
        size = len(chunk)
        if len(self._head) < len(SIGNATURE):
            chunk = self._without_signature(chunk)
        while len(chunk) > (left := len(self._room) - self._filled):
            self._room[self._filled :] = chunk[:left]
            chunk = chunk[left:]
            self._filled = 0
            self._give(len(self._rows))
        end = self._filled + len(chunk)
        self._room[self._filled : end] = chunk
        self._filled = end
        return size

    def finish(self) -> None:
        """The stream is over; what is left of it is given."""
        end = self._filled - len(TRAILER)
        count, beyond = divmod(end, self._rows.itemsize)
        if end < 0 or beyond or self._room[end : self._filled] != TRAILER:
            raise ValueError("its stream of rows is cut short, or a row has another size")
        if count:
            self._give(count)

    def _without_signature(self, chunk: bytes) -> bytes:
        missing = len(SIGNATURE) - len(self._head)
        self._head += chunk[:missing]
        if not SIGNATURE.startswith(self._head):
            raise ValueError("a binary COPY stream starts with another signature")
        return chunk[missing:]

    def _give(self, count: int) -> None:
        rows = self._rows[:count]
        for name, size in self._sizes.items():
            if not (rows[name] == size).all():
                raise ValueError(f"a row has another {name.replace('_', ' ')} than {size}")
        x = next(self._x)[:count]
        np.copyto(x, rows["x"])
        self._take(rows["id"].astype(np.int64), x, rows["y"].astype(np.int16))


class FieldReader:
    """A writable file for ``copy_expert`` that splits what it is given into rows of values.

    The server sends a row a chunk, so a value is a view into its chunk and large ones are not
    copied; what does lie across chunks is joined.
    """

    def __init__(self) -> None:
        self._chunks: list[memoryview] = []

    def write(self, chunk: bytes) -> int:
        """Take the next chunk of the stream."""
        self._chunks.append(memoryview(chunk))
        return len(chunk)

    def rows(self) -> Iterator[list[memoryview]]:
        """The rows of a whole stream; none of their values may be null.

        Raises
        ------
        ValueError
            Not a binary COPY stream, or cut short.
        """
        pending = list(reversed(self._chunks))
        if bytes(_take(pending, len(SIGNATURE))) != SIGNATURE:
            raise ValueError("a binary COPY stream starts with another signature")
        while (fields := _number(_take(pending, 2))) >= 0:
            yield [_take(pending, _number(_take(pending, 4))) for _ in range(fields)]


def _number(data: memoryview) -> int:
    """A signed integer in network byte order."""
    return int.from_bytes(data, "big", signed=True)


def _take(pending: list[memoryview], size: int) -> memoryview:
    """The next ``size`` bytes of the chunks, which are in reverse order."""
    pieces = []
    while size:
        if not pending:
            raise ValueError(f"a binary COPY stream is cut short: {size} more bytes were due")
        chunk = pending.pop()
        pieces.append(chunk[:size])
        if len(chunk) > size:
            pending.append(chunk[size:])
        size -= len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
