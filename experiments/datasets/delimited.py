"""Delimited text, taken apart many lines at a time: where fields lie, their numbers, their hashes.

For files without quoting, such as tab separated logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.murmur import murmur3
from experiments.errors import DataError

DIGITS = 18
"""Longest number in decimal digits; it fits 64 bits."""

_NEWLINE, _MINUS, _ZERO = ord("\n"), ord("-"), ord("0")


@dataclass(frozen=True)
class Origin:
    """Where lines come from, for messages.

    Attributes
    ----------
    name : of the file or the generator.
    line : number of the block's first line, from 1.
    remedy : what to do about a bad line.
    """

    name: str
    line: int
    remedy: str

    def bad(self, index: int, how: str) -> DataError:
        """The error for a block's line, counted from 0."""
        return DataError(f"{self.name}, line {self.line + index} {how}; {self.remedy}")


@dataclass(frozen=True)
class Fields:
    """Fields of a block of lines.

    Attributes
    ----------
    data : uint8 [bytes], the block.
    starts, ends : int64 [lines, columns], each field's first and one-past-last byte.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, block: bytes, separator: str, columns: int, origin: Origin) -> Fields:
        """Find the fields of whole lines, each ended by a newline.

        Raises
        ------
        DataError
            A line has another number of fields, or the last one has no end; names the line.
        """
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((data == ord(separator)) | (data == _NEWLINE))
        newlines = data[ends] == _NEWLINE
        lines = int(newlines.sum())
        if block and not block.endswith(b"\n"):
            raise origin.bad(lines, "is cut off")
        if len(ends) != lines * columns or not newlines[columns - 1 :: columns].all():
            places = np.flatnonzero(newlines)
            counts = np.diff(places, prepend=-1)
            index = int(np.argmax(counts != columns))
            raise origin.bad(index, f"has {counts[index]} fields, not {columns}")
        starts = np.empty_like(ends)
        starts[:1] = 0
        starts[1:] = ends[:-1] + 1
        return cls(data, starts.reshape(lines, columns), ends.reshape(lines, columns))

    def __getitem__(self, columns: slice | int) -> Fields:
        """Some columns, in the same lines; a single one too stays two-dimensional."""
        chosen = slice(columns, columns + 1) if isinstance(columns, int) else columns
        return Fields(self.data, self.starts[:, chosen], self.ends[:, chosen])

    def lines(self, chosen: NDArray[np.bool_]) -> Fields:
        """The lines for which ``chosen``, bool [lines], is true."""
        return Fields(self.data, self.starts[chosen], self.ends[chosen])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each field, int64 [lines, columns]."""
        return self.ends - self.starts

    def text(self, width: int) -> NDArray[np.uint8]:
        """The first ``width`` bytes of each field, then zeros: uint8 [lines, columns, width]."""
        offsets = np.arange(width)
        inside = offsets < self.lengths[..., None]
        bytes_: NDArray[np.uint8] = self.data[np.where(inside, self.starts[..., None] + offsets, 0)]
        return bytes_ * inside

    def equal(self, text: str) -> NDArray[np.bool_]:
        """Which fields are exactly this text, bool [lines, columns]."""
        wanted = np.frombuffer(text.encode(), np.uint8)
        same: NDArray[np.bool_] = self.lengths == len(wanted)
        same &= np.equal(self.text(len(wanted)), wanted).all(axis=-1)
        return same

    def integers(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Decimal integers, with a minus sign or none.

        Returns
        -------
        values : int64 [lines, columns], 0 where there is no integer.
        valid : bool [lines, columns], where there is one of at most :data:`DIGITS` digits.
        """
        if not self.starts.size:
            return np.zeros(self.starts.shape, np.int64), np.zeros(self.starts.shape, np.bool_)
        minus = self.data[self.starts] == _MINUS
        digits = self.lengths - minus
        valid = (digits > 0) & (digits <= DIGITS)
        values = np.zeros(self.starts.shape, np.int64)
        for power in range(int(digits.max(where=valid, initial=0))):
            here = valid & (power < digits)
            byte = self.data[np.where(here, self.ends - 1 - power, 0)] - np.uint8(_ZERO)
            valid &= ~here | (byte <= 9)
            values += np.where(here, byte, np.uint8(0)) * np.int64(10**power)
        return np.where(valid, np.where(minus, -values, values), 0), valid

    def hashes(self, width: int, missing: str) -> NDArray[np.uint32]:
        """Murmur3 of each field, an empty one counting as ``missing``: uint32 [lines, columns].

        Parameters
        ----------
        width : bytes of the longest field.
        """
        text, lengths = self.text(width), self.lengths.copy()
        empty = lengths == 0
        text[empty, : len(missing)] = np.frombuffer(missing.encode(), np.uint8)
        lengths[empty] = len(missing)
        return murmur3(text.reshape(-1, width), lengths.reshape(-1)).reshape(lengths.shape)
