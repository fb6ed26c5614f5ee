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

_NEWLINE, _MINUS = ord("\n"), ord("-")

_WORD = 8
_FIRST = np.array([2 ** (8 * kept) - 1 for kept in range(_WORD + 1)], np.uint64)
_LAST = ~_FIRST[::-1]
"""A word's first or last bytes, by how many; text is little-endian, its first byte the lowest."""

_ZEROS, _SIXES = np.uint64(0x3030303030303030), np.uint64(0x0606060606060606)
_HIGH_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)


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


def uneven(found: int, columns: int) -> str:
    """What is wrong with a line of ``found`` fields."""
    return f"has {found} fields, not {columns}"


@dataclass(frozen=True)
class Fields:
    """Fields of a block of lines.

    Attributes
    ----------
    windows : uint64 [bytes + 17], the eight bytes before each place of the block, and behind it.
        So eight characters are one load and a few operations, where bytes would need a loop.
    starts, ends : int64 [lines, columns], each field's first and one-past-last byte.
    """

    windows: NDArray[np.uint64]
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
        if block and not block.endswith(b"\n"):
            raise origin.bad(block.count(b"\n"), "is cut off")
        fields, counts = cls.sift(block, separator, columns)
        for index in np.flatnonzero(counts != columns)[:1].tolist():
            raise origin.bad(index, uneven(int(counts[index]), columns))
        return fields

    @classmethod
    def sift(cls, block: bytes, separator: str, columns: int) -> tuple[Fields, NDArray[np.int64]]:
        """Find the fields of those lines that have as many as they should.

        Parameters
        ----------
        block : whole lines, each ended by a newline.

        Returns
        -------
        fields : of the lines with ``columns`` fields.
        counts : how many fields each line has, int64 [lines of the block].
        """
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((data == ord(separator)) | (data == _NEWLINE))
        last = np.flatnonzero(data[ends] == _NEWLINE)
        counts = np.diff(last, prepend=-1)
        starts = np.empty_like(ends)
        starts[:1] = 0
        starts[1:] = ends[:-1] + 1
        right = counts == columns
        if not right.all():
            chosen = np.repeat(right, counts)
            starts, ends = starts[chosen], ends[chosen]
        return cls(_windows(block), starts.reshape(-1, columns), ends.reshape(-1, columns)), counts

    def __getitem__(self, columns: slice | int) -> Fields:
        """Some columns, in the same lines; a single one too stays two-dimensional."""
        chosen = slice(columns, columns + 1) if isinstance(columns, int) else columns
        return Fields(self.windows, self.starts[:, chosen], self.ends[:, chosen])

    def lines(self, chosen: NDArray[np.bool_]) -> Fields:
        """The lines for which ``chosen``, bool [lines], is true."""
        return Fields(self.windows, self.starts[chosen], self.ends[chosen])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each field, int64 [lines, columns]."""
        return self.ends - self.starts

    def text(self, width: int) -> NDArray[np.uint8]:
        """The first ``width`` bytes of each field, then zeros: uint8 [lines, columns, width]."""
        words = [self._word(number) for number in range(-(-width // _WORD))]
        if len(words) == 1:
            return words[0][..., None].view(np.uint8)[..., :width]
        return np.stack(words, axis=-1).view(np.uint8)[..., :width]

    def _word(self, number: int) -> NDArray[np.uint64]:
        """Bytes 8·number to 8·number+7 of each field, zeros behind its end."""
        places = np.minimum(self.starts + _WORD * (number + 1), len(self.windows) - 1)
        kept = np.clip(self.lengths - _WORD * number, 0, _WORD)
        word: NDArray[np.uint64] = self.windows[places] & _FIRST[kept]
        return word

    def equal(self, text: str) -> NDArray[np.bool_]:
        """Which fields are exactly this text, bool [lines, columns]."""
        wanted = np.frombuffer(text.encode(), np.uint8)
        same: NDArray[np.bool_] = self.lengths == len(wanted)
        if same.any():
            same &= np.equal(self.text(len(wanted)), wanted).all(axis=-1)
        return same

    def integers(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Decimal integers, with a minus sign or none.

        Returns
        -------
        values : int64 [lines, columns], 0 where there is no integer.
        valid : bool [lines, columns], where there is one of at most :data:`DIGITS` digits.
        """
        minus = self.windows[self.starts + _WORD] & np.uint64(0xFF) == _MINUS
        digits = self.lengths - minus
        valid = (digits > 0) & (digits <= DIGITS)
        values = np.zeros(self.starts.shape, np.int64)
        for passed in range(0, int(digits.max(where=valid, initial=0)), _WORD):
            kept = _LAST[np.clip(digits - passed, 0, _WORD)]
            word = self.windows[np.maximum(self.ends - passed, 0)]
            word = word & kept | _ZEROS & ~kept
            valid &= _are_digits(word)
            values += _eight_digits(word) * np.int64(10**passed)
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


def _windows(block: bytes) -> NDArray[np.uint64]:
    padded = bytes(_WORD) + block + bytes(2 * _WORD)
    return np.ndarray((len(padded) - _WORD + 1,), "<u8", buffer=padded, strides=(1,))


def _are_digits(word: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether all eight characters are digits: 3 in front, and still so if 6 is added."""
    same: NDArray[np.bool_] = word & _HIGH_HALVES == _ZEROS
    same &= (word + _SIXES) & _HIGH_HALVES == _ZEROS
    return same


def _eight_digits(word: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The number that eight digits are: neighbours are joined to pairs, fours, and one."""
    value = word - _ZEROS
    for bits, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
        ten = np.uint64(10 ** (bits // 8))
        value = (value * ten + (value >> np.uint64(bits))) & np.uint64(mask)
    return value.astype(np.int64)
